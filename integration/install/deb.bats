#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The Debian package, in a dpkg of its own.

load helpers

setup_file() {
	command -v dpkg-deb >/dev/null || skip "no dpkg here"
	export VERSION=1.2.3 DEB_COMPRESSION=gzip
	"$BATS_TEST_DIRNAME/../../packaging/deb.sh"
}
teardown_file() { rm -f "$BATS_TEST_DIRNAME"/../../out/berth_1.2.3_*.deb; }
deb() { echo "$ROOT"/out/berth_1.2.3_*.deb; }

# dpkg_ ARG…: on a machine below $T/root, which has nothing.
dpkg_() { dpkg --root="$T/root" --force-not-root --log=/dev/null "$@" 2>&1; }

@test "deb: installs without dependencies, and is found to be whole" {
	mkdir -p root/var/lib/dpkg/{info,updates} && touch root/var/lib/dpkg/{status,available}
	try dpkg_ --install "$(deb)"
	assert_ok
	assert_eq "$(root/usr/bin/berth --version | head -n1 | cut -d' ' -f1-2)" "berth version"
	try dpkg_ --verify berth
	assert_output ""
	gzip -t root/usr/share/man/man8/berth.8.gz
	[[ -e root/usr/share/zsh/vendor-completions/_berth ]]
	grep -q '"/usr/bin/berth"' root/usr/share/doc/berth/examples/containers.conf
}

@test "deb: purged, nothing is left" {
	mkdir -p root/var/lib/dpkg/{info,updates} && touch root/var/lib/dpkg/{status,available}
	dpkg_ --install "$(deb)"
	try dpkg_ --purge berth
	assert_ok
	try find root -path root/var/lib/dpkg -prune -o -type f -print
	assert_output ""
	[[ ! -e root/usr ]] || fail "directories are left: $(find root/usr)"
}

@test "deb: says what it is, and depends on nothing" {
	try dpkg-deb --field "$(deb)"
	assert_has "Version: 1.2.3"
	[[ $output != *Depends:* ]]
	assert_has "Recommends: uidmap"
	assert_eq "$(dpkg-deb --contents "$(deb)" | awk '$2 != "root/root"')" ""
}

@test "deb: the same programs give the same bytes" {
	local first
	first=$(sha256sum <"$(deb)")
	TZ=Asia/Tokyo LC_ALL=C "$ROOT/packaging/deb.sh"
	assert_eq "$(sha256sum <"$(deb)")" "$first"
}

@test "deb: lintian finds no error" {
	needs lintian lintian
	try lintian --allow-root --fail-on error,warning "$(deb)"
	assert_ok
}
