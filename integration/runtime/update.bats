#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

teardown() { teardown_cgroup; }

M32=33554432 M64=67108864 M128=134217728

# update_ct FLAG…: sets $status and $output.
update_ct() { try rt update "$@" "$ID" </dev/null; }
# limits: everything that these cases change, one a line.
limits() {
	local f v1="memory:memory.limit_in_bytes memory:memory.memsw.limit_in_bytes memory:memory.soft_limit_in_bytes
		cpu:cpu.shares cpu:cpu.cfs_quota_us cpu:cpu.cfs_period_us cpuset:cpuset.cpus pids:pids.max"
	local v2="-:memory.max -:memory.swap.max -:memory.low -:cpu.weight -:cpu.max -:cpuset.cpus -:pids.max"
	for f in $(by_version "$v1" "$v2"); do
		echo "${f#*:}=$(cat "$(cgroup_dir "${f%%:*}")/${f#*:}" 2>/dev/null || echo none)"
	done
}

@test "update --memory" {
	needs_controller memory
	limited_ct "{\"memory\":{\"limit\":$M64}}"
	update_ct --memory $M32
	assert_ok
	assert_output ""
	assert_limit memory memory.limit_in_bytes $M32 memory.max $M32
}

@test "update --memory: with a unit" {
	needs_controller memory
	lacks crun "numbers only"
	idle_ct
	update_ct --memory 64m
	assert_ok
	assert_limit memory memory.limit_in_bytes $M64 memory.max $M64
	update_ct --memory 128MB
	assert_ok
	assert_limit memory memory.limit_in_bytes $M128 memory.max $M128
}

@test "update --memory: of a limit that swap was counted with" {
	needs_controller memory
	needs_limit_file memory memory.memsw.limit_in_bytes memory.swap.max
	lacks crun "1.8 writes them in one order"
	set_resources "{\"memory\":{\"limit\":$M32,\"swap\":$M32}}"
	idle_ct
	update_ct --memory $M64 --memory-swap $M128
	assert_ok
	assert_limit memory memory.limit_in_bytes $M64 memory.max $M64
	assert_limit memory memory.memsw.limit_in_bytes $M128 memory.swap.max $M64
	update_ct --memory $M32 --memory-swap $M64
	assert_ok
	assert_limit memory memory.limit_in_bytes $M32 memory.max $M32
	assert_limit memory memory.memsw.limit_in_bytes $M64 memory.swap.max $M32
}

@test "update --memory-swap alone" {
	needs_controller memory
	needs_limit_file memory memory.memsw.limit_in_bytes memory.swap.max
	! on_v2 || lacks crun "1.8 wants the limit again"
	set_resources "{\"memory\":{\"limit\":$M32,\"swap\":$M64}}"
	idle_ct
	update_ct --memory-swap $M128
	assert_ok
	assert_limit memory memory.memsw.limit_in_bytes $M128 memory.swap.max $((M128 - M32))
	assert_limit memory memory.limit_in_bytes $M32 memory.max $M32
	update_ct --memory-swap $((M32 / 2))
	assert_fails
	assert_limit memory memory.memsw.limit_in_bytes $M128 memory.swap.max $((M128 - M32))
}

@test "update --memory -1 lifts the swap limit too" {
	needs_controller memory
	needs_limit_file memory memory.memsw.limit_in_bytes memory.swap.max
	lacks crun "1.8 leaves the swap limit"
	set_resources "{\"memory\":{\"limit\":$M32,\"swap\":$M64}}"
	idle_ct
	update_ct --memory -1
	assert_ok
	assert_limit memory memory.limit_in_bytes 9223372036854771712 memory.max max
	assert_limit memory memory.memsw.limit_in_bytes 9223372036854771712 memory.swap.max max
}

@test "update --memory-reservation" {
	needs_controller memory
	set_resources "{\"memory\":{\"limit\":$M64}}"
	idle_ct
	update_ct --memory-reservation $M32
	assert_ok
	assert_limit memory memory.soft_limit_in_bytes $M32 memory.low $M32
	assert_limit memory memory.limit_in_bytes $M64 memory.max $M64
}

@test "update --cpu-share" {
	needs_controller cpu
	idle_ct
	update_ct --cpu-share 2048
	assert_ok
	if on_v2; then
		lacks runc 1.4 "the linear formula"
		lacks crun 1.24 "the linear formula"
	fi
	assert_limit cpu cpu.shares 2048 cpu.weight 174
}

@test "update --cpu-quota and --cpu-period each keep the other" {
	needs_controller cpu
	lacks crun "1.8 forgets the other on v2"
	set_resources '{"cpu":{"quota":25000,"period":50000}}'
	idle_ct
	update_ct --cpu-quota 40000
	assert_ok
	assert_limit cpu cpu.cfs_quota_us 40000 cpu.max "40000 50000"
	assert_limit cpu cpu.cfs_period_us 50000 cpu.max "40000 50000"
	update_ct --cpu-period 80000
	assert_ok
	assert_limit cpu cpu.cfs_quota_us 40000 cpu.max "40000 80000"
	assert_limit cpu cpu.cfs_period_us 80000 cpu.max "40000 80000"
	update_ct --cpu-quota -1
	assert_ok
	assert_limit cpu cpu.cfs_quota_us -1 cpu.max "max 80000"
	assert_limit cpu cpu.cfs_period_us 80000 cpu.max "max 80000"
}

@test "update --cpu-quota and --cpu-period together" {
	needs_controller cpu
	set_resources '{"cpu":{"quota":25000,"period":50000}}'
	idle_ct
	update_ct --cpu-quota 600000 --cpu-period 900000
	assert_ok
	assert_limit cpu cpu.cfs_quota_us 600000 cpu.max "600000 900000"
	assert_limit cpu cpu.cfs_period_us 900000 cpu.max "600000 900000"
	update_ct --cpu-quota 2000 --cpu-period 3000
	assert_ok
	assert_limit cpu cpu.cfs_quota_us 2000 cpu.max "2000 3000"
	assert_limit cpu cpu.cfs_period_us 3000 cpu.max "2000 3000"
}

@test "update --cpu-burst" {
	needs_controller cpu
	lacks runc 1.2 "no such flag"
	lacks crun "no such flag"
	needs_limit_file cpu cpu.cfs_burst_us cpu.max.burst
	set_resources '{"cpu":{"quota":25000,"period":50000}}'
	idle_ct
	update_ct --cpu-burst 10000
	assert_ok
	assert_limit cpu cpu.cfs_burst_us 10000 cpu.max.burst 10000
	# a quota below the burst is in the way of the new burst, and after it not
	update_ct --cpu-quota 5000 --cpu-burst 1000
	assert_ok
	assert_limit cpu cpu.cfs_burst_us 1000 cpu.max.burst 1000
	assert_limit cpu cpu.cfs_quota_us 5000 cpu.max "5000 50000"
	update_ct --cpu-burst 0
	assert_ok
	assert_limit cpu cpu.cfs_burst_us 0 cpu.max.burst 0
}

@test "update --cpu-idle" {
	needs_controller cpu
	lacks runc 1.2 "no such flag"
	lacks crun "no such flag"
	needs_limit_file cpu cpu.idle cpu.idle
	idle_ct
	update_ct --cpu-idle 1
	assert_ok
	assert_limit cpu cpu.idle 1 cpu.idle 1
	update_ct --cpu-idle 0 --cpu-share 1024
	assert_ok
	assert_limit cpu cpu.idle 0 cpu.idle 0
	assert_limit cpu cpu.shares 1024 cpu.weight 100
	update_ct --cpu-idle 2
	assert_fails
}

@test "update --cpuset-cpus and --cpuset-mems" {
	needs_controller cpuset
	idle_ct
	update_ct --cpuset-cpus 0 --cpuset-mems 0
	assert_ok
	assert_limit cpuset cpuset.cpus 0 cpuset.cpus 0
	assert_limit cpuset cpuset.mems 0 cpuset.mems 0
	exec_ct grep Cpus_allowed_list /proc/self/status
	assert_output $'Cpus_allowed_list:\t0'
	grep -qP 'Cpus_allowed_list:\t0$' "/proc/$(state_of pid)/status"
}

@test "update --pids-limit" {
	needs_controller pids
	limited_ct '{"pids":{"limit":50}}'
	update_ct --pids-limit 99
	assert_ok
	assert_limit pids pids.max 99 pids.max 99
}

@test "update --pids-limit -1" {
	needs_controller pids
	on_v2 || lacks crun "1.8 hands it to the kernel"
	set_resources '{"pids":{"limit":50}}'
	idle_ct
	update_ct --pids-limit -1
	assert_ok
	assert_limit pids pids.max max pids.max max
}

@test "update --pids-limit: below what runs already" {
	needs_controller pids
	idle_ct
	for i in 1 2 3 4 5; do rt exec -d "$ID" sleep 2000 </dev/null >/dev/null 2>&1 3>&-; done
	update_ct --pids-limit 3
	assert_ok
	assert_limit pids pids.max 3 pids.max 3
	assert_eq "$(status_of)" running
}

@test "update --blkio-weight" {
	needs_controller blkio io
	on_v2 || lacks crun "knows no file of BFQ on v1"
	needs_limit_file blkio blkio.bfq.weight io.bfq.weight
	idle_ct
	update_ct --blkio-weight 444
	assert_ok
	limit_of blkio blkio.bfq.weight io.bfq.weight | grep -qE '^(default )?444$'
}

@test "update --cpu-rt-runtime: beyond the parent's is refused" {
	only_v1 "v2 has none"
	needs_limit_file cpu cpu.rt_runtime_us -
	idle_ct
	update_ct --cpu-rt-runtime 999999999
	assert_fails
}

@test "update: several flags at once" {
	needs_controller memory
	needs_controller pids
	needs_controller cpu
	idle_ct
	update_ct --memory $M64 --pids-limit 88 --cpu-quota 30000 --cpu-period 60000 --cpuset-cpus 0
	assert_ok
	assert_limit memory memory.limit_in_bytes $M64 memory.max $M64
	assert_limit pids pids.max 88 pids.max 88
	assert_limit cpu cpu.cfs_quota_us 30000 cpu.max "30000 60000"
	assert_limit cpuset cpuset.cpus 0 cpuset.cpus 0
}

@test "update --resources: a file, and standard input" {
	needs_controller memory
	needs_controller pids
	idle_ct
	echo "{\"memory\":{\"limit\":$M64},\"pids\":{\"limit\":31}}" >"$T/r.json"
	update_ct --resources "$T/r.json"
	assert_ok
	assert_limit memory memory.limit_in_bytes $M64 memory.max $M64
	assert_limit pids pids.max 31 pids.max 31
	try rt update --resources - "$ID" <<<'{"pids":{"limit":32}}'
	assert_ok
	assert_limit pids pids.max 32 pids.max 32
	try rt update -r - "$ID" <<<'{"pids":{"limit":33}}'
	assert_ok
	assert_limit pids pids.max 33 pids.max 33
}

@test "update --resources: a value of the wrong type" {
	needs_berth "its own words"
	idle_ct
	try rt update --resources - "$ID" <<<'{"pids":{"limit":"x"}}'
	assert_fails "--resources -: line 1: pids.limit: a JSON string is not an integer"
}

@test "update --resources: what it does not name stays" {
	needs_controller memory
	needs_controller pids
	needs_controller cpu
	lacks crun "1.8 writes all of cpu.max"
	set_resources "{\"memory\":{\"limit\":$M64,\"reservation\":$M32},\"cpu\":{\"shares\":512,\"quota\":25000,\"period\":50000,\"cpus\":\"0\"},\"pids\":{\"limit\":40}}"
	idle_ct
	before=$(limits)
	update_ct --pids-limit 41
	assert_ok
	assert_eq "$(limits)" "${before/pids.max=40/pids.max=41}"
	try rt update --resources - "$ID" <<<"{\"memory\":{\"reservation\":$M32},\"cpu\":{},\"pids\":{\"limit\":40}}"
	assert_ok
	assert_eq "$(limits)" "$before"
	try rt update --resources - "$ID" <<<'{}'
	assert_ok
	assert_eq "$(limits)" "$before"
}

@test "update --resources: flags beside it are ignored" {
	needs_controller pids
	lacks crun "takes both"
	set_resources '{"pids":{"limit":40}}'
	idle_ct
	try rt update --pids-limit 77 --resources - "$ID" <<<'{"pids":{"limit":41}}'
	assert_ok
	assert_limit pids pids.max 41 pids.max 41
}

@test "update: with a value that is refused none changes" {
	needs_controller memory
	needs_controller pids
	needs_controller cpu
	lacks crun "does not write back"
	lacks runc "its writing back fails on the same file"
	set_resources "{\"memory\":{\"limit\":$M64,\"reservation\":$M32},\"cpu\":{\"shares\":512,\"quota\":25000,\"period\":50000},\"pids\":{\"limit\":40}}"
	idle_ct
	before=$(limits)
	update_ct --pids-limit 99 --memory $M128 --cpu-share 1024 --cpuset-cpus 100000
	assert_fails
	[[ $RT != berth ]] || assert_has cpu.cpus
	assert_eq "$(limits)" "$before"
	update_ct --memory $M128 --memory-reservation $M64 --cpuset-cpus 100000
	assert_fails
	[[ $RT != berth ]] || assert_has cpu.cpus
	assert_eq "$(limits)" "$before"
}

@test "update: after one that failed the next works" {
	needs_controller pids
	needs_controller cpu
	set_resources '{"pids":{"limit":40}}'
	idle_ct
	update_ct --pids-limit 99 --cpuset-cpus 100000
	assert_fails
	update_ct --pids-limit 98 --cpu-quota 50000
	assert_ok
	assert_limit pids pids.max 98 pids.max 98
	assert_limit cpu cpu.cfs_quota_us 50000 cpu.max "50000 100000"
}

@test "update --resources: a file that is missing, empty or no JSON" {
	idle_ct
	before=$(limits)
	update_ct --resources "$T/missing.json"
	assert_fails
	for text in '' '{' '[]' '{"pids":{"limit":"9"}}' '{"memory":3}'; do
		[[ $RT == crun && $text == [[\{]*[\]\"]* ]] && continue # its parser is not that strict
		printf %s "$text" >"$T/r.json"
		update_ct --resources "$T/r.json"
		assert_fails
	done
	assert_eq "$(limits)" "$before"
}

@test "update: sizes and numbers that are none" {
	lacks crun "reads them with strtol"
	idle_ct
	before=$(limits)
	for flags in "--memory banana" "--memory 12q" "--memory-swap --" "--memory-reservation 1e" \
		"--pids-limit many" "--cpu-quota 1.5" "--cpu-share -3" "--blkio-weight 70000" "--cpu-period x"; do
		# shellcheck disable=SC2086 # two words
		update_ct $flags
		assert_fails
	done
	assert_eq "$(limits)" "$before"
}

@test "update: numbers beyond 64 bits" {
	lacks crun "reads them with strtol"
	idle_ct
	before=$(limits)
	for flags in "--pids-limit 9223372036854775808" "--cpu-share 18446744073709551616" "--cpu-quota 9223372036854775808"; do
		# shellcheck disable=SC2086 # two words
		update_ct $flags
		assert_fails
	done
	assert_eq "$(limits)" "$before"
}

@test "update: of an unknown container" {
	try rt update --pids-limit 10 "$ID-unknown"
	assert_unknown
}

@test "update: of a stopped container" {
	set_args true
	detach_ct
	wait_status stopped
	update_ct --pids-limit 10
	[[ $RT == crun ]] || assert_fails "container not running" # crun takes it
}

@test "update: of a created container" {
	needs_controller pids
	create_ct
	update_ct --pids-limit 61
	assert_ok
	assert_limit pids pids.max 61 pids.max 61
}

@test "update: needs an id" {
	try rt update --pids-limit 10
	assert_fails
}

@test "update: nothing asked is nothing done" {
	lacks crun "wants something"
	idle_ct
	before=$(limits)
	update_ct
	assert_ok
	assert_eq "$(limits)" "$before"
}

@test "update --kernel-memory warns, and the other limits change" {
	needs_controller pids
	lacks crun "tries to set it"
	idle_ct
	try rt --log "$T/log" update --kernel-memory 16m --kernel-memory-tcp 16m --pids-limit 62 "$ID"
	assert_ok
	grep -q "ernel memory settings are ignored" "$T/log"
	assert_limit pids pids.max 62 pids.max 62
}

@test "update --dry-run: old and new values, and nothing changes" {
	needs_berth "its own flag"
	needs_controller pids
	needs_controller memory
	set_resources "{\"pids\":{\"limit\":40},\"memory\":{\"limit\":$M64}}"
	idle_ct
	before=$(limits)
	update_ct --dry-run --pids-limit 99 --memory $M128
	assert_ok
	assert_matches "pids.max: 40 → 99"
	assert_matches "$(by_version memory.limit_in_bytes memory.max): $M64 → $M128"
	assert_has "# linux.resources.pids.limit"
	assert_eq "$(limits)" "$before"
}

@test "update --dry-run: says what stays as it is" {
	needs_berth "its own flag"
	needs_controller pids
	set_resources '{"pids":{"limit":40}}'
	idle_ct
	update_ct --dry-run --pids-limit 40
	assert_ok
	assert_matches "pids.max: 40 \(unchanged\)"
}

@test "update --dry-run: shows device rules that would change" {
	needs_berth "its own flag"
	idle_ct
	try rt update --dry-run --resources - "$ID" <<<'{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":11,"access":"rwm"}]}'
	assert_ok
	assert_has "c 1:11"
	exec_ct sh -c ': >/dev/null && echo fine'
	assert_output fine
}

@test "update --dry-run: refuses what update refuses before it writes" {
	needs_berth "its own flag"
	idle_ct
	update_ct --dry-run --memory $M64 --memory-swap $M32
	assert_fails memory.swap
}

@test "update: unified, on v2" {
	only_v2 "v1 refuses it"
	needs_controller memory
	lacks runc "1.1 drops it"
	lacks crun "1.8 drops it"
	idle_ct
	try rt update --resources - "$ID" <<<'{"unified":{"memory.high":"50331648"}}'
	assert_ok
	assert_limit - - - memory.high 50331648
	try rt update --resources - "$ID" <<<'{"unified":{"a/b":"1"}}'
	assert_fails
}

@test "update: I/O throttles by --resources" {
	needs_controller blkio io
	lacks runc "1.1 does not update it"
	read -r major minor < <(block_device) || skip "machine has no block device"
	idle_ct
	try rt update --resources - "$ID" <<<"{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":$major,\"minor\":$minor,\"rate\":104857600}]}}"
	assert_ok
	limit_of blkio blkio.throttle.read_bps_device io.max | grep "^$major:$minor " | grep -q 104857600
	try rt update --resources - "$ID" <<<'{"blockIO":{"throttleReadBpsDevice":[{"major":4095,"minor":77,"rate":1}]}}'
	assert_fails
}

@test "update: two at once leave one of both" {
	needs_controller pids
	idle_ct
	for n in 71 72; do
		rt update --pids-limit $n "$ID" >"$T/u$n" 2>&1 3>&- &
		pids[n]=$!
	done
	wait "${pids[71]}"
	wait "${pids[72]}"
	[[ $(limit_of pids pids.max pids.max) == 7[12] ]]
}

@test "update: a limit that provokes the OOM killer does what it says" {
	needs_controller memory
	set_resources "{\"memory\":{\"limit\":$M128,\"swap\":$M128}}"
	idle_ct
	update_ct --memory $M32 --memory-swap $M32
	assert_ok
	exec_ct dd if=/dev/zero of=/dev/null bs=100M count=1
	assert_status 137
	assert_eq "$(status_of)" running
}

@test "update: no swap stays no swap" {
	only_v2 "v1 counts memory and swap together"
	needs_controller memory
	lacks crun "1.8 leaves it to the caller"
	set_resources "{\"memory\":{\"limit\":$M64},\"unified\":{\"memory.swap.max\":\"0\"}}"
	idle_ct
	update_ct --memory $M128
	assert_ok
	assert_limit memory - - memory.max $M128
	assert_limit memory - - memory.swap.max 0
	update_ct --memory $M64
	assert_limit memory - - memory.swap.max 0
}
