#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# systemd as process 1 of a container: from a bundle, and by Podman.

source "$BATS_TEST_DIRNAME/../podman/room.bash"
source "$BATS_TEST_DIRNAME/bundle.bash"

# Emulated machines are slow.
LONG=${BERTH_VM:+90}
LONG=${LONG:-20}

# One container of each kind is for the cases that only look.
setup_file() {
	export T=$ROOM/file
	mkdir -p "$T"
	boot look
	"$ROOM/bin/podman" run -d --name look --systemd=always --network none --cgroup-parent "$ROOM_CGROUP" sd >"$T/podman" 2>&1 </dev/null 3>&-
}
teardown_file() {
	runtime delete --force look >/dev/null 2>&1
	"$ROOM/bin/podman" rm -fa -t 0 >/dev/null 2>&1
}
setup() {
	ID=s$BATS_SUITE_TEST_NUMBER T=$ROOM/s$BATS_SUITE_TEST_NUMBER
	mkdir -p "$T"
	source "$BATS_TEST_DIRNAME/bundle.bash"
}
teardown() {
	runtime delete --force "$ID" >/dev/null 2>&1 || true
	"$ROOM/bin/podman" rm -f -t 0 "$ID" >/dev/null 2>&1 || true
	[[ ! -e $T/user ]] || as_user rm -f -t 0 "$ID" >/dev/null 2>&1 || true
	[[ ! $(find /sys/fs/cgroup -type d -path "*/$PARENT/$ID*" | head -n 1) ]] || fail "a cgroup is left"
}

PARENT=${ROOM##*/}
runtime() { "$(runtime_path)" --root "$ROOM/state" "$@" 3>&-; }
podman_() { timeout --foreground -k 1 "$LIMIT" "$ROOM/bin/podman" "$@" 3>&-; }
as_user() { timeout --foreground -k 1 "$LIMIT" "$ROOM/bin/user" podman "$@" 3>&-; }
# bundle_of NAME [JQ-FILTER [ROOTFS]]: $bundle, on an overlay of the root file system.
bundle_of() {
	bundle=$ROOM/bundle-$1
	mkdir -p "$bundle"
	if [[ ! ${3:-} ]]; then
		mkdir -p "$bundle"/{upper,work,rootfs}
		mount -t overlay -o "lowerdir=$ROOM/rootfs,upperdir=$bundle/upper,workdir=$bundle/work" overlay "$bundle/rootfs"
	fi
	make_bundle "$bundle" "${3:-$bundle/rootfs}" "/$PARENT/$1" "${2:-.}"
}
# boot NAME…: the same, started in the background.
boot() {
	local bundle
	bundle_of "$@"
	runtime run --detach --bundle "$bundle" "$1" >"$bundle/log" 2>&1 </dev/null || { cat "$bundle/log" >&2; return 1; }
}
# is_up COMMAND…: it says running, or degraded because of a unit that wants more than a container has.
is_up() { [[ $("$@" systemctl is-system-running 2>/dev/null </dev/null) =~ ^(running|degraded)$ ]]; }
wait_up() { WAIT=$LONG wait_for is_up "$@" || { "$@" systemctl list-jobs; "$@" systemctl --failed; return 1; } >&2; }
# run_bundle: in the foreground of a job; the status with which it ends is in $T/status.
run_bundle() {
	local bundle
	bundle_of "$ID"
	{
		status=0
		runtime run --bundle "$bundle" "$ID" >"$T/console" 2>&1 </dev/null || status=$?
		echo $status >"$T/status"
	} 3>&- &
	wait_up runtime exec "$ID"
}
has_ended() { [[ -s $T/status ]]; }

@test "systemd, bundle: it boots" {
	wait_up runtime exec look
	assert_eq "$(runtime exec look cat /proc/1/comm)" systemd
	assert_eq "$(runtime exec look systemd-detect-virt)" container-other
}

@test "systemd, bundle: its units are in cgroups below the container's" {
	wait_up runtime exec look
	runtime exec look systemctl is-active systemd-journald.service
	[[ $(find /sys/fs/cgroup -type d -path "*/$PARENT/look/*" -name systemd-journald.service | head -n 1) ]]
	try runtime exec look cat /proc/1/cgroup
	[[ $output != *"$PARENT/look"* ]]
}

@test "systemd, bundle: a unit starts, and its journal is there" {
	wait_up runtime exec look
	try runtime exec look systemd-run --wait --unit hello sh -c 'echo hello from $$; exit 3'
	assert_status 3
	wait_for runtime exec look sh -c 'journalctl -u hello --no-pager -o cat | grep -q "^hello from "'
}

@test "systemd, bundle: a service that dies is started again" {
	wait_up runtime exec look
	runtime exec look systemd-run --unit again -p Restart=always -p RestartSec=0 sleep 1000
	main() { runtime exec look systemctl show -P MainPID again; }
	first=$(main)
	runtime exec look systemctl kill -s KILL again
	other() { [[ $(main) != "$first" && $(main) != 0 ]]; }
	WAIT=$LONG wait_for other
	runtime exec look systemctl stop again
}

@test "systemd, bundle: limits of a unit, on cgroup v2" {
	[[ -e /sys/fs/cgroup/cgroup.controllers ]] || skip "with cgroup v1 a container's systemd has no controllers to give out"
	wait_up runtime exec look
	try runtime exec look systemd-run --wait --pipe -p MemoryMax=50M -p TasksMax=33 sh -c 'cd /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup); cat memory.max pids.max'
	assert_ok
	assert_has 52428800
	assert_has 33
}

@test "systemd, bundle: SIGRTMIN+3 shuts it down, with status 0" {
	run_bundle
	runtime kill "$ID" 37
	WAIT=$LONG wait_for has_ended
	assert_eq "$(<"$T/status")" 0
}

@test "systemd, bundle: poweroff from inside ends the container with status 0" {
	run_bundle
	runtime exec "$ID" systemctl poweroff >/dev/null 2>&1 || true
	WAIT=$LONG wait_for has_ended
	assert_eq "$(<"$T/status")" 0
}

@test "systemd, bundle: systemctl exit 7 is the container's status" {
	run_bundle
	runtime exec "$ID" systemctl exit 7 >/dev/null 2>&1 || true
	WAIT=$LONG wait_for has_ended
	assert_eq "$(<"$T/status")" 7
}

@test "systemd, bundle: in a user namespace" {
	[[ -e /sys/fs/cgroup/cgroup.controllers ]] || skip "cgroup v1 gives no cgroup to the root of a user namespace, with runc neither"
	cp -a --reflink=auto "$ROOM/rootfs" "$T/rootfs"
	chown -R --from=0:0 700000:700000 "$T/rootfs"
	boot "$ID" '.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 700000, size: 65536}] | .linux.gidMappings = .linux.uidMappings' "$T/rootfs"
	wait_up runtime exec "$ID"
	assert_eq "$(stat -c %u "/proc/$(runtime state "$ID" | jq .pid)")" 700000
}

@test "systemd, Podman: --systemd=always boots" {
	wait_up podman_ exec look
	assert_eq "$(podman_ exec look cat /proc/1/comm)" systemd
	assert_eq "$(podman_ exec look systemd-detect-virt)" podman
}

@test "systemd, Podman: a unit starts, and its journal is there" {
	wait_up podman_ exec look
	try podman_ exec look systemd-run --wait --unit hello sh -c 'echo hello; exit 3'
	assert_status 3
	wait_for podman_ exec look sh -c 'journalctl -u hello --no-pager -o cat | grep -qx hello'
}

@test "systemd, Podman: stop shuts it down, with status 0" {
	podman_ run -d --name "$ID" --network none --cgroup-parent "$ROOM_CGROUP" sd /sbin/init >"$T/out" 2>&1 </dev/null
	wait_up podman_ exec "$ID"
	podman_ stop -t "$LONG" "$ID" >"$T/out"
	assert_eq "$(podman_ inspect --format '{{.State.ExitCode}}' "$ID")" 0
}

@test "systemd, Podman: a container restarts, and boots again" {
	podman_ run -d --name "$ID" --network none --cgroup-parent "$ROOM_CGROUP" sd >"$T/out" 2>&1 </dev/null
	wait_up podman_ exec "$ID"
	podman_ restart -t "$LONG" "$ID" >"$T/out"
	wait_up podman_ exec "$ID"
}

@test "systemd, Podman: an ordinary user's" {
	[[ $USER_CGROUPS == systemd ]] || skip "a user's cgroups need systemd's delegation, on cgroup v2"
	touch "$T/user"
	as_user import -q --change 'CMD ["/sbin/init"]' "$(systemd_tar)" sd >"$T/out"
	as_user run -d --name "$ID" --network none sd >"$T/out" 2>&1 </dev/null
	wait_up as_user exec "$ID"
	as_user stop -t "$LONG" "$ID" >"$T/out"
	assert_eq "$(as_user inspect --format '{{.State.ExitCode}}' "$ID")" 0
}
