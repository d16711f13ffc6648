#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

@test "delete: a stopped container leaves nothing and frees the id" {
	set_args true
	detach_ct
	wait_status stopped
	try rt delete "$ID"
	assert_ok
	assert_output ""
	assert_nothing_left
	try rt state "$ID"
	assert_fails
	create_ct
}

@test "delete: a created container, without --force" {
	create_ct
	pid=$(state_of pid)
	rt delete "$ID"
	wait_gone "$pid"
	assert_nothing_left
}

@test "delete: a running container is refused" {
	idle_ct
	try rt delete "$ID"
	case $RT in
	crun) assert_fails 'is not in `created` or `stopped` state' ;;
	*) assert_fails "cannot delete container $ID that is not stopped: running" ;;
	esac
	assert_eq "$(status_of)" running
}

@test "delete --force: a running container" {
	idle_ct
	pid=$(state_of pid)
	try rt delete --force "$ID"
	assert_ok
	assert_output ""
	wait_gone "$pid"
	assert_nothing_left
}

@test "delete -f: the short form" {
	idle_ct
	rt delete -f "$ID"
	assert_nothing_left
}

@test "delete --force: an unknown id is success" {
	try rt delete --force "$ID-unknown"
	assert_ok
}

@test "delete: an unknown id fails" {
	try rt delete "$ID-unknown"
	assert_unknown
}

@test "delete --force: a paused container" {
	lacks crun "1.8 does not thaw"
	idle_ct
	pid=$(state_of pid)
	freeze_ct
	wait_status paused
	SECONDS=0
	rt delete --force "$ID"
	((SECONDS < 5))
	wait_gone "$pid"
	assert_nothing_left
}

@test "delete: a paused container without --force is refused" {
	lacks crun "1.8 waits"
	idle_ct
	freeze_ct
	wait_status paused
	try rt delete "$ID"
	thaw_ct
	assert_fails "paused"
}

@test "delete --force: without a pid namespace kills everything" {
	lacks runc 1.2 "kills init only"
	update_config '.linux.namespaces |= map(select(.type != "pid"))'
	set_script 'setsid sleep 3000 & echo $!; sleep 4000'
	detach_ct
	wait_output '[0-9]'
	rt delete --force "$ID"
	wait_gone "$(cat "$T/out")"
	assert_nothing_left
}

@test "delete: cgroups that the container made are removed with it" {
	idle_ct
	cgroups_of "$ID" | while read -r dir; do mkdir -p "$dir/a/b" "$dir/c"; done
	rt delete --force "$ID"
	assert_nothing_left
}

@test "delete: a cgroup that is gone already" {
	set_args true
	detach_ct
	wait_status stopped
	cgroups_of "$ID" | xargs -r rmdir
	rt delete "$ID"
	assert_nothing_left
}

@test "delete --force: a state directory without state" {
	lacks runc "cannot: load fails"
	mkdir -p "$ROOT/$ID"
	rt delete --force "$ID"
	[[ ! -e $ROOT/$ID ]]
}

@test "delete --force: a state file that is damaged" {
	needs_berth "peers refuse to load it"
	idle_ct
	pid=$(state_of pid)
	for f in "$ROOT/$ID"/*.json; do
		echo '{"id":' >"$f"
	done
	kill -9 "$pid"
	wait_gone "$pid"
	cgroups_of "$ID" | xargs -r rmdir
	rt delete --force "$ID"
	assert_nothing_left
}

@test "delete: the bundle stays as it was" {
	before=$(find "$BUNDLE" -printf '%P %y %m %u %s\n' | grep -vE 'rootfs/(dev|proc|sys)( |/|$)' | sort)
	set_args true
	detach_ct
	wait_status stopped
	rt delete "$ID"
	after=$(find "$BUNDLE" -printf '%P %y %m %u %s\n' | grep -vE 'rootfs/(dev|proc|sys)( |/|$)' | sort)
	diff <(echo "$before" | grep -v '^config.json\|^rootfs d\|^ d') <(echo "$after" | grep -v '^config.json\|^rootfs d\|^ d')
}

@test "delete: the bundle may be gone" {
	idle_ct
	mv "$BUNDLE" "$T/moved"
	rt delete --force "$ID"
	assert_nothing_left
}
