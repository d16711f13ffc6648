#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

copyup() { update_config '.mounts += [{"destination":"/dir","type":"tmpfs","source":"tmpfs","options":["tmpcopyup"'"${1:-}"']}]'; }

setup() {
	setup_bundle
	mkdir -p "$ROOTFS/dir/deep"
	echo text >"$ROOTFS/dir/deep/file"
	chmod 646 "$ROOTFS/dir/deep/file"
	chown 12:34 "$ROOTFS/dir/deep/file"
	ln -s deep/file "$ROOTFS/dir/link"
}

@test "tmpcopyup: contents, modes, owners and links" {
	copyup
	set_script 'cat /dir/link; stat -c "%a %u:%g" /dir/deep/file; readlink /dir/link; grep -q " /dir " /proc/self/mountinfo && echo mounted'
	run_ct
	assert_ok
	assert_output $'text\n646 12:34\ndeep/file\nmounted'
}

@test "tmpcopyup: the mode is the one asked for, or the covered directory's" {
	lacks runc 1.2 "has the covered directory's in any case"
	lacks crun "has the covered directory's in any case"
	chmod 750 "$ROOTFS/dir"
	copyup
	update_config '.mounts += [{"destination":"/asked","type":"tmpfs","source":"tmpfs","options":["tmpcopyup","mode=1770"]}]'
	mkdir -m 755 "$ROOTFS/asked"
	set_script 'stat -c %a /dir /asked'
	run_ct
	assert_output $'750\n1770'
}

@test "tmpcopyup: the mode asked for, where the rootfs has no such directory" {
	update_config '.mounts += [{"destination":"/made","type":"tmpfs","source":"tmpfs","options":["tmpcopyup","mode=1770"]}]'
	set_script 'stat -c %a /made'
	run_ct
	assert_output 1770
}

@test "tmpcopyup: writing does not reach the rootfs" {
	copyup
	set_script 'echo changed >/dir/deep/file; touch /dir/new; cat /dir/deep/file'
	run_ct
	assert_output changed
	assert_eq "$(cat "$ROOTFS/dir/deep/file")" text
	[[ ! -e $ROOTFS/dir/new ]]
}

@test "tmpcopyup: with ro" {
	copyup ',"ro"'
	set_script 'cat /dir/deep/file; touch /dir/x'
	run_ct
	assert_matches "^text"
	assert_matches "[Rr]ead-only"
}

@test "tmpcopyup: too small a tmpfs is an error" {
	lacks crun "1.8 does not notice"
	dd if=/dev/zero of="$ROOTFS/dir/big" bs=64k count=4 2>/dev/null
	copyup ',"size=64k"'
	create_fails
}

@test "tmpcopyup: a link out of the rootfs is copied as a link" {
	echo secret >"$T/secret"
	ln -s "$T/secret" "$ROOTFS/dir/out"
	copyup
	set_script 'readlink /dir/out; cat /dir/out 2>/dev/null; true'
	run_ct
	assert_output "$T/secret"
}

@test "tmpcopyup: holes are not filled" {
	lacks crun "copies them"
	lacks runc "copies them"
	truncate -s 64G "$ROOTFS/dir/holes"
	printf data | dd of="$ROOTFS/dir/holes" bs=1 seek=1M conv=notrunc 2>/dev/null
	copyup
	set_script 'stat -c %s /dir/holes; dd if=/dir/holes bs=1 skip=1M count=4 2>/dev/null'
	run_ct
	assert_ok
	assert_output $'68719476736\ndata'
}

@test "tmpcopyup: not more than the memory limit" {
	needs_berth "the peers copy from inside, and are killed"
	dd if=/dev/zero of="$ROOTFS/dir/big" bs=1M count=8 2>/dev/null
	copyup
	update_config '.linux.resources.memory = {"limit":4194304}'
	create_fails
	assert_has memory.limit
}
