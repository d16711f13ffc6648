#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What breaks: the daemon, the shim, the client.

load helpers

socket_of() { cut -d: -f2- <"$CD/state/io.containerd.runtime.v2.task/default/${1:-$ID}/address" | sed 's|^//||'; }

@test "faults: containerd restarts, the task goes on" {
	detach_ct sh -c 'while :; do sleep 0.05; done'
	pid=$(pid_of)
	stop_containerd
	start_containerd
	assert_eq "$(status_of)" RUNNING
	assert_eq "$(pid_of)" "$pid"
	exec_ct echo still
	assert_output still
}

@test "faults: containerd is killed, 20 tasks go on, and an exit meanwhile is told" {
	local i
	for ((i = 0; i < 20; i++)); do AS_ID=$ID-$i detach_ct sleep 1000; done
	victim=$(pid_of "$ID-7")
	stop_containerd -KILL
	kill -9 "$victim"
	start_containerd
	for ((i = 0; i < 20; i++)); do
		if ((i == 7)); then
			wait_status STOPPED "$ID-$i"
		else
			assert_eq "$(status_of "$ID-$i")" RUNNING
		fi
	done
	try ctr_ task rm "$ID-7"
	assert_has 137
}

@test "faults: the shim is killed, the container ends, nothing is left" {
	idle_ct
	pid=$(pid_of)
	socket=$(socket_of)
	[[ -S $socket ]]
	kill -9 "$(shim_pid)"
	gone() { [[ ! -d /proc/$pid ]]; }
	wait_for gone
	wait_for is_status ""
	[[ ! -e $socket ]]
}

@test "faults: the shim is killed after the end, the status is not lost" {
	watch_events
	detach_ct sh -c 'exit 33'
	wait_status STOPPED
	kill -9 "$(shim_pid)"
	sleep 0.5
	kill $EVENTS
	grep -F "\"$ID\"" "$T/events" | grep -q '"exit_status":33'
	run grep -cF '"exit_status":137' "$T/events"
	assert_output 0
}

@test "faults: a client that never reads blocks nothing else" {
	mkfifo "$T/stuck"
	sleep 1000 <"$T/stuck" 3>&- &
	reader=$!
	ctr_ run --runtime "$SHIM" --cgroup "$SUITE_CGROUP/$ID" --rootfs "$CD/rootfs" "$ID" yes >"$T/stuck" 2>/dev/null </dev/null 3>&- &
	writer=$!
	wait_status RUNNING
	sleep 0.5
	before=${EPOCHREALTIME/./}
	assert_eq "$(status_of)" RUNNING
	exec_ct echo fine
	assert_output fine
	(((${EPOCHREALTIME/./} - before) < 2000000))
	ctr_ task kill -s KILL "$ID"
	wait_status STOPPED
	kill $reader $writer 2>/dev/null || true
	wait $reader $writer 2>/dev/null || true
}

@test "faults: garbage on the socket is answered or dropped, and the shim lives" {
	idle_ct
	head -c 100000 /dev/urandom | timeout 2 socat - "UNIX-CONNECT:$(socket_of)" >/dev/null 2>&1 || true
	exec_ct echo fine
	assert_output fine
}

@test "faults: another user cannot reach the socket" {
	idle_ct
	[[ $(stat -c %a "$(socket_of)") == 600 ]]
	[[ $(stat -c %a "$(dirname "$(socket_of)")") == 7[01][01] ]]
	run ! setpriv --reuid 65534 --regid 65534 --clear-groups socat -u /dev/null "UNIX-CONNECT:$(socket_of)"
}

@test "faults: an orphan is reaped" {
	detach_ct sh -c 'while :; do sleep 0.05; done'
	ctr_ task exec -d --exec-id e1 "$ID" sh -c '(sleep 0.2 &) ; true'
	sleep 2.5
	[[ -z $(ps -o stat= --ppid "$(shim_pid)" | grep Z) ]]
}

@test "faults: a host pid namespace: nobody is left after init" {
	EXTRA=(--with-ns "pid:/proc/$$/ns/pid")
	detach_ct sh -c 'sleep 4321 & sleep 0.5'
	wait_status STOPPED
	run ! pgrep -f 'sleep 4321'
}

@test "faults: OOM score of the shim is above containerd's" {
	idle_ct
	score=$(cat "/proc/$(shim_pid)/oom_score_adj")
	((score == $(cat "/proc/$(<"$CD/pid")/oom_score_adj") + 1))
}

@test "faults: signals that end a program do not end the shim, and its children have the defaults" {
	local s
	idle_ct
	for s in TERM INT HUP PIPE USR1; do kill -s "$s" "$(shim_pid)"; done
	exec_ct true
	assert_ok
	# Programs that make starts ignore the two signals of glibc's threads.
	for s in $(awk '/^Sig(Ign|Blk|Cgt)/ { print $2 }' "/proc/$(pid_of)/status"); do
		assert_eq "$((0x$s & ~(3 << 31)))" 0
	done
	WAIT=10 wait_for grep -q goroutines "$CD/log" # what USR1 asks for
}

@test "faults: an idle shim is small" {
	idle_ct
	anonymous=$(awk '/^Anonymous:/ { print $2 }' "/proc/$(shim_pid)/smaps_rollup")
	((anonymous < 8000)) || fail "anonymous: $anonymous kB"
}

@test "faults: 300 execs leave neither descriptors nor processes" {
	local i
	idle_ct
	exec_ct true
	before=$(ls "/proc/$(shim_pid)/fd" | wc -l)
	for ((i = 0; i < 300; i++)); do ctr_ task exec --exec-id "x$i" "$ID" true </dev/null 3>&-; done
	assert_eq "$(ls "/proc/$(shim_pid)/fd" | wc -l)" "$before"
}
