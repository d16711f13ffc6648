#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# linux.resources: hugepageLimits, rdma, network, unified; and refusals.

load helpers

teardown() { teardown_cgroup; }

@test "limits hugetlb: 2MB pages" {
	needs_controller hugetlb
	if [[ $(hierarchy hugetlb) != /sys/fs/cgroup* ]]; then
		lacks runc "looks below /sys/fs/cgroup only"
		lacks crun "looks below /sys/fs/cgroup only"
	fi
	[[ -d /sys/kernel/mm/hugepages/hugepages-2048kB ]] || skip "machine has no 2 MB pages"
	set_resources '{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}'
	idle_ct
	assert_limit hugetlb hugetlb.2MB.limit_in_bytes 4194304 hugetlb.2MB.max 4194304
}

@test "limits hugetlb: reservations are limited too" {
	needs_controller hugetlb
	[[ -d /sys/kernel/mm/hugepages/hugepages-2048kB ]] || skip "machine has no 2 MB pages"
	lacks runc 1.2 "pages only"
	lacks crun "pages only"
	needs_limit_file hugetlb hugetlb.2MB.rsvd.limit_in_bytes hugetlb.2MB.rsvd.max
	set_resources '{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}'
	idle_ct
	assert_limit hugetlb hugetlb.2MB.rsvd.limit_in_bytes 4194304 hugetlb.2MB.rsvd.max 4194304
}

@test "limits hugetlb: a page size that does not exist" {
	needs_controller hugetlb
	refuses_limit hugepageLimits '{"hugepageLimits":[{"pageSize":"3MB","limit":4194304}]}'
}

@test "limits hugetlb: a page size that is a path" {
	refuses_limit hugepageLimits '{"hugepageLimits":[{"pageSize":"../2MB","limit":1}]}'
	assert_lacks "goroutine "
}

@test "limits rdma: without the controller it is refused" {
	if on_v2; then
		! grep -qw rdma /sys/fs/cgroup/cgroup.controllers || skip "machine has rdma"
	else
		[[ -z $(hierarchy rdma) ]] || skip "machine has rdma"
	fi
	lacks runc "1.1 ignores it"
	lacks crun "ignores it"
	refuses_limit rdma '{"rdma":{"mlx5_1":{"hcaHandles":3}}}'
}

@test "limits rdma: of a device that is not there" {
	needs_controller rdma
	lacks crun "ignores it"
	refuses_limit rdma '{"rdma":{"none_0":{"hcaHandles":3}}}'
}

@test "limits network: classID" {
	only_v1 "v2 has no net_cls"
	needs_controller net_cls
	set_resources '{"network":{"classID":1048577}}'
	idle_ct
	assert_limit net_cls net_cls.classid 1048577 - -
}

@test "limits network: priorities" {
	only_v1 "v2 has no net_prio"
	needs_controller net_prio
	set_resources '{"network":{"priorities":[{"name":"lo","priority":5}]}}'
	idle_ct
	limit_of net_prio net_prio.ifpriomap - | grep -q '^lo 5$'
}

@test "limits network: without the controllers" {
	if on_v2; then
		needs_berth "the others refuse it or say nothing"
		warns_limit network '{"network":{"classID":1048577}}'
	else
		[[ -z $(hierarchy net_cls) ]] || skip "machine has net_cls"
		lacks runc "ignores it"
		refuses_limit network '{"network":{"classID":1048577}}'
	fi
}

@test "limits unified: files of cgroup v2" {
	only_v2 "v1 refuses it"
	needs_controller memory
	limited_ct '{"unified":{"memory.high":"50331648","pids.max":"77"}}'
	assert_limit - - - memory.high 50331648
	assert_limit - - - pids.max 77
}

@test "limits unified: it has the last word" {
	only_v2 "v1 refuses it"
	needs_controller pids
	set_resources '{"pids":{"limit":10},"unified":{"pids.max":"33"}}'
	idle_ct
	assert_limit - - - pids.max 33
}

@test "limits unified: refused on v1" {
	only_v1 "v2 has it"
	refuses_limit unified '{"unified":{"memory.high":"50331648"}}'
}

@test "limits unified: a name with a slash" {
	refuses_limit unified '{"unified":{"../memory.high":"50331648"}}'
	refuses_limit unified '{"unified":{"sub/memory.high":"50331648"}}'
}

@test "limits unified: an unknown controller" {
	refuses_limit unified '{"unified":{"nosuch.limit":"1"}}'
}

@test "limits unified: a value that the kernel refuses" {
	refuses_limit unified '{"unified":{"pids.max":"many"}}'
}

@test "limits: the refused one takes those set before with it" {
	needs_controller pids
	needs_controller cpu
	refuses_limit cpu.quota '{"pids":{"limit":33},"memory":{"limit":67108864},"cpu":{"quota":5}}'
}

@test "limits: all at once, seen in one container" {
	needs_controller memory
	needs_controller cpu
	needs_controller pids
	limited_ct '{"memory":{"limit":67108864,"reservation":33554432},"cpu":{"quota":50000,"period":100000,"cpus":"0"},"pids":{"limit":64}}'
	assert_limit memory memory.limit_in_bytes 67108864 memory.max 67108864
	assert_limit memory memory.soft_limit_in_bytes 33554432 memory.low 33554432
	assert_limit cpu cpu.cfs_quota_us 50000 cpu.max "50000 100000"
	assert_limit cpuset cpuset.cpus 0 cpuset.cpus 0
	assert_limit pids pids.max 64 pids.max 64
}

@test "limits: of a created container they are set before start" {
	needs_controller pids
	set_resources '{"pids":{"limit":55}}'
	create_ct
	assert_limit pids pids.max 55 pids.max 55
}
