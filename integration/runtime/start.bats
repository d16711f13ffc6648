#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

@test "start: runs the program and prints nothing" {
	set_args sleep 1000
	create_ct
	try start_ct
	assert_ok
	assert_output ""
	wait_for grep -q sleep "/proc/$(state_of pid)/cmdline"
}

@test "start: of a running container" {
	idle_ct
	try start_ct
	case $RT in
	crun) assert_fails ;;
	*) assert_fails "cannot start an already running container" ;;
	esac
	assert_eq "$(status_of)" running
}

@test "start: of a stopped container" {
	create_ct
	start_ct
	wait_status stopped
	try start_ct
	case $RT in
	crun) assert_fails ;;
	*) assert_fails "cannot start a container that has stopped" ;;
	esac
}

@test "start: of an unknown id" {
	try start_ct "$ID-unknown"
	assert_unknown
}

@test "start: fails, and does not hang, when init was killed" {
	create_ct
	kill -9 "$(state_of pid)"
	wait_gone "$(state_of pid)"
	SECONDS=0
	try start_ct
	assert_fails
	((SECONDS < 5))
}

@test "start: needs an id" {
	try rt start
	assert_fails
}

@test "start: of two at once exactly one succeeds" {
	lacks crun "both may succeed"
	lacks runc "both may succeed before 1.2"
	set_args sleep 1000
	create_ct
	rt start "$ID" >"$T/a" 2>&1 3>&- &
	first=$!
	rt start "$ID" >"$T/b" 2>&1 3>&- &
	second=$!
	won=0
	wait $first && won=$((won + 1))
	wait $second && won=$((won + 1))
	assert_eq $won 1
	wait_status running
}

@test "start: needs neither the bundle's config nor its directory" {
	set_script 'echo ran; sleep 1000'
	create_ct
	rm "$CONFIG"
	start_ct
	wait_output ran
}

@test "start: the state root is found without HOME and PATH" {
	set_args sleep 1000
	create_ct
	env -i "$RUNTIME" --root "$ROOT" start "$ID"
	wait_status running
}

@test "start: the program takes init's pid and the pid stays the same" {
	set_args sleep 1000
	create_ct
	before=$(state_of pid)
	start_ct
	assert_eq "$(state_of pid)" "$before"
}

@test "start: killed before it removed the fifo, the container counts as running" {
	needs_berth "exec.fifo is its own"
	set_args sleep 1000
	create_ct
	# What such a start leaves: init was told to go on, and the name is there.
	printf '\0' >"$ROOT/$ID/exec.fifo"
	wait_status running
	try start_ct
	assert_fails
}

@test "start: one that is at work keeps others out" {
	needs_berth "exec.fifo is its own"
	set_args sleep 1000
	create_ct
	exec {lock}<>"$ROOT/$ID/exec.fifo"
	flock -x "$lock"
	try start_ct
	assert_fails
	assert_has "already running"
	exec {lock}>&-
	try start_ct
	assert_ok
}
