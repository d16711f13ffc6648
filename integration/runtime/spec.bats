#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

@test "spec: a config that runs" {
	mkdir "$T/new"
	cp -al "$ROOTFS_TEMPLATE" "$T/new/rootfs"
	cd "$T/new"
	try rt spec
	assert_ok
	assert_output ""
	BUNDLE=$T/new CONFIG=$T/new/config.json
	update_config ".process.terminal = false | .process.args = [\"hostname\"] | del(.process.rlimits) | .linux.cgroupsPath = \"/berth-it/$ID\""
	run_ct
	assert_ok
	assert_output "$(jq -r .hostname "$CONFIG")"
}

@test "spec: the example's values" {
	mkdir "$T/new"
	rt spec --bundle "$T/new"
	jq -e '.process.args == ["sh"] and .process.terminal == true and .process.cwd == "/"
		and .root.path == "rootfs" and .root.readonly == true
		and (.process.rlimits[0].type == "RLIMIT_NOFILE")
		and (.process.noNewPrivileges == true)
		and ([.linux.namespaces[].type] | contains(["pid","network","ipc","uts","mount"]))
		and (.linux.maskedPaths | contains(["/proc/acpi","/proc/kcore","/proc/keys","/sys/firmware"]))
		and (.linux.readonlyPaths | contains(["/proc/bus","/proc/sys"]))' "$T/new/config.json"
}

@test "spec: hostname and indentation as runc writes them" {
	lacks crun "its own"
	mkdir "$T/new"
	rt spec -b "$T/new"
	grep -q $'^\t"ociVersion"' "$T/new/config.json"
}

@test "spec: does not overwrite" {
	mkdir "$T/new"
	echo mine >"$T/new/config.json"
	try rt spec --bundle "$T/new"
	assert_fails
	assert_eq "$(cat "$T/new/config.json")" mine
}

@test "spec --rootless" {
	lacks crun "1.8 only drops what needs root"
	mkdir "$T/new"
	rt spec --rootless --bundle "$T/new"
	jq -e '([.linux.namespaces[].type] | (index("user") != null) and (index("network") == null))
		and .linux.uidMappings == [{"containerID":0,"hostID":0,"size":1}]
		and .linux.gidMappings == [{"containerID":0,"hostID":0,"size":1}]
		and (.linux.resources == null or .linux.resources.devices == null)
		and ([.mounts[] | select(.destination == "/dev/pts") | .options[] | select(startswith("gid="))] == [])
		and (.mounts[] | select(.destination == "/sys") | (.type == "none" or .type == "bind") and (.options | index("rbind") != null))' "$T/new/config.json"
}

@test "spec --rootless: as the user, then runs" {
	requires userns subids
	lacks crun "1.8 writes no mappings"
	become_user
	mkdir "$T/new"
	cp -al "$ROOTFS_TEMPLATE" "$T/new/rootfs"
	find "$T/new" -type d -exec chown berth-it:berth-it {} +
	rt spec --rootless --bundle "$T/new"
	BUNDLE=$T/new CONFIG=$T/new/config.json
	jq -e --argjson uid "$(id -u berth-it)" '.linux.uidMappings[0].hostID == $uid' "$CONFIG"
	update_config '.process.terminal = false | .process.args = ["id","-u"] | del(.process.rlimits)'
	run_ct
	assert_ok
	assert_output 0
}

@test "spec --bundle: a directory that is missing" {
	try rt spec --bundle "$T/nowhere"
	assert_fails
}
