#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

device() {
	update_config ".linux.devices += [$1] | .linux.resources.devices = [{\"allow\":true,\"access\":\"rwm\"}]"
}

@test "devices: the default ones with their numbers and modes" {
	set_script 'for d in null zero full random urandom tty; do stat -c "%n %t:%T %a %u" /dev/$d; done'
	run_ct
	assert_output "/dev/null 1:3 666 0
/dev/zero 1:5 666 0
/dev/full 1:7 666 0
/dev/random 1:8 666 0
/dev/urandom 1:9 666 0
/dev/tty 5:0 666 0"
}

@test "devices: they work" {
	set_script 'echo x >/dev/null && head -c 3 /dev/zero | od -An -tx1 && head -c 2 /dev/urandom | wc -c; echo x >/dev/full || echo full'
	run_ct
	assert_has "00 00 00"
	assert_has 2
	assert_has full
}

@test "devices: links fd, stdin, stdout, stderr, ptmx" {
	set_script 'for l in fd stdin stdout stderr ptmx; do echo $l $(readlink /dev/$l); done; test -e /proc/kcore || exit 0; readlink /dev/core'
	run_ct
	assert_matches "fd /proc/self/fd"
	assert_has "stdin /proc/self/fd/0"
	assert_has "stdout /proc/self/fd/1"
	assert_has "stderr /proc/self/fd/2"
	assert_matches "ptmx (/dev/)?pts/ptmx"
	[[ ! -e /proc/kcore ]] || assert_has /proc/kcore
}

@test "devices: one of our own" {
	device '{"path":"/dev/mynull","type":"c","major":1,"minor":3,"fileMode":390,"uid":11,"gid":22}'
	set_script 'stat -c "%t:%T %a %u:%g" /dev/mynull; echo x >/dev/mynull && echo works'
	run_ct
	assert_ok
	assert_output $'1:3 606 11:22\nworks'
}

@test "devices: without fileMode, uid and gid: 0666, root" {
	device '{"path":"/dev/plain","type":"c","major":1,"minor":5}'
	set_args stat -c '%a %u:%g' /dev/plain
	run_ct
	assert_output '666 0:0'
}

@test "devices: umask of the caller does not matter" {
	device '{"path":"/dev/plain","type":"c","major":1,"minor":5,"fileMode":438}'
	set_args stat -c %a /dev/plain /dev/null
	umask 077
	run_ct
	assert_output $'666\n666'
}

@test "devices: in a directory that is made" {
	device '{"path":"/dev/deep/er/zero","type":"c","major":1,"minor":5}'
	set_script 'head -c 2 /dev/deep/er/zero | wc -c; stat -c %a /dev/deep'
	run_ct
	assert_matches $'^2\n1?755$'
}

@test "devices: fifo and block device" {
	device '{"path":"/dev/pipe","type":"p"},{"path":"/dev/blk","type":"b","major":7,"minor":99}'
	set_args stat -c '%F' /dev/pipe /dev/blk
	run_ct
	assert_output $'fifo\nblock special file'
}

@test "devices: outside of /dev" {
	device '{"path":"/nodes/zero","type":"c","major":1,"minor":5}'
	set_script 'head -c 2 /nodes/zero | wc -c'
	run_ct
	assert_output 2
}

@test "devices: an unknown type is refused" {
	lacks crun "makes something"
	device '{"path":"/dev/x","type":"q","major":1,"minor":3}'
	create_fails
}

@test "devices: in a user namespace it is the host's node" {
	requires userns
	with_userns
	update_config '.linux.devices = [{"path":"/dev/kmsg","type":"c","major":1,"minor":11}]'
	set_args stat -c '%t:%T' /dev/kmsg
	run_ct
	assert_ok
	assert_output 1:b
}

@test "devices: a program cannot make or open others" {
	only_v1 "a hierarchy per controller"
	add_caps CAP_MKNOD
	set_script 'mknod /tmp/disk b 254 0; head -c 1 /tmp/disk >/dev/null && echo read; mknod /tmp/n c 1 3 && echo x >/tmp/n && echo null'
	update_config '.linux.resources.devices = [{"allow":false,"access":"rwm"}]'
	run_ct
	assert_lacks read
	assert_has null
}

@test "devices: /dev is not populated when it is no mount of ours" {
	lacks crun "makes nodes in the rootfs"
	lacks runc "makes nodes in the rootfs"
	needs_berth "runc 1.1 populates it; decide"
	update_config '.mounts |= map(select(.destination | startswith("/dev") | not))'
	set_args ls /dev
	run_ct
	assert_lacks null
}

@test "devices: one listed twice or a default one again" {
	device '{"path":"/dev/null","type":"c","major":1,"minor":3,"fileMode":420}'
	set_args stat -c '%t:%T' /dev/null
	run_ct
	assert_ok
	assert_output 1:3
}
