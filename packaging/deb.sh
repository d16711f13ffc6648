#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes out/berth_VERSION_ARCH.deb of what `make build` has made, with dpkg-deb alone.
# The same programs give the same package, byte for byte: times are those of
# $SOURCE_DATE_EPOCH, by default the last commit's.
#
#   VERSION=0.1.0 packaging/deb.sh
#   DEB_COMPRESSION=gzip, for a package in a hurry; DEB_MAINTAINER="NAME <ADDRESS>"
set -euo pipefail
cd "$(dirname "$0")/.."
version=${VERSION:?"VERSION of the package"}
maintainer=${DEB_MAINTAINER:-Berth maintainers <maintainers@berth.example>}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y bin/berth)}
export SOURCE_DATE_EPOCH
# The programs', which need not be this machine's.
case $(readelf -h bin/berth | sed -n 's/.*Machine: *//p') in
*X86-64*) arch=amd64 ;;
*AArch64*) arch=arm64 ;;
*)
	echo "deb.sh: bin/berth is for no architecture that Debian has a name for" >&2
	exit 1
	;;
esac
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
umask 022

# compress FILE…: without the time and name that gzip would keep.
compress() { gzip -9n "$@"; }

changelog() {
	cat <<-END
		berth ($version) unstable; urgency=medium

		  * Version $version; the history is in git.

		 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
	END
}

# copyright: with the modules that are linked, as the programs themselves have them.
copyright() {
	sed '/^@MODULES@/,$d' packaging/debian/copyright
	go version -m bin/* | awk '$1 == "dep" { print " " $2 " " $3 }' | LC_ALL=C sort -u
}

control() {
	sed -e "s|@VERSION@|$version|; s|@ARCH@|$arch|; s|@MAINTAINER@|$maintainer|" \
		-e "s|@SIZE@|$(du -k -s --apparent-size "$tree" | cut -f1)|" packaging/debian/control
}

DESTDIR=$tree PREFIX=/usr ZSHDIR=share/zsh/vendor-completions packaging/install.sh install
doc=$tree/usr/share/doc/berth
rm "$doc/installed"
changelog >"$doc/changelog"
copyright >"$doc/copyright"
find "$tree/usr/share/man" -type f -print0 | xargs -0 gzip -9n
compress "$doc/changelog"
install -D -m 644 packaging/debian/overrides "$tree/usr/share/lintian/overrides/berth"
mkdir "$tree/DEBIAN"
control >"$tree/DEBIAN/control"
echo /etc/apparmor.d/abstractions/berth >"$tree/DEBIAN/conffiles"
(cd "$tree" && find . -path ./DEBIAN -prune -o -type f -printf '%P\n' | grep -v '^etc/' | LC_ALL=C sort | xargs md5sum >DEBIAN/md5sums)
find "$tree" -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +
mkdir -p out
deb=out/berth_${version}_$arch.deb
dpkg-deb --root-owner-group "-Z${DEB_COMPRESSION:-xz}" --build "$tree" "$deb" >/dev/null
echo "built $deb ($(du -h --apparent-size "$deb" | cut -f1))"
