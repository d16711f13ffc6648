#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Limits of containers, and their change while they run.

load helpers

# limited RESOURCES: a container that runs with them.
limited() {
	pod a
	container one ".linux.resources = $1" sleep 1000
}
update() { try cri UpdateContainerResources "{\"container_id\": \"$C\", \"linux\": $(jq -nc "$1")}"; }

@test "resources: memory" {
	limited '{memory_limit_in_bytes: 67108864}'
	assert_eq "$(cgroup_file memory memory.limit_in_bytes memory.max)" 67108864
}

@test "resources: CPU shares, quota and period" {
	limited '{cpu_shares: 512, cpu_quota: 25000, cpu_period: 50000}'
	if cgroup_v1; then
		assert_eq "$(cgroup_file cpu cpu.shares -)" 512
		assert_eq "$(cgroup_file cpu cpu.cfs_quota_us -)/$(cgroup_file cpu cpu.cfs_period_us -)" 25000/50000
	else
		assert_eq "$(cgroup_file - - cpu.max)" "25000 50000"
	fi
}

@test "resources: processors" {
	limited '{cpuset_cpus: "0", cpuset_mems: "0"}'
	assert_eq "$(cgroup_file cpuset cpuset.cpus cpuset.cpus)" 0
	in_c grep Cpus_allowed_list /proc/self/status
	assert_output $'Cpus_allowed_list:\t0'
}

@test "resources: the out-of-memory score" {
	limited '{oom_score_adj: 500}'
	assert_eq "$(<"/proc/$(pid_of_c)/oom_score_adj")" 500
}

@test "resources: cgroup v2's own files" {
	! cgroup_v1 || skip "this machine's controllers are on cgroup v1"
	limited '{unified: {"memory.high": "33554432"}}'
	assert_eq "$(cgroup_file - - memory.high)" 33554432
}

@test "resources: memory changed while it runs" {
	limited '{memory_limit_in_bytes: 67108864}'
	update '{memory_limit_in_bytes: 33554432}'
	assert_ok
	assert_eq "$(cgroup_file memory memory.limit_in_bytes memory.max)" 33554432
	assert_eq "$(info_c .runtimeSpec.linux.resources.memory.limit)" 33554432
}

@test "resources: CPU changed while it runs" {
	limited '{cpu_quota: 25000, cpu_period: 50000}'
	update '{cpu_quota: 10000, cpu_period: 50000, cpu_shares: 256}'
	assert_ok
	assert_eq "$(cgroup_file cpu cpu.cfs_quota_us cpu.max | cut -d' ' -f1)" 10000
}

@test "resources: a change before the start counts" {
	pod a
	create one '.linux.resources = {memory_limit_in_bytes: 67108864}' sleep 1000
	update '{memory_limit_in_bytes: 33554432}'
	assert_ok
	start_c
	assert_ok
	assert_eq "$(cgroup_file memory memory.limit_in_bytes memory.max)" 33554432
}

@test "resources: a change that the kernel refuses is an error, and the old limit stays" {
	limited '{cpuset_cpus: "0", cpuset_mems: "0"}'
	update '{cpuset_cpus: "4000"}'
	assert_fails
	assert_eq "$(cgroup_file cpuset cpuset.cpus cpuset.cpus)" 0
	assert_eq "$(info_c .runtimeSpec.linux.resources.cpu.cpus)" 0
}

@test "resources: the pod's parent limits all its containers" {
	mkdir -p /sys/fs/cgroup/memory"$ROOM_CGROUP"/pod 2>/dev/null || skip "this machine's controllers are on cgroup v2"
	echo 16777216 >/sys/fs/cgroup/memory"$ROOM_CGROUP"/pod/memory.limit_in_bytes
	pod a '.linux.cgroup_parent += "/pod"'
	once . sh -c 'x=a; while :; do x=$x$x; done'
	stopp
	rmp
	find /sys/fs/cgroup/*"$ROOM_CGROUP"/pod -depth -type d -exec rmdir {} \;
	assert_status 137
}

@test "resources: rlimits and processes are the daemon's" {
	limited '{}'
	in_c sh -c 'ulimit -n'
	assert_eq "$output" "$(awk '/Max open files/ { print $4 }' "/proc/$(daemon_pid containerd)/limits")"
}
