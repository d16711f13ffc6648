#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

setup() {
	setup_bundle
	mkdir -p "$T/vol/sub"
	touch "$T/vol/one"
	chown 1 "$T/vol/one"
	chgrp 2 "$T/vol/one"
	chmod 755 "$T/vol"
}
# mapped OPTIONS-JSON [UID-MAPPINGS GID-MAPPINGS]
mapped() {
	update_config --arg s "$T/vol" --argjson o "$1" --argjson u "${2:-null}" --argjson g "${3:-null}" '
		.mounts += [{"destination":"/vol","type":"bind","source":$s,"options":$o}
		+ (if $u then {"uidMappings":$u,"gidMappings":$g} else {} end)]'
}
shift_map() { echo '[{"containerID":0,"hostID":'"$1"',"size":65536}]'; }

@test "idmap: a mount's own mappings, without a user namespace" {
	lacks runc 1.2 "idmap mounts came with 1.2"
	lacks crun 1.9 "1.8 wants mappings of the container"
	mapped '["bind","idmap"]' "$(shift_map 5000)" "$(shift_map 6000)"
	set_args stat -c %u:%g /vol/one
	run_ct
	assert_ok
	assert_output 5001:6002
}

@test "idmap: with a user namespace and the same mappings" {
	lacks runc 1.2 "idmap mounts came with 1.2"
	requires userns
	with_userns
	mapped '["bind","idmap"]' "$(shift_map 100000)" "$(shift_map 100000)"
	set_script 'stat -c %u:%g /vol/one; touch /vol/new'
	run_ct
	assert_ok
	assert_output 1:2
	# written by container root, owned by host root
	assert_eq "$(stat -c %u "$T/vol/new")" 0
}

@test "idmap: the word without mappings takes the container's" {
	lacks runc 1.2 "idmap mounts came with 1.2"
	requires userns
	with_userns
	mapped '["bind","idmap"]'
	set_args stat -c %u:%g /vol/one
	run_ct
	assert_ok
	assert_output 1:2
}

@test "idmap: mappings without the word count too" {
	lacks runc 1.2 "idmap mounts came with 1.2"
	lacks crun 1.9 "1.8 ignores them"
	mapped '["bind"]' "$(shift_map 5000)" "$(shift_map 6000)"
	set_args stat -c %u:%g /vol/one
	run_ct
	assert_output 5001:6002
}

@test "idmap: idmap is for one mount, ridmap for the tree" {
	lacks runc 1.2 "idmap mounts came with 1.2"
	lacks crun 1.9 "no ridmap"
	mount -t tmpfs sub "$T/vol/sub"
	touch "$T/vol/sub/f"
	mapped '["rbind","idmap"]' "$(shift_map 5000)" "$(shift_map 5000)"
	set_args stat -c %u /vol/sub/f
	run_ct
	one=$output
	update_config '.mounts[-1].options = ["rbind","ridmap"]'
	run_ct
	umount "$T/vol/sub"
	assert_eq "$one $output" "0 5000"
}

@test "idmap: on a tmpfs it is refused or done, never ignored" {
	lacks runc 1.2 "idmap mounts came with 1.2"
	lacks crun "1.8 ignores mappings there"
	update_config --argjson u "$(shift_map 5000)" '.mounts += [{"destination":"/t","type":"tmpfs","source":"t","options":["idmap"],"uidMappings":$u,"gidMappings":$u}]'
	set_args stat -c %u /t
	run_ct
	((status != 0)) || assert_output 5000
}

@test "idmap: one kind of mappings without the other is refused" {
	lacks runc 1.2 "idmap mounts came with 1.2"
	lacks crun "takes it"
	mapped '["bind","idmap"]' "$(shift_map 5000)" '[]'
	create_fails
}

@test "idmap: the source keeps its owners on the host" {
	lacks runc 1.2 "idmap mounts came with 1.2"
	lacks crun 1.9 "1.8 wants mappings of the container"
	mapped '["bind","idmap"]' "$(shift_map 5000)" "$(shift_map 5000)"
	set_args true
	run_ct
	assert_ok
	assert_eq "$(stat -c %u:%g "$T/vol/one")" 1:2
}
