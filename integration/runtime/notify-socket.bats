#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

setup() {
	setup_bundle
	"$RECVTTY" sdnotify "$T/sd" >"$T/sd.out" 2>&1 3>&- &
	listener=$!
	wait_for test -S "$T/sd"
	export NOTIFY_SOCKET=$T/sd
}
teardown() {
	kill "$listener" 2>/dev/null || true
	unset NOTIFY_SOCKET
	teardown_bundle
}

@test "notify: create does not wait, and sets NOTIFY_SOCKET inside" {
	lacks crun "sets it up in another way"
	set_script 'echo "socket=$NOTIFY_SOCKET"; test -S "$NOTIFY_SOCKET" && echo there; sleep 1000'
	SECONDS=0
	create_ct
	((SECONDS < 4))
	env -u NOTIFY_SOCKET "$RUNTIME" --root "$ROOT" start "$ID" 3>&- &
	starter=$!
	wait_output "socket=/run/notify/notify"
	kill $starter 2>/dev/null || true
}

@test "notify: READY=1 from inside arrives outside with MAINPID" {
	lacks crun "forwards READY only"
	set_script 'recvtty notify-send "$NOTIFY_SOCKET" READY=1; sleep 1000'
	create_ct
	start_ct
	wait_output READY=1 "$T/sd.out"
	wait_output "MAINPID=$(state_of pid)" "$T/sd.out"
}

@test "notify: other messages from inside stay inside" {
	set_script 'recvtty notify-send "$NOTIFY_SOCKET" STATUS=secret; recvtty notify-send "$NOTIFY_SOCKET" READY=1; sleep 1000'
	create_ct
	start_ct
	wait_output READY=1 "$T/sd.out"
	! grep -q secret "$T/sd.out" || fail "STATUS went out"
}
