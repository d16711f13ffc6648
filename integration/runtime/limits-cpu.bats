#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# linux.resources.cpu: read back from the files, from outside and inside.

load helpers

teardown() { teardown_cgroup; }

@test "limits cpu: shares" {
	needs_controller cpu
	limited_ct '{"cpu":{"shares":512}}'
	assert_limit cpu cpu.shares 512 - -
}

@test "limits cpu: shares become a weight, defaults and ends meet" {
	only_v2 "v1 has shares"
	needs_controller cpu
	lacks runc 1.4 "the linear formula"
	lacks crun 1.24 "the linear formula"
	for pair in 2:1 512:59 1024:100 2048:174 262144:10000; do
		set_resources "{\"cpu\":{\"shares\":${pair%:*}}}"
		idle_ct
		assert_eq "${pair%:*}:$(limit_of cpu - cpu.weight)" "$pair"
		rt delete --force "$ID"
	done
}

@test "limits cpu: shares outside of the range are refused or clamped" {
	needs_controller cpu
	if on_v2; then
		lacks runc "1.1 refuses it on v2"
		lacks crun "1.8 refuses it on v2"
		set_resources '{"cpu":{"shares":300000}}'
		idle_ct
		assert_eq "$(limit_of cpu - cpu.weight)" 10000
	else
		lacks crun "leaves it to the kernel, which clamps"
		refuses_limit cpu.shares '{"cpu":{"shares":1}}'
		refuses_limit cpu.shares '{"cpu":{"shares":262145}}'
	fi
}

@test "limits cpu: quota and period" {
	needs_controller cpu
	limited_ct '{"cpu":{"quota":25000,"period":50000}}'
	assert_limit cpu cpu.cfs_quota_us 25000 cpu.max "25000 50000"
	assert_limit cpu cpu.cfs_period_us 50000 cpu.max "25000 50000"
}

@test "limits cpu: period only" {
	needs_controller cpu
	limited_ct '{"cpu":{"period":50000}}'
	assert_limit cpu cpu.cfs_period_us 50000 cpu.max "max 50000"
	assert_limit cpu cpu.cfs_quota_us -1 cpu.max "max 50000"
}

@test "limits cpu: quota only" {
	needs_controller cpu
	limited_ct '{"cpu":{"quota":20000}}'
	assert_limit cpu cpu.cfs_quota_us 20000 cpu.max "20000 100000"
}

@test "limits cpu: quota -1 is none" {
	needs_controller cpu
	lacks crun "1.8 takes it for a large number"
	set_resources '{"cpu":{"quota":-1}}'
	idle_ct
	assert_limit cpu cpu.cfs_quota_us -1 cpu.max "max 100000"
}

@test "limits cpu: a busy container is throttled" {
	needs_controller cpu
	set_resources '{"cpu":{"quota":5000,"period":50000}}'
	set_script 'while :; do :; done'
	detach_ct
	stat_file=$(cgroup_dir cpu)/cpu.stat
	throttled() { (($(awk '$1 == "nr_throttled" { print $2 }' "$stat_file") > 3)); }
	wait_for throttled
}

@test "limits cpu: a quota, a period and a negative quota that no kernel takes" {
	needs_controller cpu
	refuses_limit cpu.quota '{"cpu":{"quota":5}}'
	refuses_limit cpu.period '{"cpu":{"quota":null,"period":5}}'
	update_config 'del(.linux.resources)'
	lacks runc "1.1 hands it to the kernel, where it means none"
	lacks crun "hands it to the kernel, where it means none"
	refuses_limit cpu.quota '{"cpu":{"quota":-2}}'
}

@test "limits cpu: numbers that do not fit" {
	lacks crun "its parser wraps them"
	for cpu in '"shares":-1' '"shares":18446744073709551616' '"quota":9223372036854775808' '"quota":1.5' '"period":-1' '"cpus":3'; do
		jq ".linux.resources = {}" "$CONFIG" >"$T/plain"
		# jq would round the large ones
		sed "s/\"resources\": {}/\"resources\": {\"cpu\":{$cpu}}/" "$T/plain" >"$CONFIG"
		grep -qF "$cpu" "$CONFIG"
		limit_refused cpu
	done
}

@test "limits cpu: burst" {
	needs_controller cpu
	lacks runc 1.2 "no burst"
	lacks crun 1.9 "no burst"
	needs_limit_file cpu cpu.cfs_burst_us cpu.max.burst
	limited_ct '{"cpu":{"quota":20000,"period":100000,"burst":10000}}'
	assert_limit cpu cpu.cfs_burst_us 10000 cpu.max.burst 10000
	assert_limit cpu cpu.cfs_quota_us 20000 cpu.max "20000 100000"
}

@test "limits cpu: a burst above the quota is refused" {
	needs_controller cpu
	lacks runc 1.2 "no burst"
	lacks crun 1.9 "no burst"
	needs_limit_file cpu cpu.cfs_burst_us cpu.max.burst
	refuses_limit cpu.burst '{"cpu":{"quota":20000,"burst":30000}}'
}

@test "limits cpu: idle" {
	needs_controller cpu
	lacks runc 1.2 "no idle"
	needs_limit_file cpu cpu.idle cpu.idle
	limited_ct '{"cpu":{"idle":1}}'
	assert_limit cpu cpu.idle 1 cpu.idle 1
}

@test "limits cpu: idle is 0 or 1" {
	needs_controller cpu
	lacks runc 1.2 "no idle"
	needs_limit_file cpu cpu.idle cpu.idle
	refuses_limit cpu.idle '{"cpu":{"idle":2}}'
}

@test "limits cpu: real-time runtime and period" {
	only_v1 "v2 has no real-time bandwidth"
	needs_limit_file cpu cpu.rt_runtime_us -
	# The parent needs some to give.
	make_cgroup berth-it cpu
	read -r mount _ < <(hierarchy cpu)
	echo 950000 >"$mount/berth-it/cpu.rt_runtime_us" 2>/dev/null || skip "the root has no real-time bandwidth to give"
	set_resources '{"cpu":{"realtimeRuntime":50000,"realtimePeriod":500000}}'
	idle_ct
	assert_limit cpu cpu.rt_runtime_us 50000 - -
	assert_limit cpu cpu.rt_period_us 500000 - -
	rt delete --force "$ID"
	# the deleted one counts for a moment
	wait_for sh -c "echo 0 >$mount/berth-it/cpu.rt_runtime_us"
}

@test "limits cpu: real-time bandwidth is ignored with a warning on v2" {
	only_v2 "v1 has it"
	needs_berth "others refuse or say nothing"
	warns_limit realtimeRuntime '{"cpu":{"realtimeRuntime":50000,"realtimePeriod":500000}}'
}

@test "limits cpu: real-time bandwidth beyond the parent's is refused" {
	only_v1 "v2 has no real-time bandwidth"
	needs_limit_file cpu cpu.rt_runtime_us -
	refuses_limit cpu.realtimeRuntime '{"cpu":{"realtimeRuntime":999999999,"realtimePeriod":1000000}}'
}

@test "limits cpuset: cpus and mems" {
	needs_controller cpuset
	limited_ct '{"cpu":{"cpus":"0","mems":"0"}}'
	assert_limit cpuset cpuset.cpus 0 cpuset.cpus 0
	assert_limit cpuset cpuset.mems 0 cpuset.mems 0
	exec_ct grep Cpus_allowed_list /proc/self/status
	assert_output $'Cpus_allowed_list:\t0'
	exec_ct grep Mems_allowed_list /proc/self/status
	assert_output $'Mems_allowed_list:\t0'
}

@test "limits cpuset: init runs on those CPUs" {
	needs_controller cpuset
	[[ $(nproc) -gt 1 ]] || skip "machine has one CPU"
	set_resources '{"cpu":{"cpus":"1"}}'
	set_args grep Cpus_allowed_list /proc/self/status
	run_ct
	assert_output $'Cpus_allowed_list:\t1'
}

@test "limits cpuset: without one all CPUs of the parent" {
	needs_controller cpuset
	idle_ct
	exec_ct grep Cpus_allowed_list /proc/self/status
	assert_output $'Cpus_allowed_list:\t'"$(cat /sys/devices/system/cpu/online)"
}

@test "limits cpuset: CPUs and nodes that do not exist" {
	needs_controller cpuset
	refuses_limit cpu.cpus '{"cpu":{"cpus":"100000"}}'
	refuses_limit cpu.cpus '{"cpu":{"cpus":"banana"}}'
	refuses_limit cpu.mems '{"cpu":{"cpus":"0","mems":"1000"}}'
}
