#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# linux.resources.pids

load helpers

setup() {
	setup_bundle
	needs_controller pids
}
teardown() { teardown_cgroup; }

@test "limits pids: limit" {
	limited_ct '{"pids":{"limit":42}}'
	assert_limit pids pids.max 42 pids.max 42
}

@test "limits pids: -1 is no limit" {
	on_v2 || lacks crun "1.8 hands it to the kernel"
	set_resources '{"pids":{"limit":-1}}'
	idle_ct
	assert_limit pids pids.max max pids.max max
}

@test "limits pids: other negative ones are no limit too" {
	lacks crun "hands it to the kernel"
	set_resources '{"pids":{"limit":-5}}'
	idle_ct
	assert_limit pids pids.max max pids.max max
}

@test "limits pids: 0 is the least there can be" {
	lacks runc 1.4 "0 is unset"
	lacks crun "0 is unset"
	set_resources '{"pids":{"limit":0}}'
	update_config '.ociVersion = "1.3.0"'
	idle_ct
	assert_limit pids pids.max 1 pids.max 1
}

@test "limits pids: 0 in a config of runtime-spec 1.2 is no limit, as Podman means it" {
	set_resources '{"pids":{"limit":0}}'
	[[ $RT != berth ]] || update_config '.ociVersion = "1.2.1"'
	idle_ct
	assert_limit pids pids.max max pids.max max
	rt update --pids-limit 9 "$ID"
	assert_limit pids pids.max 9 pids.max 9
	[[ $RT != berth ]] || rt update --resources - "$ID" <<<'{"pids":{"limit":0}}'
	assert_limit pids pids.max 9 pids.max 9
}

@test "limits pids: no pids object is no limit" {
	update_config 'del(.linux.resources)'
	idle_ct
	assert_limit pids pids.max max pids.max max
}

@test "limits pids: 1 is enough for a program that does not fork" {
	lacks runc "its init has threads"
	set_resources '{"pids":{"limit":1}}'
	set_args echo alone
	run_ct
	assert_ok
	assert_output alone
}

@test "limits pids: the fork after the last is refused" {
	set_resources '{"pids":{"limit":20}}'
	# ash says so and gives up at the first fork that fails
	set_script 'i=0; while [ $i -lt 30 ]; do sleep 100 & i=$((i+1)); done; echo all'
	run_ct
	((status != 0)) || fail "want a failed fork"
	assert_lacks all
	assert_has "fork"
}

@test "limits pids: the kernel counts refused forks" {
	set_resources '{"pids":{"limit":20}}'
	set_script 'trap "" CHLD; (i=0; while [ $i -lt 30 ]; do sleep 100 & i=$((i+1)); done); echo ready; sleep 1000'
	detach_ct
	refused() { (($(limit_of pids pids.events pids.events | awk '$1 == "max" { print $2 }') > 0)); }
	wait_for refused
	(($(limit_of pids pids.current pids.current) <= 20))
}

@test "limits pids: a number that does not fit" {
	lacks crun "its parser wraps it"
	for n in 9223372036854775808 '"x"' 2.5; do
		update_config '.linux.resources = {}'
		sed -i "s/\"resources\": {}/\"resources\": {\"pids\":{\"limit\":$n}}/" "$CONFIG"
		limit_refused pids
	done
}

@test "limits pids: more than the kernel knows is refused" {
	lacks crun "cuts it"
	refuses_limit pids.limit '{"pids":{"limit":4611686018427387904}}'
}
