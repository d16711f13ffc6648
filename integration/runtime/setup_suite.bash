# SPDX-License-Identifier: Apache-2.0
# Done once for all files: the root filesystem that tests copy by hard links,
# the socket helper, the unprivileged user. See helpers.bash for the rest.

BUSYBOX_APPLETS="sh sleep cat echo ls id env mount umount stat head tail grep true false
mkdir rmdir rm touch ln hostname ps kill tty stty readlink realpath pwd awk chmod chown wc sort
ip nc chrt ionice taskset uname mknod dd date nproc find seq tr cut sed printf mountpoint
nsenter unshare od mv cp setsid setpriv df sync timeout"

make_rootfs() {
	local rootfs=$1 busybox applet
	busybox=$(command -v busybox)
	mkdir -p "$rootfs"/bin "$rootfs"/etc "$rootfs"/root "$rootfs"/home/user "$rootfs"/tmp
	chmod 1777 "$rootfs/tmp"
	cp "$busybox" "$rootfs/bin/busybox"
	for applet in $BUSYBOX_APPLETS; do
		ln -s busybox "$rootfs/bin/$applet"
	done
	cp "$BATS_SUITE_TMPDIR/recvtty" "$rootfs/bin/recvtty"
	printf 'root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n' >"$rootfs/etc/passwd"
	printf 'root:x:0:\nuser:x:1000:\nextra:x:2000:user\n' >"$rootfs/etc/group"
}

# The user for rootless tests, with 65536 subordinate ids.
make_user() {
	id berth-it >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin berth-it
	grep -q '^berth-it:' /etc/subuid 2>/dev/null || echo berth-it:700000:65536 >>/etc/subuid
	grep -q '^berth-it:' /etc/subgid 2>/dev/null || echo berth-it:700000:65536 >>/etc/subgid
}

setup_suite() {
	local here
	here=$(dirname "${BASH_SOURCE[0]}")
	RUNTIME=$(realpath -m "${RUNTIME:-$here/../../bin/berth}")
	[[ -x $RUNTIME ]] || {
		echo "no runtime at $RUNTIME: build it, or set RUNTIME=" >&2
		return 1
	}
	# rootless tests run below our directories as another user
	chmod 711 "$BATS_RUN_TMPDIR" "$BATS_SUITE_TMPDIR"
	(cd "$here/.." && CGO_ENABLED=0 go build -o "$BATS_SUITE_TMPDIR/recvtty" ./recvtty)
	make_rootfs "$BATS_SUITE_TMPDIR/rootfs"
	make_user
	export RUNTIME
	export RECVTTY=$BATS_SUITE_TMPDIR/recvtty
	export ROOTFS_TEMPLATE=$BATS_SUITE_TMPDIR/rootfs
	RT_VERSION=$("$RUNTIME" --version | sed -n '1s/.*version *//p')
	export RT_VERSION
}

teardown_suite() {
	local d
	for d in /sys/fs/cgroup/*/berth-it /sys/fs/cgroup/berth-it "${BERTH_IT_HUGETLB:-/nonexistent}"/berth-it; do
		[[ ! -d $d ]] || rmdir "$d" 2>/dev/null || true # another suite may run
	done
	return 0
}
