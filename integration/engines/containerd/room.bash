# SPDX-License-Identifier: Apache-2.0
# A containerd in a room, with the CRI plugin, pod networks by CNI and images.
#
#   ENGINE_CONTAINERD=1.7|2.0|…    one that fetch.sh builds; otherwise the machine's

source "$(dirname "${BASH_SOURCE[0]}")/../engines.bash"
HERE=$ENGINES/containerd

# in_cd COMMAND…: with the daemon's network and mounts. These stay when it is
# killed; what is below /run/containerd and /var/lib/cni there is the room's.
in_cd() { nsenter --net="/run/netns/$ROOM_NETNS" --mount="$ROOM/ns/mnt" -- "$@"; }

make_containerd_room() {
	local programs=
	[[ -z ${ENGINE_CONTAINERD:-} ]] || programs=$("$HERE/fetch.sh" "$ENGINE_CONTAINERD")
	make_room cd
	export CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1
	export PATH=${programs:+$programs:}$BIN:$PATH CRI_SOCKET=$ROOM/c.sock CONTAINERD_ADDRESS=$ROOM/c.sock
	CD_VERSION=$(containerd --version | grep -oE '\bv?[0-9]+\.[0-9]+\.[0-9]+' | head -n1)
	export CD_VERSION=${CD_VERSION#v}
	mkdir "$ROOM"/{run,cni,net.d,ipam,shared,hugetlb}
	keep_mounts bash -c "$(declare -f room_mounts); room_mounts"
	sed "s|@ROOM@|$ROOM|" "$HERE/berth.toml" >"$ROOM/berth.toml"
	sed "s|@ROOM@|$ROOM|" "$HERE/net.conflist" >"$ROOM/net.d/10-pods.conflist"
	local config=config-v2.toml
	cd_older 2.0 || config=config-v3.toml
	sed "s|@ROOM@|$ROOM|; s|@RUNTIME@|$ENGINE_RUNTIME|; s|@BIN@|$BIN|" "$HERE/$config" >"$ROOM/config.toml"
	! cd_older 2.1 || sed -i 's|bin_dirs = \[\("[^"]*"\)\].*|bin_dir = \1|' "$ROOM/config.toml"
	GOFLAGS='' GOEXPERIMENT='' CGO_ENABLED=0 go build -C "$ENGINES/../../tests/criclient" -trimpath -o "$ROOM/criclient" .
}

# room_mounts: /run/containerd has the shims' sockets and the runtimes' states.
# What is below shared can be mounted on from both sides. crun refuses a hybrid
# hierarchy while a controller is left to v2, and hugetlb is one that nobody mounts.
room_mounts() {
	mkdir -p /run/containerd /var/lib/cni
	mount --bind "$ROOM/run" /run/containerd
	mount --bind "$ROOM/cni" /var/lib/cni
	mount --bind "$ROOM/shared" "$ROOM/shared"
	mount --make-shared "$ROOM/shared"
	if [[ -d /sys/fs/cgroup/unified ]] && ! mountpoint -q /sys/fs/cgroup/hugetlb; then
		mount -t tmpfs room "$ROOM/hugetlb"
		mkdir "$ROOM/hugetlb/hugetlb"
		mount -t cgroup -o hugetlb hugetlb "$ROOM/hugetlb/hugetlb"
	fi
}

# cd_older VERSION: than that.
cd_older() { [[ $1 != "$CD_VERSION" && $(printf '%s\n' "$1" "$CD_VERSION" | sort -V | head -n1) == "$CD_VERSION" ]]; }

start_containerd() {
	start_daemon containerd containerd --config "$ROOM/config.toml"
	WAIT=20 wait_for cri_ready || {
		tail -n 5 "$ROOM/containerd.log" >&2
		return 1
	}
}
cri_ready() { cri Status | jq -c '[.status.conditions[] | select(.type | test("^(Runtime|Network)Ready$")) | .status]' | grep -qF '[true,true]'; }

load_images() {
	local name
	for name in busybox pause; do
		"$HERE/images.sh" "$name" "$ROOM/$name.tar"
		in_cd ctr -n k8s.io images import "$ROOM/$name.tar" >/dev/null
	done
	in_cd ctr images import "$ROOM/busybox.tar" >/dev/null
}

# cri METHOD|execsync|exec|attach …: a call of the CRI plugin.
cri() { timeout --foreground -k 1 60 nsenter --net="/run/netns/$ROOM_NETNS" "$ROOM/criclient" "$@" 3>&-; }
ctr_() { timeout --foreground -k 1 30 nsenter --net="/run/netns/$ROOM_NETNS" --mount="$ROOM/ns/mnt" -- ctr "$@" 3>&-; }

# remove_all NAMESPACE: its tasks and containers.
remove_all() {
	local id bad=0
	for id in $(ctr_ -n "$1" containers ls -q); do
		ctr_ -n "$1" tasks rm -f "$id" >/dev/null 2>&1 || true
		ctr_ -n "$1" containers rm "$id" || bad=1
	done
	return $bad
}

# end_containerd_room: what still runs in it is ended first.
end_containerd_room() {
	local id
	for id in $(cri ListPodSandbox | jq -r '.items[].id'); do
		cri StopPodSandbox "{\"pod_sandbox_id\": \"$id\"}" >/dev/null
		cri RemovePodSandbox "{\"pod_sandbox_id\": \"$id\"}" >/dev/null
	done
	remove_all k8s.io
	remove_all default
	stop_daemon containerd
	# Killed in the middle of a create, containerd forgets a shim.
	for id in $(pgrep -f "containerd-shim-[a-z]*-v2 .* -address $ROOM/"); do kill -9 "$id"; done
	leave_room
}
