#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

@test "create: does not run the program" {
	set_script 'touch /ran; sleep 1000'
	create_ct
	assert_eq "$(status_of)" created
	[[ ! -e $ROOTFS/ran ]]
	start_ct
	wait_for test -e "$ROOTFS/ran"
	assert_eq "$(status_of)" running
}

@test "create: prints nothing" {
	create_ct
	assert_eq "$(cat "$T/out" "$T/err")" ""
}

@test "create: leaves a live init that is no child of the runtime" {
	create_ct
	pid=$(state_of pid)
	[[ -d /proc/$pid ]]
	ppid=$(sed -n 's/^PPid:\t//p' "/proc/$pid/status")
	[[ $(cat "/proc/$ppid/comm") != "${RUNTIME##*/}"* ]]
}

@test "create: the bundle defaults to the working directory" {
	cd "$BUNDLE"
	rt create "$ID" </dev/null >"$T/out" 2>&1
	assert_eq "$(state_of bundle)" "$BUNDLE"
}

@test "create: a relative bundle is recorded as an absolute path" {
	cd "$T"
	rt create --bundle ./bundle "$ID" </dev/null >"$T/out" 2>&1
	assert_eq "$(state_of bundle)" "$BUNDLE"
}

@test "create: -b DIR and --bundle=DIR" {
	rt create -b "$BUNDLE" "$ID" </dev/null >"$T/out" 2>&1
	other=$(another_bundle b)
	rt create --bundle="$other" "$ID-b" </dev/null >"$T/out" 2>&1
	assert_eq "$(status_of "$ID-b")" created
}

@test "create: a used id is refused and the first container lives on" {
	create_ct
	other=$(another_bundle b)
	try rt create --bundle "$other" "$ID" </dev/null
	assert_fails "already exists"
	assert_eq "$(status_of)" created
	[[ -z $(cgroups_of "$ID-b") ]]
}

@test "create: an absolute cgroupsPath is below the mount point of each hierarchy" {
	only_v1 "a hierarchy per controller"
	create_ct
	pid=$(state_of pid)
	for c in pids memory devices freezer cpuset; do
		assert_eq "$(cat "/sys/fs/cgroup/$c/berth-it/$ID/cgroup.procs")" "$pid"
	done
}

@test "create: without cgroupsPath the cgroup is named after the id" {
	update_config 'del(.linux.cgroupsPath)'
	create_ct
	grep -q "/$ID\$" "/proc/$(state_of pid)/cgroup"
	rt delete "$ID"
	[[ -z $(find /sys/fs/cgroup -maxdepth 5 -name "$ID") ]]
}

@test "create: a relative cgroupsPath" {
	update_config ".linux.cgroupsPath = \"berth-rel-$ID/x\""
	create_ct
	grep -q ":.*/berth-rel-$ID/x\$" "/proc/$(state_of pid)/cgroup"
	rt delete "$ID"
	left=$(find /sys/fs/cgroup -maxdepth 6 -name x -path "*berth-rel-$ID*")
	find /sys/fs/cgroup -maxdepth 5 -name "berth-rel-$ID" -exec rmdir {} + || true
	assert_eq "$left" ""
}

@test "create: a cgroup with processes in it is refused" {
	lacks runc 1.2 "only warned before"
	lacks crun "joins a used cgroup"
	dir=/sys/fs/cgroup/berth-it/$ID
	! has_cgroupv1 || dir=/sys/fs/cgroup/pids/berth-it/$ID
	mkdir -p "$dir"
	sleep 1000 3>&- &
	echo $! >"$dir/cgroup.procs"
	try rt create --bundle "$BUNDLE" "$ID" </dev/null
	kill $!
	wait $! || true
	assert_fails "cgroup is not empty"
	rmdir "$dir"
}

@test "create: missing bundle directory" {
	try rt create --bundle "$T/nowhere" "$ID" </dev/null
	assert_error "no such file or directory" "No such file or directory"
	assert_nothing_left
}

@test "create: missing config.json is named" {
	rm "$CONFIG"
	create_fails
	assert_matches "config.json"
}

@test "create: missing config.json, and the words for who forgot --bundle" {
	needs_berth "its own words"
	rm "$CONFIG"
	create_fails
	[[ $output == *"JSON specification file $CONFIG not found\"" ]]
	cd "$BUNDLE"
	try rt create "$ID"
	assert_fails "JSON specification file $CONFIG not found (hint: give the bundle with --bundle DIR)"
	try "$RUNTIME" create --help
	assert_has "the config, if not config.json; relative to the bundle"
}

@test "create: malformed config.json" {
	echo '{"ociVersion": "1.0.2", "process": {' >"$CONFIG"
	create_fails
}

@test "create: a config value of the wrong type" {
	lacks crun "takes a string for a boolean"
	update_config '.process.terminal = "maybe"'
	create_fails
	assert_has terminal
}

@test "create: missing root filesystem" {
	update_config '.root.path = "nowhere"'
	create_fails
}

@test "create: an absolute root.path outside the bundle" {
	mv "$ROOTFS" "$T/elsewhere"
	update_config ".root.path = \"$T/elsewhere\""
	set_args cat /etc/group
	run_ct
	assert_ok
	assert_has "extra:x:2000:user"
}

@test "create: a root.path that is a file" {
	rm -rf "$ROOTFS"
	echo no >"$ROOTFS"
	create_fails
}

@test "create: a failing mount leaves nothing" {
	update_config '.mounts += [{"destination":"/x","type":"bind","source":"/nowhere/at/all","options":["bind"]}]'
	create_fails
	assert_has "/nowhere/at/all"
}

@test "create: the program gets the file descriptors 0, 1 and 2 of create" {
	set_script 'cat; echo err >&2'
	echo hello >"$T/in"
	rt create --bundle "$BUNDLE" "$ID" <"$T/in" >"$T/out" 2>"$T/err"
	start_ct
	wait_status stopped
	assert_eq "$(cat "$T/out")" hello
	assert_eq "$(cat "$T/err")" err
}

@test "create: unknown keys and a newer ociVersion are ignored" {
	lacks crun "refuses nothing here but 1.8 warns of the version"
	update_config '.ociVersion = "1.99.0" | .somethingNew = {"a":1} | .linux.alsoNew = true | .process.newer = [1]'
	set_args echo fine
	run_ct
	assert_ok
	assert_output fine
}

@test "create: hooks key with empty lists" {
	update_config '.hooks = {"prestart":[],"poststop":[]}'
	set_args echo fine
	run_ct
	assert_output fine
}

@test "create: a state root that cannot be written leaves nothing" {
	echo file >"$T/flat"
	ROOT=$T/flat/root
	try rt create --bundle "$BUNDLE" "$ID" </dev/null
	assert_fails
	ROOT=$T/root
	assert_nothing_left
}

@test "create: an id may use letters, digits and _+.-" {
	rt create --bundle "$BUNDLE" "$ID.a_b+c-D" </dev/null >"$T/out" 2>&1
	assert_eq "$(status_of "$ID.a_b+c-D")" created
}
