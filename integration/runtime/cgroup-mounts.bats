#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

setup() {
	setup_bundle
	only_v1 "a hierarchy per controller"
	update_config '.mounts += [{"destination":"/sys/fs/cgroup","type":"cgroup","source":"cgroup","options":["nosuid","noexec","nodev","relatime","ro"]}]'
}

@test "cgroup mount: a directory per hierarchy" {
	set_script 'for c in pids memory devices freezer cpuset cpu; do test -e /sys/fs/cgroup/$c/cgroup.procs || echo no $c; done; echo ok'
	run_ct
	assert_ok
	assert_output ok
}

@test "cgroup mount: shows the container's own cgroup" {
	set_script 'cat /sys/fs/cgroup/pids/cgroup.procs'
	run_ct
	assert_has 1
	[[ $(wc -l <<<"$output") -le 2 ]]
}

@test "cgroup mount: ro is for the tmpfs above the hierarchies too" {
	lacks crun "1.8 leaves it writable"
	set_script 'mkdir /sys/fs/cgroup/x 2>/dev/null && echo made; echo ok'
	run_ct
	assert_output ok
}

@test "cgroup mount: ro is read-only in every hierarchy" {
	set_script 'for c in /sys/fs/cgroup/pids /sys/fs/cgroup/memory; do mkdir $c/x 2>/dev/null && echo made $c; done; echo ok'
	run_ct
	assert_output ok
}

@test "cgroup mount: rw may make cgroups below" {
	update_config '.mounts[-1].options -= ["ro"]'
	set_script 'mkdir /sys/fs/cgroup/pids/inner && echo made; rmdir /sys/fs/cgroup/pids/inner'
	run_ct
	assert_output made
}

@test "cgroup mount: with a cgroup namespace" {
	update_config '.linux.namespaces += [{"type":"cgroup"}]'
	set_script 'cat /sys/fs/cgroup/pids/cgroup.procs; grep :pids: /proc/self/cgroup | cut -d: -f3; mkdir /sys/fs/cgroup/pids/x 2>/dev/null && echo made'
	run_ct
	assert_has /
	assert_lacks made
	assert_lacks berth-it
}

@test "cgroup mount: flags of the option list" {
	set_script "awk '\$5 ~ /^\/sys\/fs\/cgroup\/pids/ {print \$6}' /proc/self/mountinfo"
	run_ct
	assert_matches "nosuid,nodev,noexec"
	assert_matches "^ro"
}

@test "cgroup mount: no host process is visible" {
	set_script 'cat /sys/fs/cgroup/*/cgroup.procs | sort -u | wc -l'
	run_ct
	((output <= 6))
}
