#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# linux.resources.devices, by opening nodes: rules of v1 are files, of v2 a
# program in the kernel; containers must not see the difference.

load helpers

# Nodes that are not among the default devices and harmless to open: 1:11 is
# kmsg (for writing), 10:237 loop-control.
setup() {
	setup_bundle
	on_v2 || needs_controller devices
	[[ $(id -u) == 0 ]]
	add_caps CAP_MKNOD
	own_tmp=$ROOTFS/tmp
}
teardown() { teardown_cgroup; }

rules() { set_resources "{\"devices\":[$1]}"; }
DENY_ALL='{"allow":false,"access":"rwm"}'
KMSG='"type":"c","major":1,"minor":11'

# try_kmsg [ACCESS…]: a script that makes the node and opens it.
OPEN_KMSG='mknod /tmp/k c 1 11 && echo made && (: >>/tmp/k) && echo opened'

@test "device rules: without any, nodes can be made and not opened" {
	lacks crun "1.8 allows all without rules"
	set_script "$OPEN_KMSG"
	run_ct
	assert_has made
	assert_lacks opened
	assert_has "Operation not permitted"
}

@test "device rules: the default devices work" {
	set_script 'echo x >/dev/null && head -c 1 /dev/zero | wc -c && head -c 1 /dev/urandom | wc -c; echo x >/dev/full || echo full; : </dev/tty || echo no tty'
	run_ct
	assert_has "1"
	assert_has full
	assert_lacks "not permitted"
}

@test "device rules: nodes of the default devices made by the container work" {
	set_script 'mknod /tmp/n c 1 3 && echo x >/tmp/n && echo null; mknod /tmp/z c 1 5 && head -c 1 /tmp/z | wc -c'
	run_ct
	assert_output $'null\n1'
}

@test "device rules: pseudo-terminals work" {
	set_script 'exec 3<>/dev/ptmx && echo opened'
	run_ct
	assert_output opened
}

@test "device rules: the default devices cannot be taken away" {
	lacks crun "1.8 takes them away"
	lacks runc "the last rule wins for it too"
	rules "$DENY_ALL,"'{"allow":false,"type":"c","major":1,"minor":3,"access":"rwm"}'
	set_script 'echo x >/dev/null && echo null'
	run_ct
	assert_output null
}

@test "device rules: an allowed device opens" {
	rules "$DENY_ALL,{\"allow\":true,$KMSG,\"access\":\"rwm\"}"
	set_script "$OPEN_KMSG"
	run_ct
	assert_output $'made\nopened'
}

@test "device rules: reading without writing, and writing without reading" {
	[[ -e /dev/loop-control ]] || skip "machine has no /dev/loop-control"
	open='mknod /tmp/l c 10 237; (: </tmp/l) && echo reads; (: >>/tmp/l) && echo writes; :'
	rules "$DENY_ALL,"'{"allow":true,"type":"c","major":10,"minor":237,"access":"r"}'
	set_script "$open"
	run_ct
	assert_has reads
	assert_lacks writes
	rules "$DENY_ALL,"'{"allow":true,"type":"c","major":10,"minor":237,"access":"w"}'
	rm "$own_tmp/l"
	run_ct
	assert_lacks reads
	assert_has writes
}

@test "device rules: every minor of a major" {
	rules "$DENY_ALL,"'{"allow":true,"type":"c","major":1,"access":"rwm"}'
	set_script "$OPEN_KMSG"
	run_ct
	assert_output $'made\nopened'
}

@test "device rules: a character device is not the block device of that number" {
	rules "$DENY_ALL,"'{"allow":true,"type":"b","major":1,"minor":11,"access":"rwm"}'
	set_script "$OPEN_KMSG"
	run_ct
	assert_lacks opened
	assert_has "Operation not permitted"
}

@test "device rules: a block device" {
	lacks crun "1.8 allows all without rules"
	(true </dev/loop0) || skip "machine has no loop device that can be opened"
	read -r major minor < <(tr : ' ' </sys/block/loop0/dev)
	set_script "mknod /tmp/b b $major $minor && (: </tmp/b) && echo opened; :"
	run_ct
	assert_lacks opened
	assert_has "Operation not permitted"
	rm "$own_tmp/b"
	rules "$DENY_ALL,{\"allow\":true,\"type\":\"b\",\"major\":$major,\"minor\":$minor,\"access\":\"r\"}"
	run_ct
	assert_output opened
}

@test "device rules: everything allowed" {
	rules '{"allow":true,"access":"rwm"}'
	set_script "$OPEN_KMSG"
	run_ct
	assert_output $'made\nopened'
}

@test "device rules: everything allowed by type a" {
	rules '{"allow":true,"type":"a","access":"rwm"}'
	set_script "$OPEN_KMSG"
	run_ct
	assert_output $'made\nopened'
}

@test "device rules: everything but one" {
	rules "{\"allow\":true,\"access\":\"rwm\"},{\"allow\":false,$KMSG,\"access\":\"rwm\"}"
	set_script "$OPEN_KMSG; mknod /tmp/n c 1 3 && echo null >/tmp/n && echo null"
	run_ct
	assert_has "Operation not permitted"
	assert_lacks opened
	assert_has null
}

@test "device rules: the last rule of two decides" {
	lacks runc "on v1 it refuses to deny"
	rules "$DENY_ALL,{\"allow\":true,$KMSG,\"access\":\"rwm\"},{\"allow\":false,$KMSG,\"access\":\"rwm\"}"
	set_script "$OPEN_KMSG"
	run_ct
	assert_lacks opened
	rm -f "$own_tmp/k"
	rules "$DENY_ALL,{\"allow\":false,$KMSG,\"access\":\"rwm\"},{\"allow\":true,$KMSG,\"access\":\"rwm\"}"
	run_ct
	assert_has opened
}

@test "device rules: a hole in an allowed range" {
	lacks crun "on v1 the kernel ignores it silently"
	rules "$DENY_ALL,"'{"allow":true,"type":"c","major":1,"access":"rwm"},'"{\"allow\":false,$KMSG,\"access\":\"rwm\"}"
	set_script "$OPEN_KMSG"
	if on_v2; then
		run_ct
		assert_lacks opened
		assert_has "Operation not permitted"
	else
		limit_refused "devices[2]"
		[[ $RT != berth ]] || assert_has "cannot deny"
	fi
}

@test "device rules: after a deny of everything nothing before it counts" {
	rules "{\"allow\":true,$KMSG,\"access\":\"rwm\"},$DENY_ALL"
	set_script "$OPEN_KMSG"
	run_ct
	assert_lacks opened
}


@test "device rules: hold for exec too" {
	lacks crun "1.8 allows all without rules"
	idle_ct
	try rt exec --cap CAP_MKNOD "$ID" sh -c "$OPEN_KMSG" </dev/null
	assert_lacks opened
	assert_has "Operation not permitted"
}

@test "device rules: hold for a bind-mounted host device" {
	lacks crun "1.8 allows all without rules"
	[[ -c /dev/kmsg ]] || skip "machine has no /dev/kmsg"
	update_config '.mounts += [{"destination":"/kmsg","type":"bind","source":"/dev/kmsg","options":["bind"]}]'
	set_script ': >>/kmsg && echo opened; :'
	run_ct
	assert_lacks opened
	assert_has "Operation not permitted"
}

@test "device rules: a device in linux.devices is not allowed by that" {
	lacks crun "1.8 allows all without rules"
	update_config '.linux.devices += [{"path":"/dev/k","type":"c","major":1,"minor":11,"fileMode":438}]'
	set_script ': >>/dev/k && echo opened; :'
	run_ct
	assert_lacks opened
}

@test "device rules: a privileged user in the container cannot widen them" {
	only_v1 "v2 has no files"
	add_caps CAP_SYS_ADMIN
	with_cgroup_mount
	update_config '.mounts[-1].options -= ["ro"] | .process.noNewPrivileges = false'
	rules "$DENY_ALL"
	set_script 'mkdir /sys/fs/cgroup/devices/x && echo "c 1:11 rwm" >/sys/fs/cgroup/devices/x/devices.allow; echo $$ >/sys/fs/cgroup/devices/x/cgroup.procs; '"$OPEN_KMSG"
	run_ct
	assert_lacks opened
}

@test "device rules: an unknown type or access is refused" {
	lacks runc "takes letters that it does not know"
	lacks crun "takes letters that it does not know"
	rules '{"allow":true,"type":"q","access":"rwm"}'
	limit_refused "devices[0].type"
	rules '{"allow":true,"type":"c","access":"rwx"}'
	limit_refused "devices[0].access"
}

@test "device rules: numbers that do not exist are refused" {
	lacks runc "takes them"
	lacks crun "takes them"
	rules '{"allow":true,"type":"c","major":-2,"minor":3,"access":"rwm"}'
	limit_refused "devices[0]"
	rules '{"allow":true,"type":"c","major":1,"minor":4294967296,"access":"rwm"}'
	limit_refused "devices[0]"
}

@test "device rules: a hundred of them" {
	update_config --argjson deny "$DENY_ALL" '.linux.resources.devices =
		[$deny] + [range(100) | {"allow":true,"type":"c","major":(300 + .),"minor":.,"access":"rw"}]
		+ [{"allow":true,"type":"c","major":1,"minor":11,"access":"rwm"}]'
	set_script "$OPEN_KMSG"
	run_ct
	assert_output $'made\nopened'
}

@test "device rules: update changes what can be opened while it runs" {
	needs_berth "the others leave devices alone"
	idle_ct
	echo "{\"devices\":[$DENY_ALL,{\"allow\":true,$KMSG,\"access\":\"rwm\"}]}" >"$T/r.json"
	rt exec --cap CAP_MKNOD "$ID" mknod /tmp/k c 1 11
	exec_ct sh -c ': >>/tmp/k && echo opened'
	assert_lacks opened
	try rt update --resources "$T/r.json" "$ID"
	assert_ok
	exec_ct sh -c ': >>/tmp/k && echo opened'
	assert_output opened
	echo "{\"devices\":[$DENY_ALL]}" >"$T/r.json"
	try rt update --resources "$T/r.json" "$ID"
	assert_ok
	exec_ct sh -c ': >>/tmp/k && echo opened'
	assert_lacks opened
	exec_ct sh -c 'echo x >/dev/null && echo null'
	assert_output null
}

@test "device rules: update with the same rules, and without rules, changes nothing" {
	rules "$DENY_ALL,{\"allow\":true,$KMSG,\"access\":\"rwm\"}"
	idle_ct
	rt exec --cap CAP_MKNOD "$ID" mknod /tmp/k c 1 11
	jq -c .linux.resources "$CONFIG" >"$T/r.json"
	rt update --resources "$T/r.json" "$ID"
	exec_ct sh -c ': >>/tmp/k && echo opened'
	assert_output opened
	echo '{"pids":{"limit":100}}' >"$T/r.json"
	rt update --resources "$T/r.json" "$ID"
	exec_ct sh -c ': >>/tmp/k && echo opened'
	assert_output opened
}

@test "device rules: an update that fails leaves the old rules" {
	needs_berth "the others leave devices alone"
	needs_controller cpu
	idle_ct
	rt exec --cap CAP_MKNOD "$ID" mknod /tmp/k c 1 11
	echo "{\"cpu\":{\"quota\":5},\"devices\":[$DENY_ALL,{\"allow\":true,$KMSG,\"access\":\"rwm\"}]}" >"$T/r.json"
	try rt update --resources "$T/r.json" "$ID"
	assert_fails
	exec_ct sh -c ': >>/tmp/k && echo opened'
	assert_lacks opened
}

@test "device rules: a stricter update keeps what is open open" {
	needs_berth "the others leave devices alone"
	rules "$DENY_ALL,{\"allow\":true,$KMSG,\"access\":\"rwm\"}"
	set_script 'mknod /tmp/k c 1 11; exec 3>>/tmp/k; echo ready; until [ -e /tmp/go ]; do sleep 0.02; done; (: >>/tmp/k) && echo opened; : >&3 && echo kept; sleep 1000'
	detach_ct
	wait_output ready
	echo "{\"devices\":[$DENY_ALL]}" >"$T/r.json"
	rt update --resources "$T/r.json" "$ID"
	touch "$own_tmp/go"
	wait_output kept
	! grep -q opened "$T/out"
}

@test "device rules: type a with numbers opens no other device" {
	lacks runc "ignores the numbers, as v1's file does"
	lacks crun "ignores the numbers, as v1's file does"
	rules "$DENY_ALL,"'{"allow":true,"type":"a","major":10,"minor":237,"access":"r"}'
	set_script "$OPEN_KMSG; mknod /tmp/l c 10 237; (: </tmp/l) && echo reads"
	run_ct
	assert_lacks opened
	assert_has reads
}

@test "device rules: without a hierarchy to apply them with create is refused" {
	only_v1 "v2 needs none"
	needs_berth "the others differ"
	try unshare -m sh -c 'umount "$1" && shift && exec "$@"' _ "$(hierarchy devices | cut -d' ' -f1)" \
		"$RUNTIME" --root "$ROOT" create --bundle "$BUNDLE" "$ID" </dev/null
	assert_fails
	assert_has linux.resources.devices
	assert_nothing_left
}
