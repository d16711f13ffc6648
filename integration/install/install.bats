#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

@test "install: programs, manual pages, completions, examples, profiles where they belong" {
	local file
	for file in bin/berth bin/berth-image bin/berth-monitor bin/containerd-shim-berth-v2 \
		share/man/man8/berth.8 share/man/man8/berth-create.8 share/man/man1/berth-image.1 \
		share/man/man8/berth-monitor.8 share/man/man8/containerd-shim-berth-v2.8 \
		share/bash-completion/completions/berth share/zsh/site-functions/_berth share/fish/vendor_completions.d/berth.fish \
		share/bash-completion/completions/berth-image share/zsh/site-functions/_berth-image share/fish/vendor_completions.d/berth-image.fish \
		share/doc/berth/README.md share/doc/berth/docs/troubleshooting.md share/doc/berth/examples/containers.conf \
		share/apparmor/extra-profiles/berth ../etc/apparmor.d/abstractions/berth; do
		[[ -s $TREE/opt/$file ]] || fail "no $file"
	done
	[[ -x $TREE/opt/bin/berth && ! -x $SHARE/man/man8/berth.8 ]]
}

@test "install: what is installed runs" {
	try berth --version
	assert_ok
	assert_has "berth version"
}

@test "install: links of the documentation lead somewhere" {
	local page link
	cd "$SHARE/doc/berth"
	for page in *.md docs/*.md; do
		while read -r link; do
			[[ -e $(dirname "$page")/$link ]] || fail "$page links to $link"
		done < <(grep -oP '\]\(\K(?!https?:|#)[^)#]+' "$page")
	done
}

@test "install: examples and profiles name the programs of PREFIX" {
	try grep -rh --include='*' /bin/berth "$SHARE/doc/berth/examples" "$SHARE/apparmor"
	assert_has '"/opt/bin/berth-monitor"'
	[[ $output != */usr/* ]] || fail "names another prefix"
}

@test "install: builds nothing and needs no Go when all is built" {
	try env -i PATH=/usr/bin:/bin GOFLAGS=-mod=broken make --no-print-directory -C "$ROOT" install DESTDIR="$T/tree"
	assert_ok
	[[ $output != *built* && -x $T/tree/usr/local/bin/berth ]]
}

@test "install: twice is as once" {
	make_ install DESTDIR="$T/a" PREFIX=/usr
	cp -a "$T/a" "$T/b"
	make_ install DESTDIR="$T/a" PREFIX=/usr
	diff -r "$T/a" "$T/b"
}

@test "uninstall: takes all away, and nothing of others" {
	make_ install DESTDIR="$T/a"
	touch "$T/a/usr/local/bin/other" "$T/a/usr/local/share/man/man8/other.8"
	make_ uninstall DESTDIR="$T/a"
	assert_eq "$(find a -type f | LC_ALL=C sort)" $'a/usr/local/bin/other\na/usr/local/share/man/man8/other.8'
	[[ ! -e a/usr/local/share/doc/berth ]]
}

@test "uninstall: says when there is nothing" {
	try make_ uninstall DESTDIR="$T/empty"
	assert_fails "nothing is installed"
}

@test "help: each program names itself and exits with 0" {
	local name
	for name in berth berth-image berth-monitor containerd-shim-berth-v2; do
		try "$name" --help
		assert_ok
		assert_has "$name"
	done
}

# parse FILE…: as for this machine's AppArmor, with our abstraction.
parse() {
	mkdir apparmor.d
	cp -r /etc/apparmor.d/{abi,tunables,abstractions} apparmor.d/
	cp "$TREE/etc/apparmor.d/abstractions/berth" apparmor.d/abstractions/
	try apparmor_parser --base apparmor.d --skip-kernel-load --skip-cache "$@"
	assert_ok
}

@test "apparmor: the abstraction is one" {
	needs apparmor_parser apparmor
	printf '%s\n' 'include <tunables/global>' 'profile test {' ' include <abstractions/berth>' '}' >test
	parse test
}

@test "apparmor: the profiles parse" {
	needs apparmor_parser apparmor
	[[ -e /etc/apparmor.d/abi/4.0 ]] || skip "AppArmor 4 brought the rule userns"
	parse "$SHARE"/apparmor/extra-profiles/*
}
