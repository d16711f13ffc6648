#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# --ipc, --pid, --uts, --userns, --cgroupns, names, sysctls, tmpfs.

load helpers

# ns NAME [CONTAINER]: the namespace of the container's first process.
ns() { readlink "/proc/$(show '{{.State.Pid}}' "${2:-$ID}")/ns/$1"; }

@test "namespaces: all of its own by default, but the user's" {
	idle_c
	for kind in mnt pid net ipc uts; do [[ $(ns $kind) != "$(readlink /proc/self/ns/$kind)" ]] || fail "$kind is the machine's"; done
	assert_eq "$(ns user)" "$(readlink /proc/self/ns/user)"
}

@test "namespaces: --hostname and --domainname" {
	EXTRA=(--hostname web --domainname example.test)
	run_c sh -c 'hostname; cat /proc/sys/kernel/domainname; cat /etc/hostname; tail -n1 /etc/hosts'
	assert_has $'web\nexample.test\nweb'
	assert_has "web.example.test web"
}

@test "namespaces: --uts host" {
	EXTRA=(--uts host)
	run_c hostname
	assert_output "$(hostname)"
}

@test "namespaces: --pid host" {
	EXTRA=(--pid host)
	run_c sh -c 'readlink /proc/self/ns/pid; test -e /proc/2/status && echo all'
	assert_output "$(readlink /proc/self/ns/pid)"$'\nall'
}

@test "namespaces: --pid host ends with its first process" {
	EXTRA=(--pid host)
	detach_c sh -c 'sleep 4321 & sleep 4321 & echo ready; wait'
	wait_for has_logged ready
	docker_ rm -f "$ID" >/dev/null
	wait_for eval "! pgrep -fx 'sleep 4321'"
}

@test "namespaces: --pid container:" {
	idle_c
	output=$(docker_ run --rm --pid "container:$ID" bb ps -o args)
	assert_has "sleep 1000"
}

@test "namespaces: --ipc private, shareable and container:" {
	EXTRA=(--ipc shareable)
	idle_c
	sh_c 'echo x >/dev/shm/mark'
	assert_eq "$(docker_ run --rm --ipc "container:$ID" bb cat /dev/shm/mark)" x
	try docker_ run --rm --ipc private bb cat /dev/shm/mark
	assert_fails "No such file"
}

@test "namespaces: a private ipc cannot be joined" {
	EXTRA=(--ipc private)
	idle_c
	try docker_ run --rm --ipc "container:$ID" bb true
	assert_status 125
	assert_has "non-shareable IPC"
}

@test "namespaces: --ipc host and none" {
	EXTRA=(--ipc host)
	run_c readlink /proc/self/ns/ipc
	assert_output "$(readlink /proc/self/ns/ipc)"
	EXTRA=(--ipc none)
	run_c sh -c 'mount | grep -c " /dev/shm " || true'
	assert_output 0
}

@test "namespaces: --cgroupns private and host" {
	EXTRA=(--cgroupns private)
	run_c sh -c 'grep pids /proc/self/cgroup || cat /proc/self/cgroup'
	[[ $output == *:/ ]] || fail "not the root of its own"
	EXTRA=(--cgroupns host)
	run_c sh -c 'grep pids /proc/self/cgroup || cat /proc/self/cgroup'
	assert_has "$ROOM_CGROUP/"
}

@test "namespaces: --userns host is no more than the default without a remap" {
	EXTRA=(--userns host)
	run_c readlink /proc/self/ns/user
	assert_output "$(readlink /proc/self/ns/user)"
}

@test "namespaces: --sysctl of the network and of ipc" {
	EXTRA=(--sysctl net.ipv4.ip_forward=1 --sysctl kernel.shmmax=1048576 --sysctl net.core.somaxconn=99)
	run_c cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax /proc/sys/net/core/somaxconn
	assert_output $'1\n1048576\n99'
}

@test "namespaces: --tmpfs with its options" {
	EXTRA=(--tmpfs /a:size=1m,mode=700,noexec --tmpfs /b)
	run_c sh -c 'mount | grep -E " /(a|b) "; stat -c %a /a /b; dd if=/dev/zero of=/a/x bs=64k count=32'
	assert_has "on /a type tmpfs (rw,nosuid,nodev,noexec"
	assert_has "size=1024k"
	assert_has $'700\n1777'
	assert_has "No space left on device"
}

@test "namespaces: --add-host, --dns, --dns-search and --dns-option" {
	EXTRA=(--add-host other:10.1.2.3 --dns 192.0.2.53 --dns-search example.test --dns-option ndots:3)
	run_c cat /etc/hosts /etc/resolv.conf
	assert_has $'10.1.2.3\tother'
	assert_has "nameserver 192.0.2.53"
	assert_has "search example.test"
	assert_has "options ndots:3"
}

@test "namespaces: --mac-address" {
	EXTRA=(--mac-address 02:42:0a:00:00:99)
	run_c cat /sys/class/net/eth0/address
	assert_output 02:42:0a:00:00:99
}
