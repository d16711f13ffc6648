#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A task's life through ctr and containerd.

load helpers

@test "shim: run shows output and ends with 0" {
	run_ct echo hello
	assert_ok
	assert_output hello
}

@test "shim: exit status" {
	run_ct sh -c 'exit 42'
	assert_status 42
}

@test "shim: a signal ends with 128 and its number" {
	run_ct sh -c 'kill -9 $$'
	# init of its own pid namespace cannot kill itself
	assert_ok
	idle_ct
	ctr_ task kill -s KILL "$ID"
	wait_status STOPPED
	try ctr_ task rm "$ID"
	assert_has 137
}

@test "shim: stdout and stderr" {
	status=0
	ctr_ run --rm --runtime "$SHIM" --cgroup "$SUITE_CGROUP/$ID" --rootfs "$CD/rootfs" "$ID" sh -c 'echo out; echo err >&2' \
		>"$T/out" 2>"$T/err" </dev/null 3>&- || status=$?
	assert_ok
	assert_eq "$(<"$T/out")" out
	assert_eq "$(<"$T/err")" err
}

@test "shim: stdin reaches the process, and its end" {
	output=$({ printf 'one\ntwo\n'; sleep 0.5; } | ctr_ run --rm --runtime "$SHIM" --cgroup "$SUITE_CGROUP/$ID" --rootfs "$CD/rootfs" "$ID" cat 3>&-)
	assert_output $'one\ntwo'
}

@test "shim: 20 MB of output arrive whole" {
	want=$(seq 1 2600000 | md5sum)
	got=$(ctr_ run --rm --runtime "$SHIM" --cgroup "$SUITE_CGROUP/$ID" --rootfs "$CD/rootfs" "$ID" seq 1 2600000 2>/dev/null </dev/null 3>&- | md5sum)
	assert_eq "$got" "$want"
}

@test "shim: 5 MB of input arrive whole" {
	head -c 5000000 /dev/urandom >"$T/in"
	got=$({ cat "$T/in"; sleep 0.5; } | ctr_ run --rm --runtime "$SHIM" --cgroup "$SUITE_CGROUP/$ID" --rootfs "$CD/rootfs" "$ID" md5sum 3>&- | cut -d' ' -f1)
	assert_eq "$got" "$(md5sum <"$T/in" | cut -d' ' -f1)"
}

@test "shim: a program that is not there is an error with its name" {
	run_ct /no/such/program
	assert_fails /no/such/program
}

@test "shim: after a create that failed the id is free" {
	run_ct /no/such/program
	assert_fails
	ctr_ container rm "$ID" 2>/dev/null || true
	run_ct echo fine
	assert_output fine
}

@test "shim: detached, listed, killed, removed" {
	idle_ct
	assert_eq "$(status_of)" RUNNING
	ctr_ task kill -s KILL "$ID"
	wait_status STOPPED
	try ctr_ task rm "$ID"
	assert_has 137
	assert_eq "$(status_of)" ""
}

@test "shim: kill with a signal that is caught" {
	detach_ct sh -c 'trap "exit 5" TERM; while :; do usleep 50000; done'
	sleep 0.5
	ctr_ task kill -s TERM "$ID"
	wait_status STOPPED
	try ctr_ task rm "$ID"
	assert_has "code 5"
}

@test "shim: kill of a stopped task is not found" {
	detach_ct true
	wait_status STOPPED
	try ctr_ task kill -s TERM "$ID"
	assert_fails "not found"
}

@test "shim: delete of a running task is refused" {
	idle_ct
	try ctr_ task rm "$ID"
	assert_fails
	assert_eq "$(status_of)" RUNNING
}

@test "shim: rm --force of a running task" {
	idle_ct
	pid=$(pid_of)
	try ctr_ task rm -f "$ID"
	[[ ! -d /proc/$pid ]]
}

@test "shim: a task of an id that is taken is refused" {
	idle_ct
	try ctr_ task start -d "$ID"
	assert_fails "already exists"
}

@test "shim: ps lists the processes" {
	detach_ct sh -c 'sleep 1000 & sleep 1000'
	sleep 0.2
	try ctr_ task ps "$ID"
	assert_eq "$(wc -l <<<"$output")" 3
}

@test "shim: pause and resume" {
	idle_ct
	ctr_ task pause "$ID"
	assert_eq "$(status_of)" PAUSED
	exec_ct true
	assert_fails
	ctr_ task resume "$ID"
	assert_eq "$(status_of)" RUNNING
	exec_ct true
	assert_ok
}

@test "shim: a paused task can be killed and removed" {
	idle_ct
	ctr_ task pause "$ID"
	ctr_ task kill -s KILL "$ID"
	ctr_ task resume "$ID" || true
	wait_status STOPPED
}

@test "shim: metrics" {
	idle_ct
	try ctr_ task metrics "$ID"
	assert_ok
	assert_has pids.current
	assert_has memory.usage
}

@test "shim: checkpoint is refused cleanly" {
	idle_ct
	try ctr_ task checkpoint --image-path "$T/img" "$ID"
	assert_fails
	assert_eq "$(status_of)" RUNNING
}

@test "shim: a terminal" {
	output=$(script -qec "ctr --address $CD/c.sock run --rm -t --runtime $SHIM --cgroup $SUITE_CGROUP/$ID --rootfs $CD/rootfs $ID tty" /dev/null </dev/null 3>&- | tr -d '\r')
	assert_has /dev/pts/
}

@test "shim: the terminal has the caller's size" {
	output=$(script -qec "stty rows 33 cols 77; ctr --address $CD/c.sock run --rm -t --runtime $SHIM --cgroup $SUITE_CGROUP/$ID --rootfs $CD/rootfs $ID sh -c 'sleep 0.5; stty size'" /dev/null </dev/null 3>&- | tr -d '\r')
	assert_has "33 77"
}

@test "shim: memory limit and out of memory event" {
	watch_events
	EXTRA=(--memory-limit 20000000)
	run_ct sh -c 'x=$(yes | head -c 90000000); echo survived'
	kill $EVENTS
	[[ $output != *survived* ]]
	has_event oom
	events_of | grep -q 'oom.* exit'
}

@test "shim: environment and working directory" {
	EXTRA=(--env A=b --cwd /tmp)
	run_ct sh -c 'echo $A; pwd'
	assert_output $'b\n/tmp'
}

@test "shim: read-only root" {
	EXTRA=(--read-only)
	run_ct touch /x
	assert_fails
}

@test "shim: a bind mount" {
	echo inside >"$T/f"
	EXTRA=(--mount "type=bind,src=$T,dst=/tmp,options=rbind:ro")
	run_ct cat /tmp/f
	assert_output inside
}

@test "shim: events of a life, in order" {
	watch_events
	run_ct true
	wait_for has_event delete
	kill $EVENTS
	assert_eq "$(events_of)" "create start exit delete"
}

@test "shim: events of an exec, in order" {
	watch_events
	idle_ct
	exec_ct true
	ctr_ task kill -s KILL "$ID"
	wait_status STOPPED
	ctr_ task rm "$ID" || true
	wait_for has_event delete
	kill $EVENTS
	assert_eq "$(events_of)" "create start exec-added exec-started exit exit delete"
}

@test "shim: 100 short ones in a row, each with its status" {
	local i
	for ((i = 0; i < 100; i++)); do
		run_ct sh -c "exit $((i % 100))"
		assert_status $((i % 100))
	done
}

@test "shim: 8 at once" {
	local i
	for ((i = 0; i < 8; i++)); do
		ctr_ run --rm --runtime "$SHIM" --cgroup "$SUITE_CGROUP/$ID-$i" --rootfs "$CD/rootfs" "$ID-$i" sh -c "echo $i" >"$T/o$i" 2>&1 </dev/null 3>&- &
		pids[i]=$!
	done
	for i in "${!pids[@]}"; do
		wait "${pids[i]}"
		assert_eq "$(<"$T/o$i")" "$i"
	done
}

@test "shim: berth sees the container" {
	idle_ct
	try "$BIN/berth" --root /run/containerd/berth/default state "$ID"
	assert_has '"status": "running"'
}

@test "shim: another runtime by its binary" {
	SHIM=io.containerd.runc.v2
	EXTRA=(--runc-binary /usr/sbin/runc --env PATH=/bin)
	run_ct echo by runc
	assert_output "by runc"
}

@test "shim: another runtime: detached, exec, pause, kill" {
	SHIM=io.containerd.runc.v2
	EXTRA=(--runc-binary /usr/sbin/runc --env PATH=/bin)
	idle_ct
	readlink "/proc/$(shim_pid)/exe" | grep -q containerd-shim-berth-v2
	/usr/sbin/runc --root /run/containerd/berth/default state "$ID" | grep -q '"status": "running"'
	exec_ct sh -c 'echo in; exit 4'
	assert_status 4
	ctr_ task pause "$ID"
	assert_eq "$(status_of)" PAUSED
	ctr_ task resume "$ID"
	ctr_ task kill -s KILL "$ID"
	wait_status STOPPED
}

@test "shim: another runtime's error is its own words" {
	SHIM=io.containerd.runc.v2
	EXTRA=(--runc-binary /usr/sbin/runc --env PATH=/bin)
	run_ct /no/such/program
	assert_fails /no/such/program
}

@test "shim: another runtime with a terminal" {
	output=$(script -qec "ctr --address $CD/c.sock run --rm -t --runtime io.containerd.runc.v2 --runc-binary /usr/sbin/runc --env PATH=/bin --cgroup $SUITE_CGROUP/$ID --rootfs $CD/rootfs $ID tty" /dev/null </dev/null 3>&- | tr -d '\r')
	assert_has /dev/pts/
}

@test "shim: under the type of runc, Berth without a binary's name" {
	SHIM=io.containerd.runc.v2
	idle_ct
	try "$BIN/berth" --root /run/containerd/berth/default state "$ID"
	assert_has '"status": "running"'
}
