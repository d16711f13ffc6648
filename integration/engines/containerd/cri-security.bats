#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The security context of containers, and their mounts.

load helpers

bit() { (((0x$1 >> $2) & 1)); }
# context JQ: a change of the container's security context.
context() { echo ".linux.security_context += $1"; }

@test "security: runs as a user and a group, with supplemental groups" {
	pod a
	once "$(context '{run_as_user: {value: 1000}, run_as_group: {value: 2000}, supplemental_groups: [3000, 3001]}')" id
	assert_output "uid=1000(user) gid=2000 groups=2000,3000,3001"
}

@test "security: runs as a user of the image's, by name" {
	pod a
	once "$(context '{run_as_username: "user"}')" id -un
	assert_output user
}

@test "security: the default capabilities" {
	pod a
	once . grep CapEff /proc/self/status
	assert_has 00000000a80425fb
}

@test "security: capabilities added and dropped" {
	pod a
	once "$(context '{capabilities: {add_capabilities: ["NET_ADMIN"], drop_capabilities: ["CHOWN"]}}')" sh -c 'exec 2>&1; grep CapEff /proc/self/status | cut -f2; chown 1:1 /tmp'
	assert_fails "Operation not permitted"
	bit "${output%%[[:space:]]*}" 12 || fail "want CAP_NET_ADMIN"
	! bit "${output%%[[:space:]]*}" 0 || fail "do not want CAP_CHOWN"
}

@test "security: all capabilities dropped, one added" {
	pod a
	once "$(context '{capabilities: {drop_capabilities: ["ALL"], add_capabilities: ["KILL"]}}')" grep CapEff /proc/self/status
	assert_has 0000000000000020
}

@test "security: privileged has all capabilities, the devices and a writable sysfs" {
	pod a "$(context '{privileged: true}')"
	once "$(context '{privileged: true}')" sh -c 'grep CapEff /proc/self/status | cut -f2; test -e /dev/fuse -o -e /dev/loop-control && mount -t tmpfs x /tmp && mount -o remount,rw /sys && echo done'
	assert_has done
	assert_has "$(grep CapBnd /proc/self/status | cut -f2)"
}

@test "security: a privileged container in an unprivileged pod is refused" {
	pod a
	create one "$(context '{privileged: true}')" true
	assert_fails "no privileged container allowed in sandbox"
}

@test "security: a read-only root file system" {
	pod a
	once "$(context '{readonly_rootfs: true}')" sh -c 'touch /dev/shm/ok && touch /new'
	assert_fails "Read-only file system"
	assert_has /new
}

@test "security: seccomp's default profile of the runtime" {
	pod a "$(context '{seccomp: {profile_type: "RuntimeDefault"}}')"
	once "$(context '{seccomp: {profile_type: "RuntimeDefault"}}')" sh -c 'grep Seccomp: /proc/self/status | tr -d "\t"; unshare -n true'
	assert_fails "Operation not permitted"
	assert_has "Seccomp:2"
}

@test "security: a seccomp profile of the node's" {
	echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 85}]}' >"$T/profile"
	pod a
	once "$(context "{seccomp: {profile_type: \"Localhost\", localhost_ref: \"$T/profile\"}}")" sh -c 'touch /new && mkdir /dir'
	assert_fails "Interrupted system call should be restarted"
}

@test "security: unconfined by seccomp" {
	pod a
	once "$(context '{seccomp: {profile_type: "Unconfined"}}')" grep Seccomp: /proc/self/status
	assert_output $'Seccomp:\t0'
}

@test "security: an AppArmor profile" {
	[[ -e /sys/kernel/security/apparmor/profiles ]] || skip "this kernel has no AppArmor"
	pod a
	once "$(context '{apparmor: {profile_type: "RuntimeDefault"}}')" cat /proc/self/attr/current
	assert_has "cri-containerd.apparmor.d (enforce)"
}

@test "security: an AppArmor profile where there is no AppArmor is refused" {
	[[ ! -e /sys/kernel/security/apparmor/profiles ]] || skip "this kernel has AppArmor"
	pod a
	create one "$(context '{apparmor: {profile_type: "Localhost", localhost_ref: "web"}}')" true
	assert_fails "apparmor is not supported"
}

@test "security: no new privileges, or those of set-user-id files" {
	pod a
	once "$(context '{no_new_privs: true}')" grep NoNewPrivs /proc/self/status
	assert_output $'NoNewPrivs:\t1'
	once . grep NoNewPrivs /proc/self/status
	assert_output $'NoNewPrivs:\t0'
}

@test "security: masked and read-only paths of proc" {
	pod a
	once "$(context '{masked_paths: ["/proc/timer_list", "/proc/acpi"], readonly_paths: ["/proc/sys"]}')" \
		sh -c 'wc -c </proc/timer_list; ls /proc/acpi 2>/dev/null | wc -l; echo 1 >/proc/sys/kernel/domainname'
	assert_fails "ead-only file system"
	assert_has $'0\n0\n'
}

@test "security: nothing of proc is masked when that is asked for" {
	pod a
	once "$(context '{masked_paths: [], readonly_paths: []}')" sh -c 'grep -c " /proc/" /proc/mounts'
	local unmasked=$output
	once "$(context '{masked_paths: ["/proc/timer_list"], readonly_paths: ["/proc/sys"]}')" sh -c 'grep -c " /proc/" /proc/mounts'
	assert_output 2
	assert_eq "$unmasked" 0
}

@test "security: a process of exec has the user and the limits of the container" {
	pod a
	container one "$(context '{run_as_user: {value: 1000}, no_new_privs: true, capabilities: {drop_capabilities: ["ALL"]}}')" sleep 1000
	in_c sh -c 'id -u; grep -E "NoNewPrivs|CapBnd" /proc/self/status | cut -f2'
	assert_output $'1000\n0000000000000000\n1'
}

@test "mounts: a directory of the host, writable and read only" {
	mkdir "$T/rw" "$T/ro"
	pod a
	once ".mounts = [{host_path: \"$T/rw\", container_path: \"/rw\"}, {host_path: \"$T/ro\", container_path: \"/ro\", readonly: true}]" \
		sh -c 'echo text >/rw/file; touch /ro/file'
	assert_fails "Read-only file system"
	assert_eq "$(<"$T/rw/file")" text
}

@test "mounts: a file of the host" {
	echo text >"$T/file"
	pod a
	once ".mounts = [{host_path: \"$T/file\", container_path: \"/etc/config/app\", readonly: true}]" cat /etc/config/app
	assert_output text
}

@test "mounts: a directory of the host that is not there is made" {
	pod a
	once ".mounts = [{host_path: \"$T/new/dir\", container_path: \"/data\"}]" touch /data/file
	[[ -e $T/new/dir/file ]] || fail "want the file"
}

@test "mounts: private does not see what is mounted later" {
	mkdir -p "$ROOM/shared/$ID/sub"
	pod a
	container one ".mounts = [{host_path: \"$ROOM/shared/$ID\", container_path: \"/data\"}]" sleep 1000
	in_cd mount -t tmpfs x "$ROOM/shared/$ID/sub"
	in_cd touch "$ROOM/shared/$ID/sub/file"
	in_c test -e /data/sub/file
	in_cd umount "$ROOM/shared/$ID/sub"
	assert_fails
}

@test "mounts: HostToContainer sees what is mounted later" {
	mkdir -p "$ROOM/shared/$ID/sub"
	pod a
	container one ".mounts = [{host_path: \"$ROOM/shared/$ID\", container_path: \"/data\", propagation: \"PROPAGATION_HOST_TO_CONTAINER\"}]" sleep 1000
	in_cd mount -t tmpfs x "$ROOM/shared/$ID/sub"
	in_cd touch "$ROOM/shared/$ID/sub/file"
	in_c test -e /data/sub/file
	in_cd umount "$ROOM/shared/$ID/sub"
	assert_ok
}

@test "mounts: Bidirectional shows the host what the container mounts" {
	mkdir -p "$ROOM/shared/$ID/sub"
	pod a "$(context '{privileged: true}')"
	container one "$(context '{privileged: true}') | .mounts = [{host_path: \"$ROOM/shared/$ID\", container_path: \"/data\", propagation: \"PROPAGATION_BIDIRECTIONAL\"}]" \
		sh -c 'mount -t tmpfs x /data/sub && touch /data/sub/file; sleep 1000'
	wait_for in_cd test -e "$ROOM/shared/$ID/sub/file"
	in_cd umount "$ROOM/shared/$ID/sub"
}

@test "mounts: Bidirectional on a private mount of the host is refused" {
	pod a
	create one ".mounts = [{host_path: \"$ROOM/ns\", container_path: \"/data\", propagation: \"PROPAGATION_BIDIRECTIONAL\"}]" true
	assert_fails "is not a shared mount"
}

@test "mounts: a device of the host" {
	pod a
	local device=/dev/loop-control
	[[ -e $device ]] || device=/dev/fuse
	once ".devices = [{host_path: \"$device\", container_path: \"/dev/mine\", permissions: \"r\"}]" sh -c 'exec 3</dev/mine && echo read; exec 4>/dev/mine'
	assert_fails "Operation not permitted"
	assert_has read
}

@test "mounts: read only through and through" {
	since 2.0 "no recursive read-only mounts"
	[[ $(cri Status | jq -r ".runtime_handlers[] | select(.name == \"$ENGINE_RUNTIME\") | .features.recursive_read_only_mounts") == true ]] || skip "$ENGINE_RUNTIME does not say that it can"
	mkdir -p "$ROOM/shared/$ID/sub"
	in_cd mount -t tmpfs x "$ROOM/shared/$ID/sub"
	pod a
	once ".mounts = [{host_path: \"$ROOM/shared/$ID\", container_path: \"/data\", readonly: true, recursive_read_only: true}]" touch /data/sub/file
	in_cd umount "$ROOM/shared/$ID/sub"
	assert_fails "Read-only file system"
}
