#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# linux.resources.memory: read back, and provoked.

load helpers

setup() {
	setup_bundle
	needs_controller memory
}
teardown() { teardown_cgroup; }

M32=33554432 M64=67108864

@test "limits memory: limit" {
	limited_ct "{\"memory\":{\"limit\":$M64}}"
	assert_limit memory memory.limit_in_bytes $M64 memory.max $M64
}

@test "limits memory: -1 is no limit" {
	set_resources '{"memory":{"limit":-1}}'
	idle_ct
	assert_limit memory memory.limit_in_bytes 9223372036854771712 memory.max max
}

@test "limits memory: 0 is not set" {
	lacks crun "takes it for a limit"
	set_resources '{"memory":{"limit":0,"swap":0,"reservation":0}}'
	idle_ct
	assert_limit memory memory.limit_in_bytes 9223372036854771712 memory.max max
}

@test "limits memory: a program that takes more is killed" {
	set_resources "{\"memory\":{\"limit\":$M32,\"swap\":$M32}}"
	set_args dd if=/dev/zero of=/dev/null bs=128M count=1
	run_ct
	assert_status 137
}

@test "limits memory: of two programs only the big one is killed, and the kernel counts it" {
	set_resources "{\"memory\":{\"limit\":$M32,\"swap\":$M32}}"
	idle_ct
	exec_ct dd if=/dev/zero of=/dev/null bs=128M count=1
	assert_status 137
	assert_eq "$(status_of)" running
	limit_of memory memory.oom_control memory.events | grep -q '^oom_kill 1'
}

@test "limits memory: a limit too small for init's start fails and leaves nothing" {
	set_resources '{"memory":{"limit":4096,"swap":4096}}'
	try rt run --bundle "$BUNDLE" "$ID" </dev/null
	((status != 0)) || fail "want a failure"
	rt delete --force "$ID" >/dev/null 2>&1 || true
	assert_nothing_left
	assert_no_cgroup
}

@test "limits memory: reservation" {
	limited_ct "{\"memory\":{\"limit\":$M64,\"reservation\":$M32}}"
	assert_limit memory memory.soft_limit_in_bytes $M32 memory.low $M32
}

@test "limits memory: swap counts memory and swap" {
	needs_limit_file memory memory.memsw.limit_in_bytes memory.swap.max
	limited_ct "{\"memory\":{\"limit\":$M32,\"swap\":$M64}}"
	assert_limit memory memory.memsw.limit_in_bytes $M64 memory.swap.max $((M64 - M32))
	assert_limit memory memory.limit_in_bytes $M32 memory.max $M32
}

@test "limits memory: swap equal to the limit is no swap" {
	needs_limit_file memory memory.memsw.limit_in_bytes memory.swap.max
	limited_ct "{\"memory\":{\"limit\":$M64,\"swap\":$M64}}"
	assert_limit memory memory.memsw.limit_in_bytes $M64 memory.swap.max 0
}

@test "limits memory: unlimited swap" {
	needs_limit_file memory memory.memsw.limit_in_bytes memory.swap.max
	limited_ct "{\"memory\":{\"limit\":$M64,\"swap\":-1}}"
	assert_limit memory memory.limit_in_bytes $M64 memory.max $M64
	assert_limit memory memory.memsw.limit_in_bytes 9223372036854771712 memory.swap.max max
}

@test "limits memory: swap below the limit is refused" {
	refuses_limit memory.swap "{\"memory\":{\"limit\":$M64,\"swap\":$M32}}"
}

@test "limits memory: swap without limit is refused" {
	needs_limit_file memory memory.memsw.limit_in_bytes memory.swap.max
	refuses_limit memory.swap "{\"memory\":{\"swap\":$M64}}"
}

@test "limits memory: disableOOMKiller" {
	if on_v2; then
		needs_berth "the others refuse it or say nothing"
		warns_limit disableOOMKiller "{\"memory\":{\"limit\":$M64,\"disableOOMKiller\":true}}"
	else
		set_resources "{\"memory\":{\"limit\":$M64,\"disableOOMKiller\":true}}"
		idle_ct
		limit_of memory memory.oom_control - | grep -q '^oom_kill_disable 1'
	fi
}

@test "limits memory: swappiness" {
	if on_v2; then
		needs_berth "the others refuse it or say nothing"
		warns_limit swappiness '{"memory":{"swappiness":7}}'
	else
		limited_ct '{"memory":{"swappiness":7}}'
		assert_limit memory memory.swappiness 7 - -
	fi
}

@test "limits memory: swappiness above 100 is refused" {
	only_v1 "v2 has none"
	lacks crun "leaves it to the kernel, whose limit is 200"
	refuses_limit memory.swappiness '{"memory":{"swappiness":101}}'
}

@test "limits memory: kernel memory warns and does nothing" {
	needs_berth "the others refuse it or say nothing"
	warns_limit "kernel memory" '{"memory":{"kernel":67108864,"kernelTCP":67108864}}'
}

@test "limits memory: checkBeforeUpdate" {
	only_v2 "runc has it there only"
	lacks runc 1.2 "not there"
	lacks crun 1.9 "not there"
	set_resources "{\"memory\":{\"limit\":$M64,\"swap\":$M64}}"
	set_script 'x=$(head -c 30000000 /dev/zero | tr "\0" x); echo full; sleep 1000; echo $x'
	detach_ct
	wait_output full
	echo '{"memory":{"limit":4194304,"swap":4194304,"checkBeforeUpdate":true}}' >"$T/r.json"
	try rt update --resources "$T/r.json" "$ID"
	assert_fails
	[[ $RT != berth ]] || assert_has memory.limit
	assert_eq "$(status_of)" running
	assert_limit memory - - memory.max $M64
}

@test "limits memory: a limit below what is used is refused on v1, by the kernel or us" {
	only_v1 "v2 reclaims and kills"
	set_resources "{\"memory\":{\"limit\":$M64,\"swap\":$M64}}"
	set_script 'x=$(head -c 30000000 /dev/zero | tr "\0" x); echo full; sleep 1000; echo $x'
	detach_ct
	wait_output full
	echo '{"memory":{"limit":4194304,"swap":4194304,"checkBeforeUpdate":true}}' >"$T/r.json"
	try rt update --resources "$T/r.json" "$ID"
	assert_fails
	[[ $RT != berth ]] || assert_has memory.limit
	assert_eq "$(status_of)" running
	assert_limit memory memory.limit_in_bytes $M64 - -
}

@test "limits memory: negative numbers but -1" {
	lacks runc "1.1 hands them to the kernel"
	lacks crun "hands them to the kernel"
	refuses_limit memory.limit '{"memory":{"limit":-2}}'
	refuses_limit memory.swap "{\"memory\":{\"limit\":$M64,\"swap\":-2}}"
	refuses_limit memory.reservation '{"memory":{"limit":0,"swap":0,"reservation":-2}}'
}

@test "limits memory: numbers that do not fit" {
	lacks crun "its parser wraps them"
	for memory in '"limit":9223372036854775808' '"limit":-9223372036854775809' '"limit":"64m"' '"limit":1.5' '"swappiness":-1'; do
		update_config '.linux.resources = {}'
		sed -i "s/\"resources\": {}/\"resources\": {\"memory\":{$memory}}/" "$CONFIG"
		grep -qF "$memory" "$CONFIG"
		limit_refused memory
	done
}

@test "limits memory: swappiness of -1 leaves it" {
	lacks runc "the number is too big for its decoder"
	needs_controller memory
	update_config '.linux.resources.memory = {"limit":67108864,"swappiness":18446744073709551615}'
	set_args true
	sed -i -E 's/"swappiness": [0-9.e+]+/"swappiness": 18446744073709551615/' "$CONFIG"
	run_ct
	assert_ok
}
