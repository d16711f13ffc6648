#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What docker reads out of the runtime's words: 125, 126 or 127, and its advice.

load helpers

@test "errors: a program that is not in PATH is 127" {
	run_c no-such-program
	assert_status 127
	assert_has 'exec: "no-such-program": executable file not found in $PATH'
}

@test "errors: an absolute path that is missing is 127" {
	run_c /no/such/program
	assert_status 127
	assert_has "no such file or directory"
}

@test "errors: a file without the x bit is 126" {
	run_c /etc/passwd
	assert_status 126
	assert_has "permission denied"
}

@test "errors: a directory as the program is 126" {
	run_c /etc
	assert_status 126
	assert_has '"/etc"'
}

@test "errors: a program that is no program fails" {
	printf 'garbage' >"$T/program"
	chmod 755 "$T/program"
	EXTRA=(-v "$T/program:/program")
	run_c /program
	assert_fails "exec format error"
}

@test "errors: a script whose interpreter is missing fails" {
	printf '#!/no/interpreter\n' >"$T/script"
	chmod 755 "$T/script"
	EXTRA=(-v "$T/script:/script")
	run_c /script
	assert_fails "no such file or directory"
}

@test "errors: a script whose interpreter is missing is 127, and says which" {
	ours || skip "runc 1.1 notices only when the container has started, and exits with 1"
	printf '#!/no/interpreter\n' >"$T/script"
	chmod 755 "$T/script"
	EXTRA=(-v "$T/script:/script")
	run_c /script
	assert_status 127
	assert_has /no/interpreter
}

@test "errors: a directory on a file is advised on" {
	mkdir "$T/dir"
	EXTRA=(-v "$T/dir:/etc/passwd")
	run_c true
	assert_status 125
	assert_has "not a directory"
	assert_has "Are you trying to mount a directory onto a file (or vice-versa)?"
}

@test "errors: a file on a directory is advised on" {
	echo >"$T/file"
	EXTRA=(-v "$T/file:/tmp")
	run_c true
	assert_status 125
	assert_has "Are you trying to mount a directory onto a file (or vice-versa)?"
}

@test "errors: --mount of a source that is missing" {
	EXTRA=(--mount "type=bind,source=$T/none,target=/x")
	run_c true
	assert_status 125
	assert_has "bind source path does not exist"
}

@test "errors: a sysctl that is not of a namespace" {
	EXTRA=(--sysctl kernel.panic=3)
	run_c true
	assert_status 125
	assert_has kernel.panic
}

@test "errors: a device that is missing" {
	EXTRA=(--device /dev/no-such-device)
	run_c true
	assert_status 127 # docker's own text matches what it takes for a missing program
	assert_has "no such file or directory"
}

@test "errors: --gpus without a driver for them" {
	EXTRA=(--gpus all)
	run_c true
	assert_status 125
	assert_has 'could not select device driver "" with capabilities: [[gpu]]'
}

@test "errors: a runtime that is not configured" {
	EXTRA=(--runtime nobody)
	run_c true
	assert_status 125
	[[ $output =~ [Uu]nknown\ (runtime\ specified|or\ invalid\ runtime\ name:)\ nobody ]] || fail "not named"
}

@test "errors: a working directory that is a file" {
	EXTRA=(--workdir /etc/passwd)
	run_c true
	assert_fails "not a directory"
}

@test "errors: a profile of seccomp that is no JSON" {
	echo nonsense >"$T/profile"
	EXTRA=(--security-opt "seccomp=$T/profile")
	run_c true
	assert_status 125
	assert_has seccomp
}

@test "errors: what did not start leaves a container that says why" {
	keep_c no-such-program
	assert_status 127
	assert_eq "$(show '{{.State.Status}} {{.State.ExitCode}}')" "created 127"
	[[ $(show '{{.State.Error}}') == *"executable file not found"* ]]
}

@test "errors: a name of the place in the config is in the text" {
	ours || skip "other runtimes name the system call"
	echo >"$T/file"
	EXTRA=(-v "$T/file:/tmp")
	run_c true
	assert_has "mounts["
	assert_has "/tmp (bind of $T/file)"
	assert_has "hint: source and destination"
}
