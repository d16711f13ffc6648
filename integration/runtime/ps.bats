#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

@test "ps: shows the container's processes and no others" {
	idle_ct
	wait_for grep -q sleep "/proc/$(state_of pid)/cmdline"
	try rt ps "$ID"
	assert_ok
	assert_matches "PID"
	assert_has "$(state_of pid)"
	assert_eq "$(wc -l <<<"$output")" 2
}

@test "ps: the default columns are those of ps -ef" {
	lacks crun "prints pids only"
	idle_ct
	wait_for grep -q sleep "/proc/$(state_of pid)/cmdline"
	try rt ps "$ID"
	assert_matches "^UID +PID +PPID +C +STIME +TTY +TIME +CMD"
	assert_has "sleep 1000"
}

@test "ps --format json: an array of pids" {
	idle_ct
	rt exec -d --pid-file "$T/pid" "$ID" sleep 2000 </dev/null >/dev/null 2>&1
	try rt ps --format json "$ID"
	assert_eq "$(jq -c sort <<<"$output")" "$(jq -cn "[$(state_of pid),$(cat "$T/pid")] | sort")"
	try rt ps -f json "$ID"
	assert_ok
}

@test "ps: options for ps come after the id" {
	lacks crun "ignores them"
	idle_ct
	try rt ps "$ID" -e -o pid,comm
	assert_matches "PID +COMMAND"
	assert_eq "$(wc -l <<<"$output")" 2
}

@test "ps: of a created container" {
	create_ct
	try rt ps --format json "$ID"
	assert_eq "$(jq -c . <<<"$output")" "[$(state_of pid)]"
}

@test "ps: of an unknown container" {
	try rt ps "$ID-unknown"
	assert_unknown
}

@test "ps: includes processes in cgroups below" {
	lacks crun "1.8 crashes"
	idle_ct
	pid=$(state_of pid)
	cgroups_of "$ID" | grep -v /cpuset/ | while read -r d; do
		mkdir "$d/sub"
		echo "$pid" >"$d/sub/cgroup.procs"
	done
	try rt ps --format json "$ID"
	assert_eq "$(jq -c . <<<"$output")" "[$pid]"
}
