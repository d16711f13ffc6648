#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

setup() {
	setup_bundle
	update_config '.process.terminal = true'
}
# recv [ARG…]: a receiver on $T/console; its output goes to $T/tty.
recv() {
	"$RECVTTY" tty "$T/console" "$@" >"$T/tty" 2>&1 </dev/null 3>&- &
	receiver=$!
	wait_for test -S "$T/console"
}
tty_ct() {
	recv "${send[@]}"
	rt run --detach --console-socket "$T/console" --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>"$T/err"
	wait $receiver
	output=$(tr -d '\r' <"$T/tty")
}

@test "terminal: one descriptor, with a short payload" {
	set_args true
	tty_ct
	assert_matches "^payload=[0-9]{1,4} fds=1"
}

@test "terminal: output arrives at the receiver" {
	set_script 'tty; test -t 0 && test -t 1 && test -t 2 && echo all three'
	tty_ct
	assert_matches "/dev/(pts/0|console)"
	assert_has "all three"
}

@test "terminal: input comes from the receiver" {
	send=(-send 'typed\n')
	set_script 'read line; echo "got <$line>"'
	tty_ct
	assert_has "got <typed>"
}

@test "terminal: it is the controlling terminal of a new session" {
	set_script 'awk "{print \$6, (\$7 != 0)}" /proc/$$/stat; echo x >/dev/tty'
	tty_ct
	assert_has "1 1"
	assert_has $'\nx'
}

@test "terminal: consoleSize" {
	update_config '.process.consoleSize = {"width":91,"height":37}'
	set_script 'stty size'
	tty_ct
	assert_has "37 91"
}

@test "terminal: /dev/console is the terminal" {
	set_script 'echo through console >/dev/console; test -c /dev/console && echo chardev'
	tty_ct
	assert_has "through console"
	assert_has chardev
}

@test "terminal: it belongs to the container's devpts" {
	set_script 'ls /dev/pts; cat /proc/self/mountinfo | grep -c " /dev/pts "'
	tty_ct
	assert_has 0
	assert_has ptmx
}

@test "terminal: it belongs to the process user" {
	update_config '.process.user = {"uid":1000,"gid":1000}'
	set_script 'stat -c %u /dev/pts/0; echo writable >/dev/pts/0'
	tty_ct
	assert_has $'\n1000'
	assert_has writable
}

@test "terminal: exec --tty with a socket" {
	update_config '.process.terminal = false'
	idle_ct
	recv
	rt exec --tty --detach --console-socket "$T/console" "$ID" sh -c 'tty; test -t 1 && echo is a terminal' </dev/null >"$T/eout" 2>&1
	wait $receiver
	grep -q "fds=1" "$T/tty"
	grep -q "is a terminal" "$T/tty"
}

@test "terminal: exec -t by process.json with consoleSize" {
	lacks crun "sets it for init only"
	update_config '.process.terminal = false'
	idle_ct
	jq '.process | .terminal = true | .args = ["stty","size"] | .consoleSize = {"width":50,"height":20}' "$CONFIG" >"$T/process.json"
	recv
	rt exec --detach --console-socket "$T/console" --process "$T/process.json" "$ID" </dev/null >"$T/eout" 2>&1
	wait $receiver
	grep -q "20 50" "$T/tty"
}

@test "terminal: detached without a socket is refused" {
	try rt run --detach --bundle "$BUNDLE" "$ID" </dev/null
	assert_fails
	[[ $RT == crun ]] || assert_has "cannot allocate tty if runc will detach without setting console socket"
	[[ $RT != berth ]] || assert_has "set process.terminal to false"
	assert_nothing_left
}

@test "terminal: a socket without a terminal is refused" {
	lacks crun "ignores the socket"
	update_config '.process.terminal = false'
	try rt create --console-socket "$T/console" --bundle "$BUNDLE" "$ID" </dev/null
	assert_fails "cannot use console socket if runc will not detach or allocate tty"
	assert_nothing_left
}

@test "terminal: a socket where nobody listens" {
	try rt create --console-socket "$T/nobody" --bundle "$BUNDLE" "$ID" </dev/null
	assert_fails
	assert_nothing_left
}

@test "terminal: in a user namespace" {
	requires userns
	with_userns
	set_script 'tty; stat -c %u /dev/pts/0'
	tty_ct
	assert_matches "/dev/(pts/0|console)"
	assert_has $'\n0'
}

@test "terminal: a foreground run copies and keeps the exit status" {
	set_script 'tty >/dev/null && echo on a tty; exit 11'
	code=0
	script -qec "$RUNTIME --root $ROOT run --bundle $BUNDLE $ID" "$T/typescript" </dev/null >"$T/out" 2>&1 || code=$?
	assert_eq $code 11
	grep -q "on a tty" "$T/out"
}

@test "terminal: a foreground run passes the window size" {
	lacks crun "1.8 passes it with the first SIGWINCH"
	set_script 'for i in 1 2 3 4 5 6 7 8 9 10; do stty size; sleep 0.05; done'
	script -qec "stty rows 33 cols 77; $RUNTIME --root $ROOT run --bundle $BUNDLE $ID" "$T/typescript" </dev/null >"$T/out" 2>&1
	grep -q "33 77" "$T/out"
}
