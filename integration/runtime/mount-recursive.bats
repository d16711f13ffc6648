#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

setup() {
	setup_bundle
	mkdir -p "$T/vol/sub"
	mount -t tmpfs outer "$T/vol"
	mkdir "$T/vol/sub"
	mount -t tmpfs inner "$T/vol/sub"
	cp "$ROOTFS/bin/busybox" "$T/vol/sub/true"
}
teardown() {
	umount -l "$T/vol/sub" "$T/vol" 2>/dev/null || true
	teardown_bundle
}
bind_with() {
	jq --arg s "$T/vol" '.mounts += [{"destination":"/vol","type":"bind","source":$s,"options":(["rbind"] + $ARGS.positional)}]' "$CONFIG" --args -- "$@" >"$CONFIG.new"
	mv "$CONFIG.new" "$CONFIG"
}
show() { set_script "awk '\$5 ~ /^\/vol/ {print \$5, \$6}' /proc/self/mountinfo; $1"; }

@test "recursive: rro reaches submounts, ro does not" {
	bind_with rro
	show 'touch /vol/sub/x'
	run_ct
	assert_matches "/vol ro"
	assert_matches "/vol/sub ro"
	assert_matches "[Rr]ead-only"
}

@test "recursive: plain ro leaves submounts writable" {
	bind_with ro
	show 'touch /vol/sub/x && echo written'
	run_ct
	assert_matches "/vol ro"
	assert_matches "/vol/sub rw"
	assert_has written
}

@test "recursive: rnosuid, rnodev, rnoexec" {
	bind_with rnosuid rnodev rnoexec
	show '/vol/sub/true; echo $?'
	run_ct
	assert_matches "/vol rw,nosuid,nodev,noexec"
	assert_matches "/vol/sub rw,nosuid,nodev,noexec"
	assert_has 126
}

@test "recursive: rnoatime and rnodiratime" {
	lacks crun "EINVAL from mount_setattr"
	bind_with rnoatime rnodiratime
	show true
	run_ct
	assert_matches "/vol/sub rw,noatime,nodiratime"
}

@test "recursive: rrw undoes a read-only submount" {
	mount -o remount,bind,ro "$T/vol/sub"
	bind_with rrw
	show 'touch /vol/sub/x && echo written'
	run_ct
	assert_has written
}

@test "recursive: rexec, rsuid and rdev clear what the source has" {
	mount -o remount,bind,noexec,nosuid,nodev "$T/vol/sub"
	bind_with rexec rsuid rdev
	show true
	run_ct
	assert_matches "/vol/sub rw,relatime"
}

@test "recursive: rnosymfollow" {
	lacks crun "does not know it"
	lacks runc 1.2 "came later"
	bind_with rnosymfollow
	show true
	run_ct
	assert_matches "/vol/sub rw,[a-z,]*nosymfollow"
}

@test "recursive: the host's mounts keep their attributes" {
	bind_with rro rnoexec
	show true
	run_ct
	assert_ok
	touch "$T/vol/x" "$T/vol/sub/x"
}
