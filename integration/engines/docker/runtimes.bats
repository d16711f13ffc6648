#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Berth beside other runtimes, and the ways to name one.

load helpers

setup_file() {
	make_docker_room runtimes
	# A witness for each way: who was executed, with which verb.
	mkdir "$ROOM/witness"
	printf '#!/bin/sh\nfor a; do case $a in create|start|delete|exec|kill) echo "$a" >>%s/called; break;; esac; done\nexec %s "$@"\n' \
		"$ROOM" "$(runtime_path)" >"$ROOM/witness/$ENGINE_RUNTIME"
	chmod 755 "$ROOM/witness/$ENGINE_RUNTIME"
	# Other names: runc and crun may be in the file already.
	configure 'del(."default-runtime") | .runtimes = { byfile: { path: ($room + "/witness/" + $runtime) }, flags: { path: ($room + "/witness/" + $runtime), runtimeArgs: ["--debug"] } }'
	start_docker
	load_busybox
}
teardown_file() { end_docker_room; }

@test "runtimes: docker info lists it, and runc stays the default" {
	docker_ info -f '{{json .Runtimes}}' | jq -e 'has("byfile")'
	assert_eq "$(docker_ info -f '{{.DefaultRuntime}}')" runc
}

@test "runtimes: --runtime chooses it, and no other is executed" {
	[[ $ENGINE_SHIM != berth ]] || skip "our shim executes none"
	rm -f "$ROOM/called"
	EXTRA=(--runtime byfile)
	run_c echo chosen
	assert_output chosen
	grep -qx create "$ROOM/called"
	grep -qx start "$ROOM/called"
	rm "$ROOM/called"
	EXTRA=(--runtime runc)
	run_c echo other
	assert_output other
	test ! -e "$ROOM/called"
}

@test "runtimes: runtimeArgs come to it" {
	EXTRA=(--runtime flags)
	run_c echo debugged
	assert_ok
	assert_has debugged
}

@test "runtimes: containers of two runtimes talk to each other, and share a volume" {
	docker_ network create "$ID-net" >/dev/null
	EXTRA=(--network "$ID-net" --runtime byfile -v "$ID:/data")
	AS_ID=$ID-a idle_c
	EXTRA=(--network "$ID-net" --runtime runc -v "$ID:/data")
	AS_ID=$ID-b idle_c
	docker_ exec "$ID-a" ping -c1 -W2 "$ID-b" >/dev/null
	docker_ exec "$ID-b" ping -c1 -W2 "$ID-a" >/dev/null
	docker_ exec "$ID-a" sh -c 'echo x >/data/x'
	assert_eq "$(docker_ exec "$ID-b" cat /data/x)" x
	docker_ rm -f "$ID-a" "$ID-b" >/dev/null
	docker_ network rm "$ID-net" >/dev/null
	docker_ volume rm "$ID" >/dev/null
}

@test "runtimes: the file is read again on SIGHUP, for new containers" {
	EXTRA=(--runtime byfile)
	AS_ID=$ID-before idle_c
	EXTRA=()
	jq '.runtimes.later = .runtimes.byfile | ."default-runtime" = "later"' "$ROOM/daemon.json" >"$ROOM/new.json"
	cp "$ROOM/new.json" "$ROOM/daemon.json"
	kill -HUP "$(daemon_pid dockerd)"
	later() { [[ $(docker_ info -f '{{.DefaultRuntime}}') == later ]]; }
	wait_for later
	run_c echo reloaded
	assert_output reloaded
	assert_eq "$(docker_ exec "$ID-before" echo alive)" alive
}

@test "runtimes: a path that is missing is said so" {
	jq '.runtimes.wrong.path = "/no/such/runtime"' "$ROOM/daemon.json" >"$ROOM/new.json"
	cp "$ROOM/new.json" "$ROOM/daemon.json"
	kill -HUP "$(daemon_pid dockerd)"
	known() { docker_ info -f '{{json .Runtimes}}' | jq -e 'has("wrong")'; }
	wait_for known
	EXTRA=(--runtime wrong)
	run_c true
	assert_fails "/no/such/runtime"
}

@test "runtimes: dockerd's flag --add-runtime" {
	stop_daemon dockerd
	start_docker --add-runtime "byflag=$ROOM/witness/$ENGINE_RUNTIME"
	EXTRA=(--runtime byflag)
	run_c echo flagged
	assert_output flagged
}

@test "runtimes: a shim by its type is unknown to docker 20.10" {
	old || skip "newer daemons know it"
	EXTRA=(--runtime io.containerd.berth.v2)
	run_c true
	assert_status 125
	assert_has "Unknown runtime specified io.containerd.berth.v2"
}

@test "runtimes: a shim by its type, and one of the file with a name" {
	never old || skip "docker 20.10 does not know shims by their type"
	ours || skip "it is our shim"
	EXTRA=(--runtime io.containerd.berth.v2)
	idle_c
	assert_eq "$(readlink "/proc/$(shims)/exe")" "$BIN/containerd-shim-berth-v2"
	docker_ rm -f "$ID" >/dev/null
	jq '.runtimes.typed.runtimeType = "io.containerd.berth.v2"' "$ROOM/daemon.json" >"$ROOM/new.json"
	cp "$ROOM/new.json" "$ROOM/daemon.json"
	kill -HUP "$(daemon_pid dockerd)"
	known() { docker_ info -f '{{json .Runtimes}}' | jq -e 'has("typed")'; }
	wait_for known
	EXTRA=(--runtime typed --memory 64m)
	idle_c
	assert_eq "$(readlink "/proc/$(shims)/exe")" "$BIN/containerd-shim-berth-v2"
	exec_c sh -c 'exit 4'
	assert_status 4
}
