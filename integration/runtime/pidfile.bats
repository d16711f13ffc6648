#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

@test "pid-file: create, decimal without newline" {
	create_ct --pid-file "$T/pid"
	assert_eq "$(cat "$T/pid")" "$(state_of pid)"
	assert_eq "$(wc -l <"$T/pid")" 0
}

@test "pid-file: run --detach" {
	set_args sleep 1000
	detach_ct --pid-file "$T/pid"
	assert_eq "$(cat "$T/pid")" "$(state_of pid)"
}

@test "pid-file: relative to the caller's directory, not the bundle" {
	lacks crun "relative to the bundle"
	mkdir "$T/here"
	cd "$T/here"
	rt create --pid-file pid --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>&1
	assert_eq "$(cat "$T/here/pid")" "$(state_of pid)"
}

@test "pid-file: replaces an old one and ignores a stale temporary file" {
	echo old >"$T/pid"
	echo stale >"$T/.pid"
	lacks runc "its temporary name is fixed"
	create_ct --pid-file "$T/pid"
	assert_eq "$(cat "$T/pid")" "$(state_of pid)"
}

@test "pid-file: that cannot be written fails and leaves nothing" {
	lacks crun "1.8 leaves the container"
	create_fails --pid-file "$T/no/such/dir/pid"
}

@test "pid-file: none after a failed create" {
	set_args /no/such/program
	create_fails --pid-file "$T/pid"
	[[ ! -e $T/pid ]] || lacks crun "1.8 writes it before the program is looked up"
	[[ ! -e $T/pid ]]
}

@test "pidfd-socket: a pidfd of init, payload standard" {
	lacks runc 1.2 "came with 1.2"
	lacks crun "an annotation instead"
	"$RECVTTY" pidfd "$T/sock" >"$T/pidfd" 2>&1 3>&- &
	receiver=$!
	wait_for test -S "$T/sock"
	create_ct --pidfd-socket "$T/sock"
	wait $receiver
	grep -q "payload=standard" "$T/pidfd"
	grep -q $'^Pid:\t'"$(state_of pid)\$" "$T/pidfd"
}

@test "pidfd-socket: exec, payload setns" {
	lacks runc 1.2 "came with 1.2"
	lacks crun "an annotation instead"
	idle_ct
	"$RECVTTY" pidfd "$T/sock" >"$T/pidfd" 2>&1 3>&- &
	receiver=$!
	wait_for test -S "$T/sock"
	rt exec -d --pid-file "$T/pid" --pidfd-socket "$T/sock" "$ID" sleep 2000 </dev/null >"$T/eout" 2>&1
	wait $receiver
	grep -q "payload=setns" "$T/pidfd"
	grep -q $'^Pid:\t'"$(cat "$T/pid")\$" "$T/pidfd"
}
