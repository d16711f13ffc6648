#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the system that tests/vm/run.sh boots, or finds it built, and prints
# its directory: root.ext4, and vmlinuz-K and initrd-K for each kernel K.
#
#   tests/vm/image.sh            builds at need; as root
#   tests/vm/image.sh --check    only says what this machine lacks for it
#
# Packages come from the mirror in this machine's apt configuration, or from
# $BERTH_VM_MIRROR. Images stay in $BERTH_VM_CACHE (~/.cache/berth-vm); they
# have no version but a hash of what is written here and in guest/.
set -euo pipefail
PATH=$PATH:/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin
here=$(dirname "$(realpath "$0")")
cache=${BERTH_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/berth-vm}

# The cloud flavour has AppArmor, BPF and every controller of cgroup v2, at a
# quarter of the generic one's size. 6.12 is in backports; it has neither memory
# nor cpuset for cgroup v1, 6.1 has both.
suite=bookworm
kernels=(6.1 6.12)
packages="
systemd systemd-sysv udev dbus dbus-user-session libpam-systemd apparmor kmod procps mount e2fsprogs
bats jq busybox-static runc crun uidmap iproute2 util-linux passwd strace attr acl libcap2-bin bsdextrautils
parallel
podman buildah conmon netavark aardvark-dns catatonit fuse-overlayfs slirp4netns iptables socat curl
"
# What takes time to boot, or would do something while a test runs.
masked="
getty.target systemd-networkd.service systemd-timesyncd.service systemd-logind-varlink.socket
systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-journal-flush.service
systemd-random-seed.service systemd-hwdb-update.service systemd-pstore.service ldconfig.service
systemd-binfmt.service apparmor.service e2scrub_all.timer e2scrub_reap.service fstrim.timer dpkg-db-backup.timer
apt-daily.timer apt-daily-upgrade.timer systemd-tmpfiles-clean.timer
"

fail() {
	echo "vm: $*" >&2
	exit 1
}

# probe and package, one need a line; tests/setup/packages.sh installs them.
missing() {
	local probe package
	while read -r probe package; do
		command -v "$probe" >/dev/null || echo "$package"
	done <<-'END'
		qemu-system-x86_64 qemu-system-x86
		mmdebstrap mmdebstrap
		mke2fs e2fsprogs
		go golang-go
	END
}

check_tools() {
	local list
	mapfile -t list < <(missing)
	((${#list[@]} == 0)) || fail "the second kernel needs packages that are not here: ${list[*]}"
}

# mirror SUITE: the address that this machine's apt has for it.
mirror() {
	# shellcheck disable=SC2016 # apt expands them
	apt-get indextargets --format '$(RELEASE) $(REPO_URI) $(COMPONENT)' 'Identifier: Packages' |
		awk -v suite="$1" '$1 == suite && $3 == "main" { print $2; exit }'
}

# sources: one line of apt's for each suite.
sources() {
	local main security
	main=${BERTH_VM_MIRROR:-$(mirror $suite)}
	# Before its first update apt does not tell.
	[[ $main ]] || apt-get -qq update >&2 || true
	main=${main:-$(mirror $suite)}
	[[ $main ]] || fail "apt knows no mirror of Debian $suite here: give one in BERTH_VM_MIRROR"
	echo "deb $main $suite main"
	echo "deb $main $suite-backports main"
	security=$(mirror $suite-security)
	# A newer kernel than the suite's may be there; without it the suite's will do.
	[[ ! $security ]] || echo "deb $security $suite-security main"
}

key() { cat "$here/image.sh" "$here"/guest/{system.sh,init} | sha256sum | cut -c1-16; }

# bootstrap ROOT: the packages, and the kernels' packages as files in /boot.
# Their own installation would pull in what makes initrds of 40 MB.
bootstrap() {
	local proxy='' options=(--variant=essential --mode=root --architectures=amd64 --quiet
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*'
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt=force-unsafe-io)
	eval "$(apt-config shell proxy Acquire::http::Proxy)"
	[[ ! $proxy ]] || options+=(--aptopt="Acquire::http::Proxy \"$proxy\"")
	# shellcheck disable=SC2016 # the hook is mmdebstrap's to expand
	sources | kernels=${kernels[*]} mmdebstrap "${options[@]}" --include="$(xargs <<<"$packages")" \
		--customize-hook='export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; cd "$1/boot"
			for k in $kernels; do apt-get -qq -o APT::Sandbox::User=root download "$(
				apt-cache show linux-image-cloud-amd64 |
				sed -n "s/^Depends: \(linux-image-$k\.[^ ]*\).*/\1/p" | sort -V | tail -n1)"; done' \
		$suite "$1" -
}

# add_kernel ROOT K OUT: its modules to the root, OUT/vmlinuz-K and OUT/initrd-K.
add_kernel() {
	local root=$1 release module unpacked
	unpacked=$(mktemp -d "$root/boot/XXXXXX")
	dpkg-deb -x "$root"/boot/linux-image-"$2".*.deb "$unpacked"
	release=$(basename "$unpacked"/boot/vmlinuz-*)
	release=${release#vmlinuz-}
	mv "$unpacked/boot/vmlinuz-$release" "$3/vmlinuz-$2"
	mkdir -p "$root/usr/lib/modules" "$unpacked"/{bin,dev,new}
	mv "$unpacked/lib/modules/$release" "$root/usr/lib/modules/"
	rm -rf "${unpacked:?}"/{lib,boot,usr}
	chroot "$root" depmod "$release"
	# All that is missing for the root file system, in modprobe's order; 6.1 does
	# not compress its modules.
	chroot "$root" modprobe -S "$release" --show-depends -a virtio_pci virtio_blk |
		sed -n 's/^insmod //p' | awk '!seen[$1]++' | while read -r module; do
		cp "$root$module" "$unpacked/"
		module=$unpacked/$(basename "$module")
		[[ $module != *.xz ]] || chroot "$root" busybox unxz "${module#"$root"}"
		basename "$module" .xz
	done >"$unpacked/modules"
	cp "$root/bin/busybox" "$unpacked/bin/"
	install -m 755 "$here/guest/init" "$unpacked/init"
	(cd "$unpacked" && find . | chroot "$root" sh -c "cd ${unpacked#"$root"} && busybox cpio -o -H newc") >"$3/initrd-$2"
	rm -rf "$unpacked"
}

# build OUT
build() {
	local root=$1/root kernel
	bootstrap "$root"
	for kernel in "${kernels[@]}"; do add_kernel "$root" "$kernel" "$1"; done
	rm "$root"/boot/*.deb
	install -m 755 "$here/guest/system.sh" "$root/system.sh"
	# shellcheck disable=SC2086 # one unit a word
	chroot "$root" /system.sh $masked
	rm "$root/system.sh"
	# The space is sparse, the journal for a disk that outlives its machine.
	truncate -s 3G "$1/root.ext4"
	mke2fs -q -t ext4 -O ^has_journal -d "$root" "$1/root.ext4"
	rm -rf "$root"
}

main() {
	local image new status started=$SECONDS
	if [[ ${1:-} == --check ]]; then
		check_tools
		return
	fi
	image=$cache/$(key)
	mkdir -p "$cache"
	exec 9>"$cache/lock"
	flock 9
	if [[ ! -e $image/root.ext4 ]]; then
		[[ ! $(missing) ]] || "$here/../setup/packages.sh" vm >&2
		check_tools
		((EUID == 0)) || fail "building the image takes root"
		new=$(mktemp -d "$cache/new.XXXXXX")
		# shellcheck disable=SC2064 # the directory of now
		trap "rm -rf --one-file-system '$new'" EXIT
		echo "vm: building the image" >&2
		# Not `build ||`: that would switch errexit off inside.
		set +e
		(
			set -e
			build "$new"
		) >"$cache/log" 2>&1
		status=$?
		set -e
		((status == 0)) || {
			tail -n 30 "$cache/log" >&2
			fail "cannot build the image: $cache/log"
		}
		chmod 755 "$new"
		mv "$new" "$image"
		echo "vm: the image took $((SECONDS - started)) s" >&2
	fi
	touch "$image"
	# An older one may be in use by another tree; running machines keep theirs open.
	find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +7 -exec rm -rf --one-file-system {} +
	echo "$image"
}

main "$@"
