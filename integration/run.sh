#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the bats suite of the runtime in a private mount namespace.
#
#   integration/run.sh [-j N] [FILE…]       files of integration/runtime, all by default
#   RUNTIME=/usr/sbin/runc integration/run.sh
#   integration/run.sh all-peers [FILE…]    berth (if built), runc and crun, one after another
set -euo pipefail
here=$(dirname "$(realpath "$0")")

declare -A package=([bats]=bats [busybox]=busybox-static [jq]=jq [newuidmap]=uidmap
	[setpriv]=util-linux [unshare]=util-linux [ip]=iproute2 [go]=golang [useradd]=passwd)

check_tools() {
	local tool missing=0
	for tool in "${!package[@]}"; do
		command -v "$tool" >/dev/null && continue
		echo "run.sh: $tool is missing: install ${package[$tool]}" >&2
		missing=1
	done
	((EUID == 0)) || {
		echo "run.sh: must be started as root (rootless cases drop to a user of their own)" >&2
		missing=1
	}
	return $missing
}

# crun refuses a hybrid hierarchy while a controller is left to v2, and hugetlb
# is one that nobody mounts. A v1 mount of it anywhere is enough; it is made in
# a mount namespace that goes away with us, for every runtime alike.
mount_hugetlb() {
	[[ -d /sys/fs/cgroup/unified ]] || return 0
	mountpoint -q /sys/fs/cgroup/hugetlb && return 0
	mount -t tmpfs berth-it "$BERTH_IT_HUGETLB"
	mkdir "$BERTH_IT_HUGETLB/hugetlb"
	mount -t cgroup -o hugetlb hugetlb "$BERTH_IT_HUGETLB/hugetlb"
}

run_one() {
	local runtime=$1 started=$SECONDS result
	shift
	result=$(mktemp)
	echo "== $runtime"
	RUNTIME=$runtime bats --formatter tap "${jobs[@]}" "$@" | tee "$result" | grep -E --line-buffered '^(1\.\.|not ok|#)' || true
	summary "$result" "$runtime" $((SECONDS - started))
}

# summary FILE NAME SECONDS: counts, and what was skipped for which reason.
summary() {
	local total failed skipped planned
	planned=$(sed -n 's/^1\.\.//p' "$1" | head -n1)
	total=$(grep -cE '^(not )?ok ' "$1" || true)
	failed=$(grep -c '^not ok ' "$1" || true)
	skipped=$(grep -cE '^ok .* # skip' "$1" || true)
	sed -n 's/^ok [0-9]* \(.*\) # skip \(.*\)/   skipped: \1 (\2)/p' "$1"
	rm -f "$1"
	echo "== $2: ${planned:-0} cases, $((total - failed - skipped)) passed, $skipped skipped, $failed failed, $3 s"
	((failed == 0 && total > 0 && total == planned))
}

jobs=()
check_tools
if [[ -z ${BERTH_IT_HUGETLB:-} ]]; then
	BERTH_IT_NEW=$(mktemp -d)
	trap 'rmdir "$BERTH_IT_NEW"' EXIT
	BERTH_IT_HUGETLB=$BERTH_IT_NEW unshare --mount --propagation private "$0" "$@"
	exit
fi
mount_hugetlb

peers=("${RUNTIME:-$here/../bin/berth}")
if [[ ${1:-} == all-peers ]]; then
	shift
	peers=()
	for p in "$here/../bin/berth" "$(command -v runc || true)" "$(command -v crun || true)"; do
		[[ -x $p ]] && peers+=("$p")
	done
fi
if [[ ${1:-} == -j ]]; then
	command -v parallel >/dev/null && jobs=(--jobs "$2" --no-parallelize-within-files)
	shift 2
fi
files=()
for f; do
	[[ -e $f ]] || f=$here/runtime/${f%.bats}.bats
	files+=("$(realpath "$f")")
done
((${#files[@]})) || files=("$here/runtime")
status=0
for p in "${peers[@]}"; do
	run_one "$p" "${files[@]}" || status=1
done
exit $status
