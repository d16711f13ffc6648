#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

# activated PID-EXPRESSION COMMAND…: with LISTEN_PID and two descriptors.
activated() {
	local pid=$1
	shift
	echo three >"$T/3"
	echo four >"$T/4"
	try bash -c 'export LISTEN_FDS=2 LISTEN_PID='"$pid"'; exec "$@" 3<"'"$T"'/3" 4<"'"$T"'/4" </dev/null' _ "$RUNTIME" --root "$ROOT" "$@"
}

@test "listen-fds: the descriptors and LISTEN_PID=1" {
	set_script 'echo $LISTEN_PID; cat <&3; cat <&4'
	activated '$$' run --bundle "$BUNDLE" "$ID"
	assert_output $'1\nthree\nfour'
}

@test "listen-fds: LISTEN_FDS" {
	lacks crun "1.8 leaves it out"
	set_script 'echo $LISTEN_FDS'
	activated '$$' run --bundle "$BUNDLE" "$ID"
	assert_output 2
}

@test "listen-fds: ignored when LISTEN_PID is somebody else" {
	lacks crun "does not look at LISTEN_PID"
	set_script 'echo "<$LISTEN_FDS$LISTEN_PID>"; ls /proc/self/fd/3 2>/dev/null | grep -c config; true'
	activated 1 run --bundle "$BUNDLE" "$ID"
	assert_has "<>"
}

@test "listen-fds: with preserve-fds after them" {
	echo five >"$T/5"
	set_script 'cat <&3; cat <&5'
	exec 5<"$T/5"
	activated '$$' run --preserve-fds 1 --bundle "$BUNDLE" "$ID"
	exec 5<&-
	assert_output $'three\nfive'
}
