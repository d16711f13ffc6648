# SPDX-License-Identifier: Apache-2.0
# What Podman's cases are written with.

source "$BATS_TEST_DIRNAME/../podman/room.bash"

podman_setup() {
	ID=c$BATS_SUITE_TEST_NUMBER # "c" and a number: not the beginning of some container's id
	T=$ROOM/$ID
	mkdir "$T"
	chmod 755 "$T"
	cd "$T" || return
	BASE=(--network none --cgroup-parent "$ROOM_CGROUP")
	AS=root
}

# podman_teardown: removes what the case made, and fails when something is left
# of it then.
podman_teardown() {
	local bad=0 left
	end_jobs
	end_containers || bad=1
	AS=user
	[[ ! -e $T/as_user ]] || end_containers || bad=1
	AS=root
	left=$(grep -rlsF "$ROOM/" "/run/$ENGINE_RUNTIME" | head -n 3)
	[[ -z $left ]] || { echo "the runtime's state is left: $left" >&2; bad=1; }
	left=$(room_enter find /sys/fs/cgroup -type d -path "*$ROOM_CGROUP/*" -name "libpod-*" | head -n 3)
	[[ -z $left ]] || { echo "cgroups left: $left" >&2; bad=1; }
	left=$(grep -F " $ROOM/" /proc/self/mountinfo | grep -v "$ROOM/root/overlay rw" || true)
	[[ -z $left ]] || { echo "mounts left: $left" >&2; bad=1; }
	return $bad
}
end_containers() {
	podman_ pod rm -fa -t 0 >/dev/null 2>&1 || true
	podman_ rm -fa -t 0 >/dev/null 2>&1 || true
	WAIT=10 wait_for no_monitors || { echo "monitors left: $(monitors | cut -c1-200)" >&2; return 1; }
}
end_jobs() {
	local job
	for job in $(jobs -p); do kill "$job" 2>/dev/null || true; done
}
# monitors: the state is in each command line, also the clean-ups' that they start.
monitors() { pgrep -af -- "(monitor|conmon|podman) .*$ROOM/"; }
no_monitors() { ! monitors >/dev/null; }
room_enter() { "$ROOM/bin/enter" "$@"; }

# podman_ ARG…: the room's Podman, or its user's after as_user.
podman_() {
	if [[ $AS == user ]]; then
		timeout --foreground -k 1 "$LIMIT" "$ROOM/bin/user" podman "$@" 3>&-
	else
		timeout --foreground -k 1 "$LIMIT" "$ROOM/bin/podman" "$@" 3>&-
	fi
}
# as_user: from now on it is an ordinary user's Podman. It has no cgroups but systemd's.
as_user() {
	AS=user BASE=(--network none)
	touch "$T/as_user"
	chown berth-it: "$T"
}

# on_tty ARG…: Podman on a terminal of 33 lines and 77 columns, with the caller's stdin.
on_tty() {
	local line=$ROOM/bin/podman
	[[ $AS == root ]] || line="$ROOM/bin/user podman"
	timeout -k 1 30 script -qec "stty rows 33 cols 77; $line$(printf ' %q' "$@"); echo status=\$?" /dev/null 3>&- | tr -d '\r'
}

# run_c ARG…: "podman run --rm ARG…", its output and status in $output and $status.
run_c() { try podman_ run --rm "${BASE[@]}" "$@"; }
# keep_c ARG…: in the foreground as $ID, and kept.
keep_c() { try podman_ run --name "$ID" "${BASE[@]}" "$@"; }
# detach_c ARG…: in the background as $ID, or as $NAME.
detach_c() {
	podman_ run -d --name "${NAME:-$ID}" "${BASE[@]}" "$@" >"$T/detach" 2>&1 </dev/null || {
		cat "$T/detach" >&2
		return 1
	}
}
idle_c() { detach_c "$@" bb sleep 1000; }
exec_c() { try podman_ exec "$ID" "$@"; }

show() { podman_ inspect --format "$1" "${2:-$ID}"; }
is_shown() { [[ $(show "$1" "${3:-$ID}") == "$2" ]]; }
wait_exited() { wait_for is_shown '{{.State.Status}}' exited "${1:-$ID}"; }
logged() { podman_ logs "${1:-$ID}" 2>&1; }
has_logged() { logged "${2:-$ID}" | grep -q -- "$1"; }
is_gone() { ! podman_ container exists "${1:-$ID}"; }
# wait_file NAME: a container that has $T as /t has made a file.
wait_file() { wait_for test -e "$T/$1"; }
on_v2() { [[ -e /sys/fs/cgroup/cgroup.controllers ]]; }
# cgroup_file V1 V2: what the container reads in its own cgroup, as a line for its shell.
cgroup_file() { if on_v2; then echo "cat /sys/fs/cgroup/$2"; else echo "cat /sys/fs/cgroup/$1"; fi; }
