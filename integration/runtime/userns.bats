#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

@test "userns: the mappings, seen from inside" {
	requires userns
	with_userns
	set_script 'cat /proc/self/uid_map /proc/self/gid_map | tr -s " "; id -u'
	run_ct
	assert_ok
	assert_output $' 0 100000 65536\n 0 100000 65536\n0'
}

@test "userns: the process has the mapped id outside" {
	requires userns
	with_userns
	update_config '.process.user = {"uid":5,"gid":6}'
	idle_ct
	wait_for grep -q sleep "/proc/$(state_of pid)/cmdline"
	assert_eq "$(stat -c %u:%g "/proc/$(state_of pid)")" 100005:100006
}

@test "userns: several ranges" {
	requires userns
	with_userns
	update_config '.linux.uidMappings = [{"containerID":0,"hostID":100000,"size":1},{"containerID":1,"hostID":200000,"size":10},{"containerID":1000,"hostID":300000,"size":2}]'
	set_script 'cat /proc/self/uid_map | tr -s " "'
	run_ct
	assert_output $' 0 100000 1\n 1 200000 10\n 1000 300000 2'
}

@test "userns: devices are bound from the host and work" {
	requires userns
	with_userns
	set_script 'for d in null zero full random urandom tty; do test -c /dev/$d || echo no $d; done; echo x >/dev/null; head -c 4 /dev/zero | wc -c'
	run_ct
	assert_ok
	assert_output 4
}

@test "userns: tmpfs and proc belong to container root" {
	requires userns
	with_userns
	set_script 'stat -c %u /dev /dev/shm; touch /dev/shm/x && stat -c %u /dev/shm/x'
	run_ct
	assert_output $'0\n0\n0'
}

@test "userns: an unmapped user is refused" {
	requires userns
	with_userns
	update_config '.process.user.uid = 99999'
	create_fails
}

@test "userns: without mappings is refused" {
	requires userns
	lacks crun "maps by itself"
	update_config '.linux.namespaces += [{"type":"user"}]'
	create_fails
	assert_matches "[Mm]ap"
}

@test "userns: mappings without a user namespace are refused" {
	needs_berth "contradictory; peers ignore the mappings"
	update_config '.linux.uidMappings = [{"containerID":0,"hostID":0,"size":1}]'
	create_fails
	assert_matches "[Nn]amespace"
}

@test "userns: join the user namespace of another container" {
	requires userns
	lacks runc 1.2 "wants mappings beside the path"
	with_userns
	idle_ct
	pid=$(state_of pid)
	other=$(another_bundle b)
	find "$other" -type d -exec chown 100000:100000 {} +
	update_config --arg p "/proc/$pid/ns/" '(.linux.namespaces[] | select(.type == "user")).path = ($p + "user")
		| del(.linux.uidMappings, .linux.gidMappings) | .linux.cgroupsPath += "-b"'
	set_script 'readlink /proc/self/ns/user; id -u'
	cp "$CONFIG" "$other/config.json"
	try rt run --bundle "$other" "$ID-b" </dev/null
	assert_ok
	assert_output "$(readlink "/proc/$pid/ns/user")"$'\n0'
}

@test "userns: exec enters it as mapped root" {
	requires userns
	with_userns
	idle_ct
	exec_ct sh -c 'id -u; cat /proc/self/uid_map | tr -s " "; readlink /proc/self/ns/user'
	assert_output $'0\n 0 100000 65536\n'"$(readlink "/proc/$(state_of pid)/ns/user")"
}

@test "userns: exec as an id that is not mapped names the field" {
	needs_berth "the text is its own"
	requires userns
	with_userns
	idle_ct
	try rt exec --user 70000 "$ID" true
	assert_fails
	assert_has process.user.uid
}

@test "userns: all capabilities asked for are there, in the namespace only" {
	requires userns
	with_userns
	add_caps CAP_SYS_ADMIN CAP_NET_ADMIN
	set_script 'grep CapEff /proc/self/status; mkdir /tmp/m; mount -t tmpfs t /tmp/m && echo mounted; hostname changed && hostname'
	run_ct
	assert_has mounted
	assert_has changed
	[[ $(hostname) != changed ]]
}

@test "userns: the other namespaces are owned by it" {
	requires userns
	with_userns
	add_caps CAP_NET_ADMIN
	set_script 'ip link set lo down && ip link set lo up && echo owner'
	run_ct
	assert_output owner
}

@test "userns: a bind mount keeps the host's ids" {
	requires userns
	with_userns
	mkdir "$T/vol"
	touch "$T/vol/f"
	chown 100007 "$T/vol/f"
	chmod 755 "$T/vol"
	update_config --arg s "$T/vol" '.mounts += [{"destination":"/vol","type":"bind","source":$s,"options":["bind"]}]'
	set_args stat -c %u /vol/f
	run_ct
	assert_output 7
}

@test "userns: a bind mount whose source the mapped root cannot reach" {
	requires userns
	lacks runc 1.2 "opens sources from inside the namespace for some cases only"
	lacks crun 1.9 "1.8 opens it from inside"
	with_userns
	mkdir -p "$T/closed/vol"
	echo reached >"$T/closed/vol/f"
	chmod 700 "$T/closed"
	update_config --arg s "$T/closed/vol" '.mounts += [{"destination":"/vol","type":"bind","source":$s,"options":["bind","ro"]}]'
	set_args cat /vol/f
	run_ct
	assert_output reached
}

# containerd's pods: below a directory of root's, on a restricted mount, with submounts.
@test "userns: a recursive bind of a closed source keeps the host's flags and submounts" {
	requires userns
	lacks runc 1.2 "opens sources from inside the namespace for some cases only"
	lacks crun 1.9 "1.8 opens it from inside"
	with_userns
	add_caps CAP_SYS_ADMIN
	mkdir "$T/closed"
	chmod 700 "$T/closed"
	mount -t tmpfs -o nosuid,mode=755 outer "$T/closed"
	mkdir "$T/closed/sub"
	chmod 700 "$T"
	mount -t tmpfs -o mode=755 inner "$T/closed/sub"
	echo hidden >"$T/closed/sub/f"
	mount -o remount,ro,bind,nosuid "$T/closed"
	update_config --arg s "$T/closed" '.mounts += [{"destination":"/vol","type":"bind","source":$s,"options":["rbind"]}]'
	set_script 'cat /vol/sub/f; awk "\$5 == \"/vol\" { print \$6 }" /proc/self/mountinfo
		umount /vol/sub 2>/dev/null || echo locked
		mount -o remount,rw,bind,nosuid none /vol 2>/dev/null || echo kept'
	run_ct
	umount "$T/closed/sub" "$T/closed"
	assert_output $'hidden\nro,nosuid,relatime\nlocked\nkept'
}

# The other way round: the caller's root is not let in without its capabilities.
@test "userns: a recursive bind of a source that only the mapped root can reach" {
	requires userns
	with_userns
	mkdir -p "$T/theirs/vol"
	echo reached >"$T/theirs/vol/f"
	chown 100000:0 "$T/theirs"
	chmod 700 "$T/theirs"
	update_config --arg s "$T/theirs/vol" '.mounts += [{"destination":"/vol","type":"bind","source":$s,"options":["rbind","ro"]}]'
	set_args cat /vol/f
	run_ct
	assert_output reached
	mv "$BUNDLE" "$T/theirs/bundle"
	BUNDLE=$T/theirs/bundle
	run_ct
	assert_output reached
}

@test "userns: a rootfs in a closed directory, with shared propagation" {
	requires userns
	lacks runc 1.2 "goes there as the mapped root"
	lacks crun 1.9 "goes there as the mapped root"
	with_userns
	chmod 700 "$T"
	update_config '.linux.rootfsPropagation = "rshared"'
	set_args echo started
	run_ct
	assert_output started
}

@test "userns: setgroups stays allowed for a rootful container" {
	requires userns
	with_userns
	update_config '.process.user.additionalGids = [10, 20]'
	set_script 'cat /proc/self/setgroups; id -G'
	run_ct
	assert_ok
	assert_has allow
	assert_has "10 20"
}

@test "userns: with time offsets" {
	requires userns
	needs_berth "Debian's peers have no time namespaces"
	with_userns
	update_config '.linux.namespaces += [{"type":"time"}] | .linux.timeOffsets = {"boottime":{"secs":1000000}}'
	set_script 'cut -d. -f1 /proc/uptime'
	run_ct
	assert_ok
	((output >= 1000000))
}

@test "userns: tmpcopyup copies as the container's root" {
	requires userns
	lacks crun "keeps other owners"
	lacks runc "cannot: the owner is not mapped"
	with_userns
	mkdir -p "$ROOTFS/copy/sub"
	echo content >"$ROOTFS/copy/sub/file"
	chown -R 100000:100000 "$ROOTFS/copy"
	update_config '.mounts += [{"destination":"/copy","type":"tmpfs","source":"tmpfs","options":["tmpcopyup"]}]'
	set_script 'cat /copy/sub/file; stat -c %u /copy/sub/file; grep -c " /copy tmpfs" /proc/mounts'
	run_ct
	assert_output $'content\n0\n1'
}
