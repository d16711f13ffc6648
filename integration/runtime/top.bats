#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

setup() {
	setup_bundle
	needs_berth "its own command"
}
teardown() { teardown_cgroup; }

top() { try rt top --interval 100ms "$@"; }

@test "top --once: a header and the container" {
	idle_ct
	top --once
	assert_ok
	assert_matches "^ID +PID +STATUS +CPU %"
	assert_matches "$ID +$(state_of pid) +running"
	assert_eq "$(wc -l <<<"$output")" 2
}

@test "top: without a terminal it prints once" {
	idle_ct
	top
	assert_ok
	assert_eq "$(wc -l <<<"$output")" 2
}

@test "top --format json" {
	idle_ct
	top --format json
	assert_ok
	assert_eq "$(jq -r .id <<<"$output")" "$ID"
	assert_eq "$(jq -r .status <<<"$output")" running
	assert_eq "$(jq -r .pid <<<"$output")" "$(state_of pid)"
	assert_eq "$(jq -r '.usage | has("cpu_percent") and has("memory") and has("pids")' <<<"$output")" true
}

@test "top: the CPU share of a busy container" {
	needs_controller cpuacct cpu
	set_script 'while :; do :; done'
	detach_ct
	top --interval 500ms --format json
	assert_ok
	jq -e '.usage.cpu_percent > 10 and .usage.cpu_percent < 150' <<<"$output"
}

@test "top: limits" {
	needs_controller memory
	needs_controller pids
	set_resources '{"memory":{"limit":67108864},"pids":{"limit":42}}'
	idle_ct
	top --format json
	assert_eq "$(jq -r .usage.memory_limit <<<"$output")" 67108864
	assert_eq "$(jq -r .usage.pids_limit <<<"$output")" 42
	assert_eq "$(jq -r .usage.pids <<<"$output")" 1
	top --once
	assert_has "64.0MiB"
}

@test "top: only the containers that are named" {
	idle_ct
	second=$(another_bundle second)
	rt run --detach --bundle "$second" "$ID-second" </dev/null >/dev/null 2>&1 3>&-
	top --once "$ID"
	assert_ok
	assert_has "$ID "
	assert_lacks "$ID-second"
	top --once
	assert_has "$ID-second"
	rt delete --force "$ID-second"
}

@test "top: a paused and a stopped container have a line" {
	needs_freezer
	idle_ct
	rt pause "$ID"
	top --once
	assert_has paused
	rt resume "$ID"
	rt kill "$ID" KILL
	wait_status stopped
	top --once
	assert_ok
	assert_has stopped
	top --format json
	assert_eq "$(jq -r .status <<<"$output")" stopped
}

@test "top: nothing runs" {
	mkdir -p "$ROOT"
	top --once
	assert_ok
	assert_matches "^ID"
	assert_eq "$(wc -l <<<"$output")" 1
}

@test "top: an unknown container, a format and an interval that are none" {
	mkdir -p "$ROOT"
	top --once "$ID-unknown"
	assert_unknown
	top --once --format xml
	assert_fails
	try rt top --once --interval 0s
	assert_fails "interval"
	try rt top --once --interval banana
	assert_fails
}

@test "top: in a terminal it draws until q" {
	idle_ct
	command -v script >/dev/null || skip "no script(1)"
	(sleep 1; printf q) | timeout 10 script -qec "'$RUNTIME' --root '$ROOT' top --interval 100ms" /dev/null >"$T/screen" 2>&1 3>&-
	grep -qF "$ID" "$T/screen"
	grep -qF $'\e[?1049h' "$T/screen"
	grep -qF $'\e[?1049l' "$T/screen"
}
