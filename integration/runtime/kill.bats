#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

trapping_ct() {
	set_script 'for s in TERM USR1 HUP; do trap "echo got $s" $s; done; trap "echo got INT; exit 4" INT; echo ready; while :; do sleep 0.03; done'
	detach_ct
	wait_output ready
}

@test "kill: the default signal is SIGTERM" {
	trapping_ct
	try rt kill "$ID"
	assert_ok
	assert_output ""
	wait_output "got TERM"
}

@test "kill: by number, name and SIG-name in any case" {
	trapping_ct
	rt kill "$ID" 10
	wait_output "got USR1"
	rt kill "$ID" HUP
	wait_output "got HUP"
	rt kill "$ID" SIGTERM
	wait_output "got TERM"
	if [[ $RT != crun ]]; then
		rt kill "$ID" sigint
		wait_output "got INT"
	fi
}

@test "kill: SIGKILL ends the container" {
	idle_ct
	rt kill "$ID" KILL
	wait_status stopped
	assert_eq "$(state_of pid)" 0
}

@test "kill: a real-time signal by number" {
	set_script 'trap "echo got rt" 40; echo ready; while :; do sleep 0.03; done'
	detach_ct
	wait_output ready
	rt kill "$ID" 40
	wait_output "got rt"
}

@test "kill: signal 0 is a question" {
	lacks crun "has no signal 0"
	idle_ct
	rt kill "$ID" 0
	assert_eq "$(status_of)" running
}

@test "kill: an unknown signal" {
	lacks crun "1.8 takes any word that begins with SIG"
	idle_ct
	try rt kill "$ID" SIGNONSENSE
	assert_error "unknown signal" "SIGNONSENSE"
	assert_eq "$(status_of)" running
}

@test "kill: of a stopped container" {
	set_args true
	detach_ct
	wait_status stopped
	try rt kill "$ID" KILL
	assert_error "container not running" "os: process already finished" "no such process" "No such process" "not running"
}

@test "kill --all: of a stopped container is no error" {
	set_args true
	detach_ct
	wait_status stopped
	try rt kill --all "$ID" 9
	assert_ok
}

@test "kill --all and -a: of a running container" {
	idle_ct
	rt exec -d "$ID" sleep 2000 </dev/null >/dev/null 2>&1
	rt kill -a "$ID" KILL
	wait_status stopped
}

@test "kill: of an unknown container" {
	try rt kill "$ID-unknown" KILL
	assert_unknown
}

@test "kill: of a created container" {
	create_ct
	pid=$(state_of pid)
	rt kill "$ID" KILL
	wait_gone "$pid"
	wait_status stopped
}

@test "kill: reaches a paused container" {
	lacks runc 1.2 "a frozen cgroup stays frozen when somebody else froze it"
	lacks crun "a frozen cgroup stays frozen"
	idle_ct
	pid=$(state_of pid)
	freeze_ct
	wait_status paused
	rt kill "$ID" KILL
	wait_gone "$pid"
}

@test "kill: SIGKILL without a pid namespace ends all processes" {
	lacks runc 1.2 "only with --all"
	lacks crun "only with --all"
	update_config '.linux.namespaces |= map(select(.type != "pid"))'
	set_script 'sleep 3000 & echo $!; sleep 4000'
	detach_ct
	wait_output '[0-9]'
	rt kill "$ID" KILL
	wait_gone "$(cat "$T/out")"
}

# reuse_pid PID: a process of ours that has exactly this pid, in $stranger.
reuse_pid() {
	local i
	for ((i = 0; i < 50; i++)); do
		echo $(($1 - 1)) >/proc/sys/kernel/ns_last_pid
		sleep 1000 3>&- &
		stranger=$!
		((stranger == $1)) && return 0
		kill -9 "$stranger"
		wait "$stranger" 2>/dev/null || true
	done
	return 1
}

@test "kill, state: a stranger that got init's pid is not the container" {
	lacks crun 1.9 "did not look at the start time"
	idle_ct
	pid=$(state_of pid)
	kill -9 "$pid"
	wait_for test ! -e "/proc/$pid"
	sleep 0.02 # the start time counts in hundredths of a second
	reuse_pid "$pid"
	assert_eq "$(status_of)" stopped
	try rt kill "$ID" KILL
	assert_fails "container not running"
	rt delete --force "$ID"
	kill -0 "$stranger"
	kill -9 "$stranger"
}

@test "kill: needs an id" {
	try rt kill
	assert_fails
}
