# SPDX-License-Identifier: Apache-2.0
# Rooms for engines: a daemon with a root, a state, sockets, cgroups and a
# network namespace of its own, and the images that its cases are made of.
#
#   ENGINE_RUNTIME=berth|runc|crun    what the engine runs containers with; berth
#   BERTH_ENGINES_CACHE=DIR           where root file systems are kept between runs

ENGINES=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
BIN=$(realpath "$ENGINES/../../bin")
ENGINE_RUNTIME=${ENGINE_RUNTIME:-berth}
export ENGINES BIN ENGINE_RUNTIME
source "$ENGINES/../cases.bash"

# ours: Berth is what the engine runs.
ours() { [[ $ENGINE_RUNTIME == berth ]]; }

# runtime_path [NAME]: the program, absolute.
runtime_path() {
	local name=${1:-$ENGINE_RUNTIME}
	if [[ $name == berth ]]; then echo "$BIN/berth"; else command -v "$name"; fi
}

# make_room NAME: $ROOM is a directory of its own with a short path (sockets have
# 107 bytes), $ROOM_NETNS a network namespace with its loopback up, $ROOM_CGROUP
# a path below each hierarchy's root. For setup_suite or setup_file; leave_room
# ends it.
make_room() {
	use_room "$(mktemp -d "/tmp/be-$1.XXXX")"
	chmod 711 "$ROOM"
	ip netns add "$ROOM_NETNS"
	in_room ip link set lo up
}

# use_room DIR: one that is there. All that is below it will be unmounted and
# removed, so another directory is refused.
use_room() {
	ROOM=$(realpath -e -- "$1") || return
	[[ ${ROOM##*/} =~ ^be-[a-z-]+\.[[:alnum:]]{4}$ ]] || {
		echo "$1 is no room of these scripts (be-NAME.XXXX)" >&2
		return 1
	}
	ROOM_NETNS=${ROOM##*/} ROOM_CGROUP=/${ROOM##*/}
	export ROOM ROOM_NETNS ROOM_CGROUP
}

# in_room COMMAND…: in the room's network namespace. `ip netns exec` would put a
# sysfs over /sys, without cgroups.
in_room() { nsenter --net="/run/netns/$ROOM_NETNS" -- "$@"; }

# keep_mounts [COMMAND…]: one mount namespace for all daemons of the room, which
# stays when they end; the command makes what mounts it shall have. It is held by
# a mount, which has to lie on one that nobody else sees.
keep_mounts() {
	mkdir "$ROOM/ns"
	mount -t tmpfs room "$ROOM/ns"
	mount --make-private "$ROOM/ns"
	touch "$ROOM/ns/mnt"
	unshare --mount="$ROOM/ns/mnt" --propagation slave -- "${@:-true}"
}

# start_daemon NAME COMMAND…: in the room and a mount namespace of its own (ours
# sees the mounts of the machine, not the reverse), or the one that is kept; log in
# $ROOM/NAME.log.
start_daemon() {
	local name=$1 mounts=(unshare --mount --propagation slave)
	shift
	[[ ! -e $ROOM/ns/mnt ]] || mounts=(nsenter --mount="$ROOM/ns/mnt")
	# no function: $! would be a shell's
	nsenter --net="/run/netns/$ROOM_NETNS" -- "${mounts[@]}" -- setsid "$@" >>"$ROOM/$name.log" 2>&1 </dev/null 3>&- &
	echo $! >"$ROOM/$name.daemon"
}
daemon_pid() { cat "$ROOM/$1.daemon"; }
# stop_daemon NAME [SIGNAL]: and waits for its end, ten seconds, then kills it.
stop_daemon() {
	local pid
	[[ -e $ROOM/$1.daemon ]] || return 0
	pid=$(daemon_pid "$1")
	kill "-${2:-TERM}" "$pid" 2>/dev/null || true
	WAIT=10 wait_for ended "$pid" || kill -KILL "$pid" 2>/dev/null
	rm -f "$ROOM/$1.daemon"
}
# ended PID: it is gone, or waits for its parent only.
ended() { [[ ! -e /proc/$1 ]] || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }

# leave_room: removes what the room was made of; what its cases left is their fault.
leave_room() {
	local dir daemon
	for daemon in "$ROOM"/*.daemon; do
		[[ ! -e $daemon ]] || { daemon=${daemon##*/} && stop_daemon "${daemon%.daemon}"; }
	done
	for dir in /sys/fs/cgroup/*"$ROOM_CGROUP" /sys/fs/cgroup"$ROOM_CGROUP"; do
		[[ ! -d $dir ]] || find "$dir" -depth -type d -exec rmdir {} \; 2>/dev/null
	done
	awk -v r="$ROOM/" 'index($5, r) == 1 { print $5 }' /proc/self/mountinfo | tac | xargs -r -n1 umount -l
	ip netns del "$ROOM_NETNS" 2>/dev/null
	rm -rf "$ROOM"
}

# census: what a room has at this moment, for comparing before and after: shims and
# monitors, mounts, cgroups, namespaces of the network, sockets; a number a line.
census() {
	echo "processes $(pgrep -fc -- "$ROOM" || true)"
	echo "mounts $(grep -c " $ROOM" /proc/self/mountinfo || true)"
	echo "cgroups $(find /sys/fs/cgroup -type d -path "*$ROOM_CGROUP*" 2>/dev/null | wc -l)"
	echo "netns $(lsns -n -t net -o NS 2>/dev/null | wc -l)"
	echo "sockets $(find "$ROOM" -type s 2>/dev/null | wc -l)"
	echo "abstract $(grep -cE '@.*containerd-shim' /proc/net/unix || true)"
}
