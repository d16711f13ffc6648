#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Limits: what docker is told is what the kernel has, at the start and after update.

load helpers

@test "resources: --memory and --memory-reservation" {
	EXTRA=(--memory 64m --memory-reservation 32m)
	idle_c
	assert_eq "$(limit memory/memory.limit_in_bytes memory.max)" $((64 << 20))
	assert_eq "$(limit memory/memory.soft_limit_in_bytes memory.low)" $((32 << 20))
}

@test "resources: --memory-swap" {
	EXTRA=(--memory 64m --memory-swap 96m)
	on_v2 || [[ -e /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes ]] || skip "no accounting of swap in this kernel"
	idle_c
	if on_v2; then assert_eq "$(limit x memory.swap.max)" $((32 << 20)); else assert_eq "$(limit memory/memory.memsw.limit_in_bytes x)" $((96 << 20)); fi
}

@test "resources: --cpus" {
	EXTRA=(--cpus 0.5)
	idle_c
	if on_v2; then assert_eq "$(limit x cpu.max)" "50000 100000"; else assert_eq "$(limit cpu/cpu.cfs_quota_us x) $(limit cpu/cpu.cfs_period_us x)" "50000 100000"; fi
}

@test "resources: --cpu-quota and --cpu-period" {
	EXTRA=(--cpu-quota 20000 --cpu-period 50000)
	idle_c
	if on_v2; then assert_eq "$(limit x cpu.max)" "20000 50000"; else assert_eq "$(limit cpu/cpu.cfs_quota_us x) $(limit cpu/cpu.cfs_period_us x)" "20000 50000"; fi
}

@test "resources: --cpu-shares" {
	EXTRA=(--cpu-shares 512)
	idle_c
	if on_v2; then assert_eq "$(limit x cpu.weight)" 20; else assert_eq "$(limit cpu/cpu.shares x)" 512; fi
}

@test "resources: --cpuset-cpus and --cpuset-mems" {
	EXTRA=(--cpuset-cpus 0 --cpuset-mems 0)
	idle_c
	assert_eq "$(limit cpuset/cpuset.cpus cpuset.cpus) $(limit cpuset/cpuset.mems cpuset.mems)" "0 0"
	assert_eq "$(sh_c nproc)" 1
}

@test "resources: --cpuset-cpus that the machine lacks are refused" {
	EXTRA=(--cpuset-cpus 4000)
	run_c true
	assert_status 125
	assert_has "Requested CPUs are not available"
}

@test "resources: --pids-limit holds" {
	EXTRA=(--pids-limit 5)
	idle_c
	assert_eq "$(limit pids/pids.max pids.max)" 5
	exec_c sh -c 'for i in 1 2 3 4 5 6; do sleep 10 & done'
	assert_fails "fork"
}

@test "resources: --blkio-weight" {
	[[ -e /sys/fs/cgroup/blkio/blkio.bfq.weight ]] || on_v2 || skip "this kernel has no weights of block devices"
	EXTRA=(--blkio-weight 300)
	idle_c
	output=$(limit blkio/blkio.bfq.weight io.bfq.weight)
	assert_has 300
}

@test "resources: --device-read-bps and --device-write-iops" {
	disk=$(lsblk -dnpo NAME | head -n1)
	EXTRA=(--device-read-bps "$disk:1mb" --device-write-iops "$disk:100")
	idle_c
	if on_v2; then
		limit x io.max | grep -q "rbps=1048576 .*wiops=100"
	else
		limit blkio/blkio.throttle.read_bps_device x | grep -q ' 1048576$'
		limit blkio/blkio.throttle.write_iops_device x | grep -q ' 100$'
	fi
}

@test "resources: --oom-kill-disable" {
	never on_v2 || skip "cgroup v2 has no such switch"
	EXTRA=(--memory 64m --oom-kill-disable)
	idle_c
	limit memory/memory.oom_control x | grep -q '^oom_kill_disable 1$'
}

@test "resources: --oom-score-adj" {
	EXTRA=(--oom-score-adj 321)
	run_c cat /proc/self/oom_score_adj
	assert_output 321
}

@test "resources: a container that is out of memory is told so" {
	EXTRA=(--memory 16m --memory-swap 16m)
	since=$(date +%s.%N)
	keep_c sh -c 'x=x; while :; do x=$x$x; done'
	assert_status 137
	assert_eq "$(show '{{.State.OOMKilled}} {{.State.ExitCode}}')" "true 137"
	docker_ events --since "$since" --until "$(date +%s.%N)" --filter "container=$ID" --format '{{.Action}}' | grep -qx oom
}

@test "resources: a child that is out of memory does not end the container" {
	EXTRA=(--memory 24m --memory-swap 24m)
	idle_c
	exec_c sh -c 'x=x; while :; do x=$x$x; done'
	assert_status 137
	assert_eq "$(show '{{.State.Running}}')" true
}

@test "resources: --ulimit" {
	EXTRA=(--ulimit nofile=100:200 --ulimit core=0 --ulimit nproc=50)
	run_c sh -c 'ulimit -n; ulimit -Hn; ulimit -c; grep "Max processes" /proc/self/limits | xargs'
	assert_output $'100\n200\n0\nMax processes 50 50 processes'
}

@test "resources: --shm-size" {
	EXTRA=(--shm-size 12m)
	run_c sh -c "df -k /dev/shm | tail -n1 | awk '{print \$2}'"
	assert_output $((12 << 10))
}

@test "resources: --device with and without the right to write" {
	EXTRA=(--device /dev/null:/dev/mine:r --device /dev/full)
	run_c sh -c 'ls -l /dev/mine /dev/full; cat /dev/mine && echo read; echo x >/dev/mine'
	assert_has "1,   3"
	assert_has "1,   7"
	assert_has read
	# /dev/null has a rule of its own, so that it can be written even so
}

@test "resources: a device that is not given cannot be made and opened" {
	EXTRA=(--cap-add mknod)
	run_c sh -c 'mknod /tmp/fuse c 10 229 && exec 3<>/tmp/fuse'
	assert_fails "peration not permitted"
}

@test "resources: --device-cgroup-rule" {
	EXTRA=(--cap-add mknod --device-cgroup-rule 'c 10:229 rwm')
	run_c sh -c 'mknod /tmp/fuse c 10 229 && exec 3<>/tmp/fuse && echo opened'
	assert_output opened
}

@test "resources: --cgroup-parent" {
	EXTRA=(--cgroup-parent "$ROOM_CGROUP/parent")
	idle_c
	grep -q "$ROOM_CGROUP/parent/$(full_id)" "/proc/$(show '{{.State.Pid}}')/cgroup"
	docker_ rm -f "$ID" >/dev/null
	find /sys/fs/cgroup/*"$ROOM_CGROUP" /sys/fs/cgroup"$ROOM_CGROUP" -name parent -type d -exec rmdir {} + 2>/dev/null || true
}

@test "update: memory and CPUs of a running container" {
	EXTRA=(--memory 64m --memory-swap 64m)
	idle_c
	docker_ update --memory 128m --memory-swap 128m --cpus 0.25 --cpuset-cpus 0 "$ID" >/dev/null
	assert_eq "$(limit memory/memory.limit_in_bytes memory.max)" $((128 << 20))
	if on_v2; then assert_eq "$(limit x cpu.max)" "25000 100000"; else assert_eq "$(limit cpu/cpu.cfs_quota_us x)" 25000; fi
	assert_eq "$(limit cpuset/cpuset.cpus cpuset.cpus)" 0
	assert_eq "$(show '{{.HostConfig.Memory}}')" $((128 << 20))
}

@test "update: down again, and memory without its swap is refused" {
	on_v2 || [[ -e /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes ]] || skip "no accounting of swap in this kernel"
	EXTRA=(--memory 64m --memory-swap 64m)
	idle_c
	try docker_ update --memory 128m "$ID"
	assert_fails "Memory limit should be smaller than already set memoryswap limit"
	docker_ update --memory 32m --memory-swap 32m "$ID" >/dev/null
	assert_eq "$(limit memory/memory.limit_in_bytes memory.max)" $((32 << 20))
}

@test "update: the limit of processes, and none" {
	idle_c
	docker_ update --pids-limit 7 "$ID" >/dev/null
	assert_eq "$(limit pids/pids.max pids.max)" 7
	docker_ update --pids-limit -1 "$ID" >/dev/null
	assert_eq "$(limit pids/pids.max pids.max)" max
}

@test "update: what is set survives a restart" {
	idle_c
	docker_ update --cpu-shares 256 --pids-limit 33 "$ID" >/dev/null
	docker_ restart -t 0 "$ID" >/dev/null
	assert_eq "$(limit pids/pids.max pids.max)" 33
}

@test "update: less memory than is in use is refused" {
	never on_v2 || skip "cgroup v2 kills instead"
	EXTRA=(--memory 64m --tmpfs /big)
	idle_c
	sh_c 'head -c 30000000 /dev/zero >/big/x'
	try docker_ update --memory 8m --memory-swap 64m "$ID"
	assert_fails
	assert_eq "$(show '{{.State.Running}}')" true
}

@test "update: the restart policy" {
	idle_c
	docker_ update --restart always "$ID" >/dev/null
	assert_eq "$(show '{{.HostConfig.RestartPolicy.Name}}')" always
	docker_ update --restart no "$ID" >/dev/null
}
