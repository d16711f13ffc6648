#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Processes beside init.

load helpers

@test "exec: output and status" {
	idle_ct
	exec_ct echo hello
	assert_output hello
	exec_ct sh -c 'exit 9'
	assert_status 9
}

@test "exec: stdin" {
	idle_ct
	# ctr 1.6 misses an end of input that is there before the task is
	output=$({ echo through; sleep 0.5; } | ctr_ task exec --exec-id e1 "$ID" cat 3>&-)
	assert_output through
}

@test "exec: 3 MB of output arrive whole" {
	idle_ct
	want=$(seq 1 450000 | md5sum)
	got=$(ctr_ task exec --exec-id e1 "$ID" seq 1 450000 2>/dev/null </dev/null 3>&- | md5sum)
	assert_eq "$got" "$want"
}

@test "exec: a terminal" {
	idle_ct
	output=$(script -qec "ctr --address $CD/c.sock task exec -t --exec-id e1 $ID tty" /dev/null </dev/null 3>&- | tr -d '\r')
	assert_has /dev/pts/
}

@test "exec: working directory and user" {
	idle_ct
	try ctr_ task exec --exec-id e1 --cwd /tmp --user 1000 "$ID" sh -c 'pwd; id -u'
	assert_output $'/tmp\n1000'
}

@test "exec: a program that is not there is an error with its name" {
	idle_ct
	exec_ct /no/such/program
	assert_fails /no/such/program
	exec_ct true
	assert_ok
}

@test "exec: in a stopped container is refused" {
	detach_ct true
	wait_status STOPPED
	exec_ct true
	assert_fails
}

@test "exec: an id that is taken is refused" {
	idle_ct
	ctr_ task exec -d --exec-id same "$ID" sleep 1000
	try ctr_ task exec -d --exec-id same "$ID" sleep 1000
	assert_fails "already exists"
}

@test "exec: ps tells which process is whose" {
	idle_ct
	ctr_ task exec -d --exec-id mine "$ID" sleep 1000
	try ctr_ task ps "$ID"
	assert_has mine
}

@test "exec: a signal to an exec alone" {
	idle_ct
	ctr_ task exec -d --exec-id mine "$ID" sleep 1000
	ctr_ task kill -s KILL --exec-id mine "$ID"
	only_init() { [[ $(ctr_ task ps "$ID" | wc -l) == 2 ]]; }
	wait_for only_init
	assert_eq "$(status_of)" RUNNING
}

@test "exec: init's end ends all" {
	watch_events
	idle_ct
	ctr_ task exec -d --exec-id one "$ID" sleep 1000
	ctr_ task exec -d --exec-id two "$ID" sleep 1000
	ctr_ task kill -s KILL "$ID"
	wait_status STOPPED
	kill $EVENTS
	assert_eq "$(grep -F "\"$ID\"" "$T/events" | grep -c /tasks/exit)" 3
	# init's own exit is the last of them
	grep -F "\"$ID\"" "$T/events" | grep /tasks/exit | tail -n1 | grep -q "\"id\":\"$ID\""
}

@test "exec: one that leaves a child holding its output does not hang the others" {
	idle_ct
	ctr_ task exec -d --exec-id bg "$ID" sh -c 'sleep 1000 &'
	sleep 0.2
	exec_ct echo fine
	assert_output fine
}

@test "exec: 50 at once, each with its status" {
	local i
	idle_ct
	for ((i = 0; i < 50; i++)); do
		ctr_ task exec --exec-id "e$i" "$ID" sh -c "exit $i" >/dev/null 2>&1 </dev/null 3>&- &
		pids[i]=$!
	done
	for i in "${!pids[@]}"; do
		status=0
		wait "${pids[i]}" || status=$?
		assert_status "$i"
	done
}

@test "exec: does not see the shim's descriptors" {
	idle_ct
	exec_ct ls /proc/self/fd
	assert_eq "$(wc -w <<<"$output")" 4
}
