# SPDX-License-Identifier: Apache-2.0
# A dockerd of our own, with a containerd of its own.
#
#   ENGINE_SHIM=berth    containerd finds our shim also under the name of runc's
#   ENGINE_DOCKER=DIR    dockerd, docker, docker-init, docker-proxy and containerd
#                        from there, not Debian's

DOCKER_SUITE=$(dirname "${BASH_SOURCE[0]}")
source "$DOCKER_SUITE/../engines.bash"
export ENGINE_SHIM=${ENGINE_SHIM:-} ENGINE_DOCKER=${ENGINE_DOCKER:-}

# make_docker_room NAME: a room with a mount namespace that outlives the daemon, as
# that of a machine does. In it nobody else's containerd and /etc/docker are seen.
make_docker_room() {
	make_room "$1"
	nsenter --net="/run/netns/$ROOM_NETNS" -- unshare --mount --propagation slave -- sleep infinity >/dev/null 2>&1 </dev/null 3>&- &
	echo $! >"$ROOM/mounts.daemon"
	wait_for in_new_mounts "$(daemon_pid mounts)"
	mkdir -p "$ROOM/bin" "$ROOM/cli"
	in_machine sh -ec '
		mount --make-rshared /
		for dir in /run/containerd /run/docker /etc/docker; do mkdir -p "$dir"; mount -t tmpfs berth "$dir"; done
		# crun refuses a hybrid hierarchy while a controller is left to v2
		[ ! -d /sys/fs/cgroup/unified ] || mountpoint -q /sys/fs/cgroup/hugetlb || {
			mount -t tmpfs berth /mnt
			mkdir /mnt/hugetlb
			mount -t cgroup -o hugetlb hugetlb /mnt/hugetlb
		}'
	ln -s "$BIN/containerd-shim-berth-v2" "$ROOM/bin"
	[[ $ENGINE_SHIM != berth ]] || ln -s "$BIN/containerd-shim-berth-v2" "$ROOM/bin/containerd-shim-runc-v2"
}
in_new_mounts() { [[ $(readlink "/proc/$1/ns/mnt") != $(readlink /proc/self/ns/mnt) && $(<"/proc/$1/comm") == sleep ]]; }

# in_machine COMMAND…: where the daemon is. Not for what stays: $! would be a shell's.
in_machine() { nsenter --target "$(daemon_pid mounts)" --mount --net -- "$@"; }

# configure [JQ]: the user's daemon.json with this room's paths, and changes.
configure() {
	local crun
	crun=$(command -v crun || true)
	jq --arg room "$ROOM" --arg cgroup "$ROOM_CGROUP" --arg bin "$BIN" --arg crun "$crun" --arg runtime "$ENGINE_RUNTIME" '
		.runtimes.berth.path = $bin + "/berth"
		| if $crun == "" then . else .runtimes.crun = { path: $crun } end
		| ."default-runtime" = $runtime
		| . + { "data-root": ($room + "/data"), "exec-root": ($room + "/run"), pidfile: ($room + "/dockerd.pid"),
			hosts: ["unix://" + $room + "/docker.sock"], "cgroup-parent": $cgroup, bip: "10.199.0.1/24" }
		| '"${1:-.}" "$DOCKER_SUITE/daemon.json" >"$ROOM/daemon.json"
}

# start_docker [FLAG…]
start_docker() {
	local file
	# A killed daemon may wait for an init that reaps late; for dockerd it runs then.
	for file in "$ROOM/dockerd.pid" "$ROOM/run/containerd/containerd.pid"; do
		[[ ! -e $file ]] || ! ended "$(<"$file")" || rm "$file"
	done
	PATH=$ROOM/bin:${ENGINE_DOCKER:+$ENGINE_DOCKER:}$PATH \
		nsenter --target "$(daemon_pid mounts)" --mount --net -- setsid dockerd --config-file "$ROOM/daemon.json" "$@" \
		>>"$ROOM/dockerd.log" 2>&1 </dev/null 3>&- &
	echo $! >"$ROOM/dockerd.daemon"
	WAIT=20 wait_for docker_ version || {
		tail -n 5 "$ROOM/dockerd.log" >&2
		return 1
	}
}

# docker_ ARG…: the client, as a user has it.
docker_() {
	DOCKER_CONFIG=$ROOM/cli timeout --foreground -k 1 "${LIMIT:-40}" "$(client)" -H "unix://$ROOM/docker.sock" "$@" 3>&-
}
# old: it is a dockerd of Debian 12.
old() { [[ $(docker_ version -f '{{.Server.Version}}') == 20.10.* ]]; }
client() { PATH=${ENGINE_DOCKER:-/usr/bin}:$PATH command -v docker; }

# never COMMAND…: it fails. A "!" does not end a case.
never() { ! "$@"; }

# containerd_pid: of the one that dockerd has started.
containerd_pid() { cat "$ROOM/run/containerd/containerd.pid"; }

# load_busybox: bb is an image of Debian's busybox.
load_busybox() { docker_ import --change 'CMD ["sh"]' "$("$ENGINES/rootfs.sh" busybox)" bb >/dev/null; }

# load_debian: deb is one of a minimal Debian.
load_debian() { docker_ image inspect deb >/dev/null 2>&1 || docker_ import "$("$ENGINES/rootfs.sh" debian)" deb >/dev/null; }

# load_example: the base of the images of ../compose/app.
load_example() { docker_ import "$("$ENGINES/rootfs.sh" debian redis-server python3)" berth-example-debian >/dev/null; }

# end_docker_room: also what live restore would keep, or a daemon that is gone.
end_docker_room() {
	docker_ ps -aq | xargs -r "$(client)" -H "unix://$ROOM/docker.sock" rm -fv >/dev/null || true
	{
		pgrep -f -- "containerd-shim.*$ROOM/"
		find /sys/fs/cgroup/*"$ROOM_CGROUP" /sys/fs/cgroup"$ROOM_CGROUP" -name cgroup.procs -exec cat {} + 2>/dev/null
	} | sort -u | xargs -r kill -KILL 2>/dev/null || true
	leave_room
}
