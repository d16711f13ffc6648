#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is tested on the second kernel, by name. All of them when none is named.
#
#   tests/vm/suites.sh              go cycles bats v1
#   tests/vm/suites.sh bats         the bats suites on Linux 6.12, cgroup v2, systemd, AppArmor
#
#   go      the Go tests of the cgroup packages, and of hostile root filesystems
#   ci      the files of the bats suite whose subject differs most from a cgroup v1 machine
#   cycles  containers made and removed, with cgroupfs and with systemd; $CYCLES of each (100)
#   v1      Linux 6.1 with systemd on cgroup v1: the systemd driver and the limits
#   engines systemd in a container, and Podman with systemd's cgroups; not among "all"
#   bench   berth, crun and runc on cgroup v2; not among "all"
set -euo pipefail
cd "$(dirname "$0")/../.."
run=tests/vm/run.sh
count=${CYCLES:-100}

go_tests() {
	$run -t 600 -p ./libcontainer/cgroup/... -p ./tests/hostile \
		'BERTH_TEST_REQUIRE=1 go test ./libcontainer/cgroup ./libcontainer/cgroup/device ./libcontainer/cgroup/oom ./libcontainer/cgroup/stats ./tests/hostile'
}
cycles() {
	$run -t $((300 + count * 5)) -p ./tests/cycles \
		"go run ./tests/cycles -n $count -slower ${SLOWER:-0} && go run ./tests/cycles -n $count -slower ${SLOWER:-0} -systemd"
}
bats() { $run -t 1500 'BERTH_CI=1 integration/run.sh -j 2'; }
ci() {
	$run -t 1000 'BERTH_CI=1 integration/run.sh -j 2 systemd-cgroup cgroup-lifecycle limits-{memory,pids}'
}
v1() {
	$run -k 6.1 -1 -t 1300 \
		'integration/run.sh systemd-cgroup cgroup-lifecycle limits-{cpu,memory,pids} device-rules update'
}
engines() {
	local rootfs=integration/engines/rootfs.sh
	$run -t 3000 -f "$($rootfs busybox)" -f "$($rootfs debian systemd systemd-sysv dbus)" '
		export BERTH_ENGINES_CACHE=/src/.vm/files ENGINE_CGROUPS=systemd USER_CGROUPS=systemd WAIT=20
		modprobe -a fuse tun overlay
		cd integration/engines
		bats --formatter tap systemd || status=1
		# what has to do with cgroups, systemd and the journal
		bats --formatter tap -f "^(-.*(memory|cpu|pids|cgroup)|out of memory|.*(limit|interval|journald|stats|pause|update|probe)|rootless: (run|stop|a pod|build|play))" podman || status=1
		exit ${status:-0}'
}
bench() { $run -t 1500 -p ./tests/bench "go run ./tests/bench -docs - -n ${ROUNDS:-30}"; }

(($#)) || set -- go cycles bats v1
failed=()
for name; do
	started=$SECONDS
	echo "=== vm: $name"
	suite=$name
	[[ $name != go ]] || suite=go_tests
	status=0
	"$suite" || status=$?
	if ((status == 125)); then # the machine broke, not a test: see tests/vm/README.md
		echo "=== vm: $name: once more"
		status=0
		"$suite" || status=$?
	fi
	((status == 0)) || failed+=("$name")
	echo "=== vm: $name: $((SECONDS - started)) s"
done
((${#failed[@]} == 0)) || {
	echo "vm: failed: ${failed[*]}" >&2
	exit 1
}
