#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes the root file systems that the engines' images are imported from, and
# prints the path of the tar. Nothing comes from an image registry.
#
#   rootfs.sh busybox              Debian's static busybox with all its applets
#   rootfs.sh debian [PACKAGE…]    a minimal Debian, with packages
#
# They are kept in $BERTH_ENGINES_CACHE (/var/cache/berth-engines).
set -euo pipefail
cache=${BERTH_ENGINES_CACHE:-/var/cache/berth-engines}
mkdir -p "$cache"

# put_busybox DIR
put_busybox() {
	mkdir -p "$1"/{bin,tmp,etc,proc,sys,dev,root,var,www}
	chmod 1777 "$1/tmp"
	cp "$(command -v busybox)" "$1/bin/busybox"
	busybox --list | grep -vx busybox | while read -r applet; do ln -s busybox "$1/bin/$applet"; done
	printf 'root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n' >"$1/etc/passwd"
	printf 'root:x:0:\nuser:x:1000:\n' >"$1/etc/group"
}

# put NAME MAKER…: the tar appears whole, also when two make it at a time.
name=${1:?"usage: rootfs.sh busybox | debian [PACKAGE…]"}
shift
packages=$(printf '%s\n' "$@" | sort | paste -sd,)
tar=$cache/$name${packages:+-$(md5sum <<<"$packages" | cut -c1-8)}.tar
if [[ ! -e $tar ]]; then
	new=$(mktemp -d "$cache/.new-XXXX")
	trap 'rm -rf "$new"' EXIT
	case $name in
	busybox)
		put_busybox "$new/root"
		tar -C "$new/root" --numeric-owner --owner 0 --group 0 -cf "$new/tar" .
		;;
	debian)
		mmdebstrap --quiet --variant=minbase ${packages:+--include="$packages"} --dpkgopt='path-exclude=/usr/share/doc/*' \
			--dpkgopt='path-exclude=/usr/share/man/*' "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$new/tar.tar" >&2
		mv "$new/tar.tar" "$new/tar"
		;;
	*)
		echo "rootfs.sh: what is $name?" >&2
		exit 2
		;;
	esac
	mv "$new/tar" "$tar"
fi
echo "$tar"
