#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Berth's own shim below dockerd, under the name that 20.10 asks its containerd for.
# ENGINE_SHIM=berth runs all other files in this way.

load helpers

setup_file() {
	ours || return 0
	ENGINE_SHIM=berth make_docker_room shim
	# A witness under Berth's name: it must not be called.
	mkdir "$ROOM/witness"
	printf '#!/bin/sh\necho "$*" >>%s/called\nexec %s "$@"\n' "$ROOM" "$BIN/berth" >"$ROOM/witness/berth"
	chmod 755 "$ROOM/witness/berth"
	configure '.runtimes.berth.path = $room + "/witness/berth" | .runtimes.other.path = "'"$(command -v runc)"'"'
	start_docker
	load_busybox
}
teardown_file() { ! ours || end_docker_room; }
setup() {
	ours || skip "Berth's shim runs Berth"
	ID=d$BATS_SUITE_TEST_NUMBER T=$BATS_TEST_TMPDIR EXTRA=() EXEC=()
}
teardown() { ! ours || containers_teardown; }

@test "shim: a container's supervisor is ours, and one process" {
	idle_c
	assert_eq "$(shims | wc -l)" 1
	assert_eq "$(readlink "/proc/$(shims)/exe")" "$BIN/containerd-shim-berth-v2"
	assert_eq "$(awk '/^PPid/ { print $2 }' "/proc/$(show '{{.State.Pid}}')/status")" "$(shims)"
}

@test "shim: run, exec, pause, update, kill: the berth binary is never executed" {
	EXTRA=(--memory 64m --memory-swap 64m)
	detach_c sh -c 'echo ready; sleep 1000'
	exec_c sh -c 'exit 4'
	assert_status 4
	docker_ pause "$ID" >/dev/null
	docker_ unpause "$ID" >/dev/null
	docker_ update --memory 32m --memory-swap 32m "$ID" >/dev/null
	docker_ top "$ID" | grep -q sleep
	docker_ stats --no-stream "$ID" | grep -q 32MiB
	docker_ kill "$ID" >/dev/null
	assert_eq "$(docker_ wait "$ID")" 137
	assert_eq "$(logged)" ready
	docker_ rm "$ID" >/dev/null
	run_c no-such-program
	assert_status 127
	# dockerd itself asks what it is, for docker info.
	assert_eq "$(grep -vxE -e '--version|features' "$ROOM/called")" ""
}

@test "shim: with runc as the runtime, runc is what is executed" {
	EXTRA=(--runtime other)
	run_c echo from-another
	assert_output from-another
}

@test "shim: a shim that is killed ends its container, which docker notices" {
	idle_c
	pid=$(show '{{.State.Pid}}')
	kill -KILL "$(shims)"
	wait_status exited
	wait_for ended "$pid"
}
