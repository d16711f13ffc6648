#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

@test "preserve-fds: without it only 0, 1 and 2" {
	set_args ls /proc/self/fd
	try rt run --bundle "$BUNDLE" "$ID" </dev/null 4<"$CONFIG" 7<"$CONFIG"
	assert_output $'0\n1\n2\n3' # the fourth is the listing's own
}

@test "preserve-fds: N descriptors from 3 on" {
	echo three >"$T/3"
	echo four >"$T/4"
	set_script 'cat <&3; cat <&4; test ! -e /proc/self/fd/5 && echo no five'
	try bash -c 'exec "$@" 3<"'"$T"'/3" 4<"'"$T"'/4" 5<"'"$T"'/4"' _ "$RUNTIME" --root "$ROOT" run --preserve-fds 2 --bundle "$BUNDLE" "$ID"
	assert_output $'three\nfour\nno five'
}

@test "preserve-fds: create and start" {
	echo three >"$T/3"
	set_script 'cat <&3'
	"$RUNTIME" --root "$ROOT" create --preserve-fds 1 --bundle "$BUNDLE" "$ID" 3<"$T/3" </dev/null >"$T/out" 2>&1
	start_ct
	wait_output three
}

@test "preserve-fds: exec" {
	idle_ct
	echo three >"$T/3"
	"$RUNTIME" --root "$ROOT" exec --preserve-fds 1 "$ID" sh -c 'cat <&3' 3<"$T/3" </dev/null >"$T/eout" 2>&1
	assert_eq "$(cat "$T/eout")" three
}

@test "preserve-fds: one that is not open is refused" {
	lacks crun "takes it"
	try bash -c 'exec "$@" 3<&- 4<&- 5<&-' _ "$RUNTIME" --root "$ROOT" run --preserve-fds 90 --bundle "$BUNDLE" "$ID"
	assert_fails
	assert_nothing_left
}
