#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

setup() {
	setup_bundle
	needs_freezer
}
teardown() { teardown_cgroup; }

# frozen_state: what the kernel says: FROZEN or THAWED, 1 or 0 on v2.
frozen_state() { limit_of freezer freezer.state cgroup.freeze; }
# counting_ct: a container that counts in $ROOTFS/tmp/n.
counting_ct() {
	set_script 'i=0; while :; do i=$((i+1)); echo $i >/tmp/n; done'
	detach_ct
	wait_for test -s "$ROOTFS/tmp/n"
}
# counts: does the number change within half a second?
counts() {
	local before i
	before=$(stat -c '%y %s' "$ROOTFS/tmp/n")
	for ((i = 0; i < 25; i++)); do
		[[ $(stat -c '%y %s' "$ROOTFS/tmp/n") == "$before" ]] || return 0
		sleep 0.02
	done
	return 1
}

@test "pause: nothing runs in the container, until resume" {
	counting_ct
	counts
	try rt pause "$ID"
	assert_ok
	assert_output ""
	! counts || fail "still counts"
	try rt resume "$ID"
	assert_ok
	assert_output ""
	counts || fail "does not count again"
}

@test "pause: state and list say paused, and running after resume" {
	idle_ct
	rt pause "$ID"
	assert_eq "$(status_of)" paused
	assert_eq "$(frozen_state)" "$(by_version FROZEN 1)"
	rt list | grep -q "^$ID .*paused"
	assert_eq "$(rt list --format json | jq -r '.[0].status')" paused
	rt resume "$ID"
	assert_eq "$(status_of)" running
	assert_eq "$(frozen_state)" "$(by_version THAWED 0)"
	rt list | grep -q "^$ID .*running"
}

@test "pause: children and processes of exec are paused too" {
	set_script '(while :; do echo x >/tmp/n; done) & sleep 1000'
	detach_ct
	wait_for test -e "$ROOTFS/tmp/n"
	rt exec -d "$ID" sh -c 'while :; do echo x >/tmp/n; done' </dev/null >/dev/null 2>&1 3>&-
	rt pause "$ID"
	! counts || fail "still counts"
}

@test "pause: twice" {
	lacks crun "takes it"
	idle_ct
	rt pause "$ID"
	try rt pause "$ID"
	assert_fails "container not running"
	assert_eq "$(status_of)" paused
}

@test "resume: of a running container" {
	lacks crun "takes it"
	idle_ct
	try rt resume "$ID"
	assert_fails "container not paused"
	assert_eq "$(status_of)" running
}

@test "pause: of a created container, that starts after resume" {
	set_args sleep 1000
	create_ct
	try rt pause "$ID"
	assert_ok
	assert_eq "$(frozen_state)" "$(by_version FROZEN 1)"
	try rt resume "$ID"
	assert_ok
	start_ct
	wait_status running
}

@test "pause and resume: of a stopped container" {
	set_args true
	detach_ct
	wait_status stopped
	try rt pause "$ID"
	assert_fails
	try rt resume "$ID"
	assert_fails
	assert_eq "$(status_of)" stopped
}

@test "pause and resume: of an unknown container" {
	try rt pause "$ID-unknown"
	assert_unknown
	try rt resume "$ID-unknown"
	assert_unknown
}

@test "pause and resume: need an id" {
	try rt pause
	assert_fails
	try rt resume
	assert_fails
}

@test "pause: exec is refused, and nothing of it stays" {
	lacks crun "waits for the thaw"
	idle_ct
	rt pause "$ID"
	try rt exec "$ID" touch /tmp/ran </dev/null
	assert_fails "paused"
	rt resume "$ID"
	[[ ! -e $ROOTFS/tmp/ran ]]
	exec_ct echo again
	assert_output again
}

@test "pause: exec --ignore-paused runs after the thaw" {
	lacks crun "no such flag"
	lacks runc 1.2 "its exec is stuck in the freezer"
	idle_ct
	rt pause "$ID"
	rt exec --ignore-paused "$ID" echo late </dev/null >"$T/late" 2>&1 3>&- &
	exec_pid=$!
	sleep 0.3
	assert_eq "$(cat "$T/late")" ""
	rt resume "$ID"
	wait $exec_pid
	assert_eq "$(cat "$T/late")" late
}

@test "pause: kill -KILL ends a paused container" {
	lacks crun "stays frozen"
	idle_ct
	pid=$(state_of pid)
	rt pause "$ID"
	try rt kill "$ID" KILL
	assert_ok
	wait_gone "$pid"
	wait_status stopped
	rt delete "$ID"
	assert_nothing_left
	assert_no_cgroup
}

@test "pause: another signal waits for resume" {
	set_script 'trap "echo got; exit" USR1; echo ready; while :; do sleep 0.02; done'
	detach_ct
	wait_output ready
	rt pause "$ID"
	rt kill "$ID" USR1
	sleep 0.2
	run ! grep -q got "$T/out"
	rt resume "$ID"
	wait_output got
}

@test "pause: delete is refused without --force" {
	idle_ct
	rt pause "$ID"
	try rt delete "$ID"
	assert_fails
	assert_eq "$(status_of)" paused
}

@test "pause: delete --force" {
	lacks crun "hangs"
	idle_ct
	rt exec -d "$ID" sleep 2000 </dev/null >/dev/null 2>&1 3>&-
	pid=$(state_of pid)
	rt pause "$ID"
	try rt delete --force "$ID"
	assert_ok
	gone "$pid"
	assert_nothing_left
	assert_no_cgroup
}

@test "pause: ps still lists the processes" {
	idle_ct
	rt pause "$ID"
	try rt ps --format json "$ID"
	assert_eq "$(jq -c . <<<"$output")" "[$(state_of pid)]"
}

@test "pause: update works, and the container stays paused" {
	needs_controller pids
	counting_ct
	rt pause "$ID"
	try rt update --pids-limit 77 "$ID"
	assert_ok
	assert_limit pids pids.max 77 pids.max 77
	assert_eq "$(status_of)" paused
	! counts || fail "update thawed it"
}

@test "pause: what somebody else froze is paused too, and resume thaws it" {
	idle_ct
	by_version FROZEN 1 >"$(cgroup_dir freezer)/$(by_version freezer.state cgroup.freeze)"
	wait_status paused
	rt resume "$ID"
	assert_eq "$(status_of)" running
}

@test "pause: fifty times in a row under load" {
	counting_ct
	for ((i = 0; i < 50; i++)); do
		rt pause "$ID"
		assert_eq "$(frozen_state)" "$(by_version FROZEN 1)"
		rt resume "$ID"
	done
	counts || fail "does not count again"
}

@test "pause: of a container without a cgroup of its own" {
	needs_berth "others have no containers without cgroups"
	idle_ct --cgroup-manager disabled 2>/dev/null || {
		rt --cgroup-manager disabled run --detach --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>"$T/err" 3>&-
	}
	try rt pause "$ID"
	assert_fails
	assert_eq "$(status_of)" running
}

@test "pause: a created container is shown as paused and cannot be started" {
	lacks crun "1.8 does not look"
	create_ct
	rt pause "$ID"
	assert_eq "$(status_of)" paused
	try rt start "$ID"
	assert_fails "in the paused state"
	rt resume "$ID"
	assert_eq "$(status_of)" created
	rt start "$ID"
}
