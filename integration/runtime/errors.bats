#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The texts that engines look for, and what must be known at create.

load helpers

@test "errors: a program that is not in PATH, at create" {
	set_args no-such-program
	create_fails
	assert_error 'executable file not found in $PATH' 'executable file `no-such-program` not found in $PATH'
}

@test "errors: an absolute path that is missing, at create" {
	set_args /no/such/program
	create_fails
	assert_error "no such file or directory" "No such file or directory" "not found"
}

@test "errors: a file without the x bit, at create" {
	set_args /etc/passwd
	create_fails
	assert_error "permission denied" "Permission denied"
}

@test "errors: a directory as the program, at create" {
	set_args /etc
	create_fails
	assert_error "permission denied" "Permission denied" "is a directory" "Operation not permitted"
	[[ $RT != berth ]] || assert_has "permission denied"
}

@test "errors: a file on a directory is ENOTDIR, which Docker explains" {
	lacks crun "says something else"
	echo x >"$T/file"
	update_config ".mounts += [{destination: \"/tmp\", type: \"bind\", source: \"$T/file\", options: [\"bind\"]}]"
	create_fails
	assert_has "not a directory"
}

@test "errors: a path through a file, at create" {
	set_args /etc/passwd/x
	create_fails
	assert_error "not a directory" "Not a directory" "no such file"
}

@test "errors: a program that the user may not execute" {
	lacks runc "1.1 looks as root"
	lacks crun "1.8 looks as root"
	own_rootfs bin/busybox
	cp "$ROOTFS/bin/busybox" "$ROOTFS/mine"
	chmod 700 "$ROOTFS/mine"
	update_config '.process.user = {"uid":1000,"gid":1000}'
	set_args /mine
	create_fails
	assert_has "permission denied"
}

@test "errors: script whose interpreter is missing, at create" {
	lacks runc "nothing said at all"
	lacks crun "nothing said at all"
	printf '#!/no/interpreter\necho\n' >"$ROOTFS/script"
	chmod 755 "$ROOTFS/script"
	set_args /script
	create_fails
	assert_has "no such file or directory"
	assert_has /no/interpreter
}

@test "errors: script with a carriage return in its first line, at create" {
	lacks runc "nothing said at all"
	lacks crun "nothing said at all"
	printf '#!/bin/sh\r\necho\r\n' >"$ROOTFS/script"
	chmod 755 "$ROOTFS/script"
	set_args /script
	create_fails
	assert_has '\r'
}

@test "errors: script with an interpreter runs" {
	printf '#!/bin/sh\necho script "$@"\n' >"$ROOTFS/script"
	chmod 755 "$ROOTFS/script"
	set_args /script a b
	run_ct
	assert_output "script a b"
}

@test "errors: ELF loader missing, at create" {
	lacks runc "nothing said at all"
	lacks crun "nothing said at all"
	cp "$(command -v jq)" "$ROOTFS/dynamic"
	set_args /dynamic
	create_fails
	assert_has "no such file or directory"
	assert_matches "ld-linux|ELF|loader|interpreter"
}

@test "errors: a program for another architecture, at create" {
	lacks runc "nothing said at all"
	lacks crun "nothing said at all"
	# an ELF header of s390x, big-endian
	printf '\x7fELF\x02\x02\x01\0\0\0\0\0\0\0\0\0\0\x02\0\x16\0\0\0\x01%0200d' 0 >"$ROOTFS/foreign"
	chmod 755 "$ROOTFS/foreign"
	set_args /foreign
	create_fails
	assert_matches "exec format error|architecture"
}

@test "errors: a program on a noexec mount, at create" {
	lacks runc "permission denied with no word of noexec"
	lacks crun "permission denied with no word of noexec"
	mkdir "$T/vol"
	cp "$ROOTFS/bin/busybox" "$T/vol/prog"
	update_config --arg s "$T/vol" '.mounts += [{"destination":"/vol","type":"bind","source":$s,"options":["bind","noexec"]}]'
	set_args /vol/prog
	create_fails
	assert_has "permission denied"
	assert_has noexec
}

@test "errors: args missing or empty" {
	lacks crun "1.8 runs something"
	update_config 'del(.process.args)'
	create_fails
	update_config '.process.args = []'
	create_fails
	[[ $RT == crun ]] || assert_has args
}

@test "errors: an empty args[0]" {
	set_args ""
	create_fails
}

@test "errors: ids that are refused" {
	lacks crun "1.8 checks the slash only"
	for id in . .. a/b ../x 'a b' 'a*' $'a\nb' 'ä'; do
		try rt create --bundle "$BUNDLE" "$id" </dev/null
		assert_fails
		assert_matches "container ID format|invalid container ID|invalid.*ID" || return 1
	done
	[[ ! -e $T/x && ! -e $ROOT/x ]]
}

@test "errors: an id with a slash" {
	try rt create --bundle "$BUNDLE" "../$ID" </dev/null
	assert_fails
	[[ ! -e $T/$ID ]]
}

@test "errors: an empty id" {
	try rt create --bundle "$BUNDLE" "" </dev/null
	assert_fails
	[[ $RT != berth ]] || assert_has "container id cannot be empty"
}

@test "errors: no id, and too many" {
	for verb in create run start state kill delete; do
		try rt $verb
		assert_fails
		assert_status 1
	done
	lacks crun "ignores what is too much"
	try rt state a b
	assert_fails
}

@test "errors: an unknown verb and an unknown flag" {
	try rt nonsense
	assert_fails
	try rt create --nonsense "$ID"
	assert_fails
	try rt --nonsense list
	assert_fails
}

@test "errors: are one line on stderr, stdout stays empty" {
	set_args no-such-program
	rt create --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>"$T/err" && return 1
	assert_eq "$(cat "$T/out")" ""
	assert_eq "$(wc -l <"$T/err")" 1
}

@test "errors: exit status is 1" {
	lacks crun 1.9 "another one"
	set_args no-such-program
	create_fails
	assert_status 1
}

@test "errors: name the place in the config" {
	needs_berth "peers name the system call"
	update_config '.mounts += [{"destination":"/x","type":"nonsensefs","source":"none"}]'
	create_fails
	assert_has "mounts[6]"
	assert_has nonsensefs
}

@test "errors: sysfs in a user namespace that does not own the network" {
	lacks runc "falls to EPERM without a hint"
	lacks crun "falls back to a bind"
	requires userns
	with_userns
	update_config '.linux.namespaces |= map(select(.type != "network"))'
	create_fails
	assert_has /sys
	assert_matches "not permitted"
	assert_matches "network namespace"
}

@test "errors: process missing" {
	lacks crun "crashes or says so"
	update_config 'del(.process)'
	create_fails
}

@test "errors: hostile values of JSON" {
	lacks crun "takes some of them"
	for f in '.process.user.uid = -1' '.process.user.uid = 4294967296' '.mounts = {}' '.linux.namespaces = "all"' '.process.args = "sh"' '.process.env = [1]' '.root = null'; do
		cp "$CONFIG" "$T/good"
		update_config "$f"
		create_fails
		cp "$T/good" "$CONFIG"
	done
}

@test "errors: NUL in strings is refused" {
	lacks crun "cuts them"
	for f in '.process.args = ["a\u0000b"]' '.process.env += ["A=\u0000"]' '.process.cwd = "/\u0000"'; do
		cp "$CONFIG" "$T/good"
		update_config "$f"
		create_fails
		cp "$T/good" "$CONFIG"
	done
}
