#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# ctr tasks: the life of a task, its execs, streams and events.

load helpers

@test "ctr tasks: started in the background, listed, killed, removed" {
	detach_t sleep 1000
	assert_eq "$(state_t)" RUNNING
	ctr_ tasks kill -s KILL "$ID"
	wait_for is_state_t STOPPED
	try ctr_ tasks rm "$ID"
	assert_eq "$(ctr_ tasks ls -q)" ""
}

@test "ctr tasks kill: the signal that is asked for" {
	detach_t sh -c 'trap "exit 42" USR1; echo ready >/tmp/ready; while :; do sleep 0.05; done'
	wait_for ctr_ tasks exec --exec-id "r$RANDOM" "$ID" test -e /tmp/ready
	ctr_ tasks kill -s USR1 "$ID"
	wait_for is_state_t STOPPED
	try ctr_ tasks rm "$ID"
	assert_has "exit code 42"
}

@test "ctr tasks kill --all: all its processes" {
	detach_t sh -c 'sleep 1000 & sleep 1000 & wait'
	wait_for eval '(($(ctr_ tasks ps "$ID" | tail -n +2 | wc -l) == 3))'
	ctr_ tasks kill -a -s KILL "$ID"
	wait_for is_state_t STOPPED
}

@test "ctr tasks rm: a running task is refused, and removed by force" {
	detach_t sleep 1000
	try ctr_ tasks rm "$ID"
	assert_fails "must be stopped"
	assert_eq "$(state_t)" RUNNING
	try ctr_ tasks rm -f "$ID"
	assert_eq "$(ctr_ tasks ls -q)" ""
}

# An exec sleeps after its output: ctr may stop opening a fifo before it has begun.
@test "ctr tasks exec: output, exit status, user and working directory" {
	detach_t sleep 1000
	exec_t sh -c 'echo out; sleep 0.3; exit 3'
	assert_status 3
	assert_output out
	EXTRA=(--user 1000 --cwd /tmp)
	exec_t sh -c 'id -u; pwd; sleep 0.3'
	assert_output $'1000\n/tmp'
}

@test "ctr tasks exec -t: a terminal" {
	detach_t sleep 1000
	output=$(timeout 20 script -qec "nsenter --net=/run/netns/$ROOM_NETNS --mount=$ROOM/ns/mnt -- ctr tasks exec -t --exec-id tty $ID sh -c 'tty; sleep 0.3'" /dev/null 3>&- | tr -d '\r' | sed 's/^^@//')
	assert_output /dev/pts/0
}

@test "ctr tasks exec: a command that is not there is said so, and the task goes on" {
	detach_t sleep 1000
	exec_t /no/such
	assert_fails "no such file or directory"
	assert_eq "$(state_t)" RUNNING
}

@test "ctr tasks exec: ten at a time" {
	local i
	detach_t sleep 1000
	for i in {1..10}; do
		ctr_ tasks exec --exec-id "p$i" "$ID" sh -c "echo $i >>/tmp/all; exit $i" >/dev/null 2>&1 </dev/null &
		PIDS+=($!)
	done
	for i in {1..10}; do
		status=0
		wait "${PIDS[i - 1]}" || status=$?
		assert_status "$i"
	done
	exec_t sh -c 'sort -n /tmp/all; sleep 0.3'
	assert_output "$(seq 10)"
}

@test "ctr tasks pause, resume: it stands still and goes on" {
	detach_t sh -c 'while :; do echo x >>/tmp/ticks; sleep 0.02; done'
	ctr_ tasks pause "$ID"
	assert_eq "$(state_t)" PAUSED
	exec_t true
	assert_fails
	ctr_ tasks resume "$ID"
	assert_eq "$(state_t)" RUNNING
	exec_t true
	assert_ok
}

@test "ctr tasks metrics: memory, processes, CPU" {
	detach_t sleep 1000
	try ctr_ tasks metrics --format json "$ID"
	assert_ok
	[[ $(jq '[.pids.current, .pids.Current] | map(select(. != null))[0]' <<<"$output") == 1 ]] || fail "want one process"
	(($(jq '.memory.usage.usage // .memory.usage' <<<"$output") > 0)) || fail "want memory"
}

@test "ctr tasks ps: the processes of the task" {
	detach_t sh -c 'sleep 1000 & wait'
	wait_for eval '(($(ctr_ tasks ps "$ID" | tail -n +2 | wc -l) == 2))'
	ctr_ tasks ps "$ID" | grep -qw "$(pid_t)"
}

@test "ctr events: a task's events come once and in order" {
	watch_events
	run_t true
	wait_for has_event delete
	assert_eq "$(events_of)" "create start exit delete"
}

@test "ctr events: an exec's events come before the end of the task" {
	watch_events
	detach_t sleep 1000
	exec_t true
	ctr_ tasks kill -s KILL "$ID"
	wait_for is_state_t STOPPED
	try ctr_ tasks rm "$ID"
	wait_for has_event delete
	assert_eq "$(events_of)" "create start exec-added exec-started exit exit delete"
}

@test "ctr tasks checkpoint: refused with a reason, and the task goes on" {
	! command -v criu >/dev/null || ours || skip "criu is on this machine"
	detach_t sleep 1000
	try ctr_ tasks checkpoint "$ID"
	assert_fails
	[[ -n $output ]] || fail "want a reason"
	assert_eq "$(state_t)" RUNNING
	exec_t true
	assert_ok
}

@test "ctr tasks attach: what is written from then on" {
	detach_t sh -c 'until test -e /tmp/go; do sleep 0.02; done; echo word; exit 3'
	ctr_ tasks attach "$ID" >"$T/attach" 2>&1 </dev/null &
	PIDS+=($!)
	wait_for ctr_ tasks exec --exec-id "r$RANDOM" "$ID" touch /tmp/go
	status=0
	wait "${PIDS[0]}" || status=$?
	assert_status 3
	assert_eq "$(<"$T/attach")" word
}

@test "ctr run: stdin reaches the task" {
	status=0
	output=$(seq 1000 | ctr_ run --rm "${RUNTIME[@]}" --cgroup "$ROOM_CGROUP/$ID" localhost/bb:1 "$ID" sh -c 'head -n 1000 | md5sum') || status=$?
	assert_ok
	assert_output "$(seq 1000 | md5sum)"
}

@test "ctr run: a megabyte of output, none of it lost" {
	status=0
	output=$(ctr_ run --rm "${RUNTIME[@]}" --cgroup "$ROOM_CGROUP/$ID" localhost/bb:1 "$ID" sh -c 'yes 123456789012345 | head -c 1048576' </dev/null | md5sum) || status=$?
	assert_output "$(yes 123456789012345 | head -c 1048576 | md5sum)"
}

@test "ctr run --log-uri file: the output is in the file" {
	EXTRA=(--log-uri "file://$T/log")
	detach_t sh -c 'echo out; echo err >&2'
	wait_for is_state_t STOPPED
	assert_eq "$(sort "$T/log")" $'err\nout'
}

@test "ctr tasks start: the same container again, with its files" {
	detach_t sh -c 'echo x >>/tmp/runs; sleep 1000'
	wait_for ctr_ tasks exec --exec-id "r$RANDOM" "$ID" test -e /tmp/runs
	try ctr_ tasks rm -f "$ID"
	try ctr_ tasks start --detach "$ID"
	assert_ok
	wait_for eval '[[ $(ctr_ tasks exec --exec-id "r$RANDOM" "$ID" cat /tmp/runs | wc -l) == 2 ]]'
}

@test "a shim for each task, and none after it" {
	AS_ID=$ID-a detach_t sleep 1000
	AS_ID=$ID-b detach_t sleep 1000
	assert_eq "$(shims | wc -l)" 2
	try ctr_ tasks rm -f "$ID-a"
	wait_for eval '[[ $(shims | wc -l) == 1 ]]'
}

@test "the shim is started, and answers, in the way of its containerd" {
	ours || skip "it is Berth's shim"
	since 2.0 "does not log it"
	detach_t sleep 1000
	local version=3
	! cd_older 2.3 || version=2
	grep "connecting to shim $ID\"" "$ROOM/containerd.log" | tail -n1 | grep "protocol=ttrpc version=$version"
}
