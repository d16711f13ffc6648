# SPDX-License-Identifier: Apache-2.0
# A containerd of our own: root, state and sockets below the suite's directory,
# our shim first in its PATH. Nothing of the machine's containerd is touched.

BUSYBOX_APPLETS="sh sleep cat echo ls id head tail true false mkdir rm touch ps kill tty stty dd wc yes sync seq usleep setsid tr md5sum"

setup_suite() {
	local applet
	here=$(dirname "${BASH_SOURCE[0]}")
	BIN=$(realpath "$here/../../bin")
	export BIN
	export CD=$BATS_SUITE_TMPDIR/cd SUITE_CGROUP=/berth-shim-it
	mkdir -p "$CD/rootfs/bin" "$CD/rootfs/tmp" "$CD/rootfs/proc"
	cp "$(command -v busybox)" "$CD/rootfs/bin/busybox"
	for applet in $BUSYBOX_APPLETS; do ln -s busybox "$CD/rootfs/bin/$applet"; done
	# Under the type of runc too: ctr gives options for no other.
	mkdir "$CD/bin"
	ln -s "$BIN/containerd-shim-berth-v2" "$CD/bin/containerd-shim-runc-v2"
	cat >"$CD/config.toml" <<-EOF
		version = 2
		root = "$CD/root"
		state = "$CD/state"
		disabled_plugins = ["io.containerd.grpc.v1.cri","io.containerd.snapshotter.v1.btrfs","io.containerd.snapshotter.v1.zfs","io.containerd.snapshotter.v1.devmapper","io.containerd.snapshotter.v1.aufs","io.containerd.internal.v1.opt"]
		[grpc]
		  address = "$CD/c.sock"
		[ttrpc]
		  address = "$CD/c.sock.ttrpc"
	EOF
	source "$here/containerd.bash"
	start_containerd
}

teardown_suite() {
	source "$(dirname "${BASH_SOURCE[0]}")/containerd.bash"
	local id dir
	for id in $(ctr_ container ls -q); do ctr_ task rm -f "$id" >/dev/null 2>&1; ctr_ container rm "$id" >/dev/null 2>&1; done
	stop_containerd
	for dir in /sys/fs/cgroup/*"$SUITE_CGROUP" /sys/fs/cgroup"$SUITE_CGROUP"; do
		[[ ! -d $dir ]] || find "$dir" -depth -type d -exec rmdir {} \; 2>/dev/null
	done
	return 0
}
