#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

caps() { set_args grep -E '^Cap' /proc/self/status; }

@test "capabilities: exactly what is listed, for root" {
	caps
	run_ct
	assert_matches $'CapInh:\t0+\n'
	assert_matches $'CapPrm:\t0+20000420\n'
	assert_matches $'CapEff:\t0+20000420\n'
	assert_matches $'CapBnd:\t0+20000420\n'
	assert_matches $'CapAmb:\t0+$'
}

@test "capabilities: none" {
	update_config '.process.capabilities = {}'
	caps
	run_ct
	for set in Inh Prm Eff Bnd; do
		assert_matches "Cap$set:"$'\t0+\n'
	done
}

@test "capabilities: a user gets none without ambient" {
	update_config '.process.user = {"uid":1000,"gid":1000}'
	caps
	run_ct
	assert_matches $'CapPrm:\t0+\n'
	assert_matches $'CapEff:\t0+\n'
	assert_matches $'CapBnd:\t0+20000420\n'
	assert_matches $'CapAmb:\t0+$'
}

@test "capabilities: a user with ambient ones" {
	update_config '.process.user = {"uid":1000,"gid":1000} | .process.capabilities.inheritable = ["CAP_KILL"] | .process.capabilities.ambient = ["CAP_KILL"]'
	caps
	run_ct
	assert_matches $'CapInh:\t0+20\n'
	assert_matches $'CapPrm:\t0+20\n'
	assert_matches $'CapEff:\t0+20\n'
	assert_matches $'CapAmb:\t0+20$'
}

@test "capabilities: inheritable only when listed" {
	update_config '.process.capabilities.inheritable = ["CAP_KILL"]'
	caps
	run_ct
	assert_matches $'CapInh:\t0+20\n'
}

@test "capabilities: effective smaller than permitted" {
	update_config '.process.user = {"uid":0,"gid":0} | .process.capabilities.effective = []'
	caps
	run_ct
	assert_matches $'CapBnd:\t0+20000420\n'
}

@test "capabilities: an unknown name is ignored" {
	lacks crun "refuses it"
	update_config '.process.capabilities.bounding += ["CAP_NONSENSE"]'
	caps
	run_ct
	assert_ok
	assert_matches $'CapBnd:\t0+20000420(\n|$)'
}

@test "capabilities: one outside of our own bounding set is ignored" {
	lacks crun "refuses it"
	lacks runc "refuses it"
	if grep -q $'^CapBnd:\t000001ff' /proc/self/status && [[ $((0x$(sed -n 's/^CapBnd:\t//p' /proc/self/status) >> 24 & 1)) == 1 ]]; then
		skip "we have CAP_SYS_RESOURCE"
	fi
	add_caps CAP_SYS_RESOURCE
	caps
	run_ct
	assert_ok
	assert_matches $'CapEff:\t0+20000420\n'
}

@test "capabilities: no_new_privs" {
	set_args grep NoNewPrivs /proc/self/status
	run_ct
	assert_output $'NoNewPrivs:\t1'
	update_config '.process.noNewPrivileges = false'
	run_ct
	assert_output $'NoNewPrivs:\t0'
}

@test "capabilities: chown works with CAP_CHOWN and not without" {
	set_script 'touch /tmp/f; chown 5 /tmp/f 2>/dev/null && echo chowned; true'
	run_ct
	assert_output ""
	add_caps CAP_CHOWN
	run_ct
	assert_output chowned
}
