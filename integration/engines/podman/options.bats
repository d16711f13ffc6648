#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The options of podman run that end up in config.json: each is looked at from inside.

load helpers
setup() { podman_setup; }
teardown() { podman_teardown; }

# ---- limits ------------------------------------------------------------

@test "--memory and --memory-reservation" {
	run_c --memory 50m --memory-reservation 40m bb sh -c "$(cgroup_file memory/memory.limit_in_bytes memory.max); $(cgroup_file memory/memory.soft_limit_in_bytes memory.low)"
	assert_output $'52428800\n41943040'
}

@test "--cpus, --cpu-shares and --cpuset-cpus" {
	run_c --cpus 0.5 --cpuset-cpus 1 bb sh -c "$(cgroup_file cpu/cpu.cfs_quota_us cpu.max); $(cgroup_file cpuset/cpuset.cpus cpuset.cpus)"
	if on_v2; then assert_output $'50000 100000\n1'; else assert_output $'50000\n1'; fi
	run_c --cpu-shares 512 bb sh -c "$(cgroup_file cpu/cpu.shares cpu.weight)"
	# older runtimes make 20 of it on v2
	if on_v2; then [[ $output == 59 || $output == 20 ]]; else assert_output 512; fi
}

@test "--pids-limit stops a container that forks on and on" {
	run_c --pids-limit 10 bb sh -c "$(cgroup_file pids/pids.max pids.max); for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done"
	assert_fails "an't fork"
	assert_has 10
}

@test "out of memory is seen by inspect" {
	keep_c --memory 20m bb sh -c 'x=$(yes | head -c 90000000); echo survived'
	assert_status 137
	# conmon 2.1.6 does not see it on cgroup v1
	ours || on_v2 || skip "conmon 2.1.6 reports no OOM on cgroup v1"
	assert_eq "$(show '{{.State.OOMKilled}}')" true
}

@test "--oom-score-adj" {
	run_c --oom-score-adj 500 bb cat /proc/self/oom_score_adj
	assert_output 500
}

@test "--ulimit" {
	run_c --ulimit nofile=100:200 --ulimit core=0 --ulimit nproc=1000:1000 bb sh -c 'ulimit -Sn; ulimit -Hn; ulimit -c'
	assert_output $'100\n200\n0'
}

@test "--device-read-bps is set" {
	disk=$(lsblk -dnpo NAME | grep -v -e loop -e ram | head -n 1)
	[[ $disk ]] || skip "no disk here"
	run_c --device-read-bps "$disk:1mb" bb sh -c "$(cgroup_file blkio/blkio.throttle.read_bps_device io.max)"
	assert_ok
	assert_has 1048576
}

@test "--cgroups=disabled" {
	BASE=(--network none)
	# crun and Berth; for runc Podman refuses it
	[[ $ENGINE_RUNTIME != runc ]] || skip "runc has no containers without a cgroup"
	run_c --cgroups disabled bb cat /proc/self/cgroup
	assert_ok
	[[ $output != *libpod-* ]]
}

@test "--cgroupns=private hides the path" {
	run_c --cgroupns private bb cat /proc/self/cgroup
	assert_ok
	[[ $output != *"$ROOM_CGROUP"* ]]
	run_c --cgroupns host bb cat /proc/self/cgroup
	assert_has "$ROOM_CGROUP"
}

# ---- devices -----------------------------------------------------------

@test "--device is made, and may be opened as its rules say" {
	run_c --device /dev/fuse:/dev/other:r bb sh -c 'ls -l /dev/other; exec 3</dev/other && echo readable; { echo x >/dev/other; } 2>&1'
	assert_fails "not permitted"
	assert_has "10, 229"
	assert_has readable
}

@test "a device that is not allowed cannot be opened" {
	run_c --cap-add MKNOD bb sh -c 'mknod /dev/fuse c 10 229; exec 3</dev/fuse'
	assert_fails "not permitted"
	run_c --cap-add MKNOD --device-cgroup-rule 'c 10:229 rwm' bb sh -c 'mknod /dev/fuse c 10 229; exec 3</dev/fuse'
	assert_ok
}

@test "a device that does not exist is an error" {
	run_c --device /dev/no-such-device bb true
	assert_status 125
	assert_has no-such-device
}

# ---- privileges --------------------------------------------------------

# caps: CapEff of the container's first process.
caps() { awk '/CapEff/ { print $2 }' <<<"$output"; }

@test "--cap-drop all, and --cap-add one" {
	run_c --cap-drop all bb cat /proc/1/status
	assert_eq "$(caps)" 0000000000000000
	run_c --cap-drop all --cap-add net_raw bb cat /proc/1/status
	assert_eq "$(caps)" 0000000000002000
	run_c --cap-drop chown bb chown 5 /tmp
	assert_fails "not permitted"
}

@test "--privileged has all capabilities, devices and no seccomp" {
	run_c --privileged bb cat /proc/1/status
	assert_eq "$(caps)" "$(awk '/CapBnd/ { print $2 }' /proc/self/status)"
	assert_eq "$(awk '/^Seccomp:/ { print $2 }' <<<"$output")" 0
	run_c --privileged bb sh -c 'ls /dev | wc -l; mount -t tmpfs x /tmp && echo mounted; touch /proc/sys/kernel/hostname && echo writable'
	assert_has mounted
	assert_has writable
}

@test "seccomp: the default profile, none, and one of the user's" {
	run_c bb cat /proc/1/status
	assert_eq "$(awk '/^Seccomp:/ { print $2 }' <<<"$output")" 2
	run_c --security-opt seccomp=unconfined bb cat /proc/1/status
	assert_eq "$(awk '/^Seccomp:/ { print $2 }' <<<"$output")" 0
	echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28}]}' >"$T/profile.json"
	run_c --security-opt "seccomp=$T/profile.json" bb mkdir /tmp/x
	assert_fails "No space left"
}

@test "--security-opt no-new-privileges" {
	run_c --security-opt no-new-privileges bb cat /proc/1/status
	assert_eq "$(awk '/^NoNewPrivs:/ { print $2 }' <<<"$output")" 1
}

@test "--security-opt mask and unmask" {
	run_c bb sh -c 'wc -c </proc/timer_list'
	assert_output 0
	run_c --security-opt unmask=/proc/timer_list bb sh -c 'head -c 5 /proc/timer_list'
	assert_output Timer
	run_c --security-opt mask=/etc/passwd bb cat /etc/passwd
	assert_output ""
}

@test "--sysctl of a namespace, and one that is the host's" {
	run_c --sysctl net.ipv4.ip_unprivileged_port_start=80 bb cat /proc/sys/net/ipv4/ip_unprivileged_port_start
	assert_output 80
	run_c --sysctl vm.swappiness=1 bb true
	assert_fails
	assert_has vm.swappiness
}

@test "--read-only, with and without its tmpfs" {
	run_c --read-only bb sh -c 'touch /tmp/x && echo tmp; touch /x'
	assert_fails "Read-only file system"
	assert_has tmp
	run_c --read-only --read-only-tmpfs=false bb touch /tmp/x
	assert_fails "Read-only file system"
}

# ---- namespaces --------------------------------------------------------

@test "--ipc host, private and a container's" {
	host=$(readlink /proc/self/ns/ipc)
	run_c --ipc host bb readlink /proc/self/ns/ipc
	assert_output "$host"
	idle_c --ipc shareable
	theirs=$(podman_ exec "$ID" readlink /proc/self/ns/ipc)
	[[ $theirs != "$host" ]]
	run_c --ipc "container:$ID" bb readlink /proc/self/ns/ipc
	assert_output "$theirs"
}

@test "--pid host, and a container's" {
	run_c --pid host bb readlink /proc/self/ns/pid
	assert_output "$(readlink /proc/self/ns/pid)"
	idle_c
	run_c --pid "container:$ID" bb ps -o pid,args
	assert_has "1 sleep 1000"
}

@test "--uts host shows the host's name" {
	run_c --uts host bb hostname
	assert_output "$(hostname)"
}

@test "--shm-size" {
	run_c --shm-size 5m bb sh -c 'df -k /dev/shm | tail -n 1'
	assert_has " 5120 "
}

@test "--userns auto gives each container ids of its own" {
	detach_c --userns auto bb sleep 1000
	first=$(podman_ exec "$ID" awk '{ print $2 }' /proc/self/uid_map)
	((first >= 1000000))
	run_c --userns auto bb sh -c 'awk "{ print \$2 }" /proc/self/uid_map; touch /made; stat -c %u /made'
	assert_ok
	[[ $(head -n 1 <<<"$output") != "$first" && $(tail -n 1 <<<"$output") == 0 ]]
}

@test "--uidmap and --gidmap" {
	run_c --uidmap 0:700000:1000 --gidmap 0:800000:1000 bb sh -c 'cat /proc/self/uid_map /proc/self/gid_map; stat -c %u:%g /bin/busybox'
	assert_ok
	assert_eq "$(xargs <<<"$output")" "0 700000 1000 0 800000 1000 0:0"
}

@test "--userns container: joins another's" {
	detach_c --uidmap 0:700000:1000 bb sleep 1000
	run_c --userns "container:$ID" bb awk '{ print $2 }' /proc/self/uid_map
	assert_output 700000
}

# ---- hooks, personality, annotations -----------------------------------

@test "--hooks-dir: an OCI hook runs at its stage" {
	mkdir "$T/hooks"
	printf '#!/bin/sh\njq -r .status >%s/hook\n' "$T" >"$T/hook.sh"
	chmod +x "$T/hook.sh"
	cat >"$T/hooks/h.json" <<-JSON
		{"version": "1.0.0", "hook": {"path": "$T/hook.sh"}, "when": {"annotations": {"^org.berth.hook$": "^yes$"}}, "stages": ["prestart"]}
	JSON
	try podman_ --hooks-dir "$T/hooks" run --rm "${BASE[@]}" bb true
	assert_ok
	[[ ! -e $T/hook ]]
	try podman_ --hooks-dir "$T/hooks" run --rm "${BASE[@]}" --annotation org.berth.hook=yes bb true
	assert_ok
	grep -qE 'creating|created' "$T/hook"
}

@test "a hook that fails is why the container does not start" {
	mkdir "$T/hooks"
	cat >"$T/hooks/h.json" <<-JSON
		{"version": "1.0.0", "hook": {"path": "$(type -P false)"}, "when": {"always": true}, "stages": ["createRuntime"]}
	JSON
	try podman_ --hooks-dir "$T/hooks" run --rm "${BASE[@]}" bb true
	assert_fails hook
}

@test "--personality" {
	[[ $ENGINE_RUNTIME != runc ]] || skip "runc 1.1 has none"
	run_c --personality LINUX32 bb uname -m
	assert_ok
	[[ $output == i686 ]]
}

@test "a GPU, a device of CDI, that is not there is an error" {
	run_c --device vendor.example/class=gpu0 bb true
	assert_status 126
	assert_has vendor.example/class=gpu0
}
