#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

setup() {
	setup_bundle
	requires timens
	lacks runc 1.2 "time namespaces came with 1.2"
	lacks crun 1.9 "1.8 crashes on this kernel"
	update_config '.linux.namespaces += [{"type":"time"}]'
}

@test "timens: boottime offset" {
	update_config '.linux.timeOffsets = {"boottime":{"secs":1000000,"nanosecs":500}}'
	set_script 'cut -d. -f1 /proc/uptime; tr -s " " </proc/self/timens_offsets'
	run_ct
	assert_ok
	[[ ${output%%$'\n'*} -ge 1000000 ]]
	assert_has "boottime 1000000 500"
}

@test "timens: monotonic offset" {
	update_config '.linux.timeOffsets = {"monotonic":{"secs":7777}}'
	set_script 'tr -s " " </proc/self/timens_offsets'
	run_ct
	assert_has "monotonic 7777 0"
}

@test "timens: a new namespace without offsets" {
	set_args readlink /proc/self/ns/time
	run_ct
	assert_ok
	[[ $output != "$(readlink /proc/self/ns/time)" ]]
}

@test "timens: exec joins it" {
	update_config '.linux.timeOffsets = {"boottime":{"secs":1000000}}'
	idle_ct
	exec_ct sh -c 'cut -d. -f1 /proc/uptime'
	((output >= 1000000))
}

@test "timens: offsets without the namespace are refused" {
	lacks crun "ignores them"
	update_config '.linux.namespaces |= map(select(.type != "time")) | .linux.timeOffsets = {"boottime":{"secs":5}}'
	create_fails
}
