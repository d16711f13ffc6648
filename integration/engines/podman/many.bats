#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Many containers at a time, and what is left of all of them.

load helpers
setup() { podman_setup; }
teardown() { podman_teardown; }

# left: a number a line of what the room has: containers, processes, mounts, cgroups,
# network namespaces, interfaces, attach sockets, files of exits, the runtime's states.
left() {
	echo "containers $(podman_ ps -aq | wc -l)"
	echo "processes $(pgrep -fc -- "(monitor|conmon|podman|berth|runc|crun) .*$ROOM/" || true)"
	echo "mounts $(room_enter grep -c " $ROOM/root/overlay.*/merged" /proc/self/mountinfo || true)"
	echo "cgroups $(find /sys/fs/cgroup -type d -path "*$ROOM_CGROUP/*" -name 'libpod-*' | wc -l)"
	echo "netns $(room_enter find /run/netns -type f | wc -l)"
	echo "interfaces $(room_enter ip -o link show type veth | wc -l)"
	echo "sockets $(find "$ROOM/run" -type s | wc -l)"
	echo "exits $(find "$ROOM/run/exits" -type f 2>/dev/null | wc -l)"
	echo "states $(grep -rlsF "$ROOM/" "/run/$ENGINE_RUNTIME" | wc -l)"
}
is_left() { [[ $(left) == "$1" ]]; }

# worker N ROUND: every eighth container: run, exec, its output, and its end.
worker() {
	local i name network
	for ((i = $1; i < 100; i += 8)); do
		name=$ID-$2-$i network=none
		((i % 10)) || network=podman
		podman_ run -d --name "$name" --network "$network" --cgroup-parent "$ROOM_CGROUP" bb sh -c "echo $name; sleep 1000" >/dev/null &&
			[[ $(podman_ exec "$name" sh -c "echo in \$HOSTNAME; exit 0") == in* ]] &&
			WAIT=10 wait_for has_logged "$name" "$name" &&
			podman_ rm -f -t 0 "$name" >/dev/null || { echo "worker $1: $name" >&2; return 1; }
	done
}

@test "100 containers in 8 workers, twice: no failure, and nothing is left" {
	run_c --network podman bb true # the bridge and the parents of the cgroups stay
	before=$(left)
	for round in 1 2; do
		pids=()
		for n in {0..7}; do
			worker "$n" "$round" >"$T/worker-$round-$n" 2>&1 </dev/null 3>&- &
			pids+=($!)
		done
		for n in {0..7}; do wait "${pids[n]}" || fail "$(cat "$T/worker-$round-$n")"; done
		WAIT=10 wait_for is_left "$before" || { diff <(echo "$before") <(left) >&2; return 1; }
	done
}

@test "20 containers that are created at once and end by themselves with --rm" {
	before=$(left)
	for n in {1..20}; do
		podman_ run -d --rm --name "$ID-$n" "${BASE[@]}" bb sh -c "exit $n" >"$T/out-$n" 2>&1 </dev/null 3>&- &
		pids[n]=$!
	done
	for n in {1..20}; do wait "${pids[n]}" || fail "$(cat "$T/out-$n")"; done
	WAIT=20 wait_for is_left "$before" || { diff <(echo "$before") <(left) >&2; return 1; }
}

# fill PODMAN…: something of each kind, one container of two runs.
fill() {
	"$@" import -q "$("$ENGINES/rootfs.sh" busybox)" bb
	"$@" volume create vol
	"$@" network create net
	printf x | "$@" secret create word -
	"$@" run -d --name runs -v vol:/data "${BASE[@]}" bb sh -c "trap exit TERM; sleep 1000 & wait"
	"$@" run --name ended "${BASE[@]}" bb touch /data
	"$@" pod create --name pod --infra=false --share ""
}

@test "system reset --force leaves nothing" {
	sed "s|$ROOM|$T|g" "$ROOM/storage.conf" >"$T/storage.conf"
	sed -e "s|$ROOM|$T|g" "$ROOM/containers.conf" >"$T/containers.conf"
	sed -e "s|$ROOM/containers.conf|$T/containers.conf|; s|$ROOM/storage.conf|$T/storage.conf|" "$ROOM/bin/podman" >"$T/podman"
	chmod +x "$T/podman"
	cgroups() { find /sys/fs/cgroup -type d -path "*$ROOM_CGROUP/*" | sort; }
	before=$(cgroups)
	fill "$T/podman" >"$T/fill" 2>&1 3>&-
	pid=$("$T/podman" inspect --format '{{.State.Pid}}' runs)
	try "$T/podman" system reset --force
	assert_ok
	WAIT=10 wait_for ended "$pid"
	gone() { ! pgrep -f -- "$T/(root|run)" >/dev/null; }
	WAIT=10 wait_for gone
	assert_eq "$(cgroups)" "$before"
	assert_eq "$(room_enter grep -c " $T" /proc/self/mountinfo)" 0
	assert_eq "$(find "$T/root" "$T/run/storage" -mindepth 1 -not -path "*/.seccomp*" 2>/dev/null)" ""
	assert_eq "$(find "$T/net" -name 'net*.json' 2>/dev/null)" ""
	assert_eq "$("$T/podman" ps -aq)$("$T/podman" images -q)$("$T/podman" volume ls -q)$("$T/podman" secret ls -q)" ""
}

@test "rootless: system reset --force leaves nothing" {
	BASE=(--network none)
	export ROOM_HOME=$T
	mkdir -p "$T/home/.config" "$T/run"
	cp -r "$ROOM/user/home/.config/containers" "$T/home/.config/"
	chown -R berth-it: "$T"
	chmod 700 "$T/run"
	fill "$ROOM/bin/user" podman >"$T/fill" 2>&1 3>&-
	pid=$("$ROOM/bin/user" podman inspect --format '{{.State.Pid}}' runs)
	try "$ROOM/bin/user" podman system reset --force
	assert_ok
	WAIT=10 wait_for ended "$pid"
	gone() { ! pgrep -f -- "$T/(home|run)" >/dev/null; }
	WAIT=10 wait_for gone
	assert_eq "$(find "$T/home/.local/share/containers/storage" -mindepth 1 -not -path "*/.seccomp*" 2>/dev/null)" ""
	assert_eq "$(room_enter grep -c " $T" /proc/self/mountinfo)" 0
	assert_eq "$(find "$T/run/berth" "$T/run/runc" "$T/run/crun" -mindepth 1 -not -path "*/.seccomp*" 2>/dev/null)" ""
	unset ROOM_HOME
}
