# SPDX-License-Identifier: Apache-2.0
# The outer container: a Debian with engines, whose runtime is always Berth; what is
# compared is the runtime outside.

source "$(dirname "${BASH_SOURCE[0]}")/../podman/room.bash"

# outer_rootfs: $ROOM/rootfs, with the configuration that docs/podman.md shows.
outer_rootfs() {
	local etc=$ROOM/rootfs/etc/containers
	mkdir -p "$etc"
	tar -C "$ROOM/rootfs" --numeric-owner -xf "$("$ENGINES/rootfs.sh" debian podman uidmap iptables docker.io)"
	sed -e '/^\[containers\]/a default_ulimits = ["nofile=1024:1024", "nproc=4000:4000"]' \
		-e '/^\[engine\]/a cgroup_manager = "cgroupfs"\nevents_logger = "file"' "$PODMAN_DIR/containers.conf" >"$etc/containers.conf"
	# No overlay on an overlay.
	printf '[storage]\ndriver = "vfs"\ngraphroot = "/var/lib/containers/storage"\nrunroot = "/run/containers/storage"\n' >"$etc/storage.conf"
	chroot "$ROOM/rootfs" useradd --create-home user
	echo user:100000:65536 | tee "$ROOM/rootfs/etc/subuid" >"$ROOM/rootfs/etc/subgid"
}

# run_outer NAME OPTION…: it idles, and has a busybox as the image bb.
run_outer() {
	local name=$1
	shift
	# /run is of memory, so that engines find no state of a life before
	"$ROOM/bin/podman" run -d --name "$name" --network none --cgroup-parent "$ROOM_CGROUP" -v "$BIN:/usr/local/bin:ro" \
		-v "$("$ENGINES/rootfs.sh" busybox):/bb.tar:ro" --tmpfs /run --tmpfs /tmp "$@" --rootfs "${OUTER_ROOTFS:-$ROOM/rootfs}:O" sleep 100000 >/dev/null </dev/null 3>&- &&
		"$ROOM/bin/podman" exec "$name" podman import -q --change 'ENV PATH=/bin' /bb.tar bb >/dev/null 3>&-
}
