#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Manual pages, against the programs that they are about.

load helpers

pages() { find "$SHARE/man" -type f | sort; }

@test "man: no page has anything that groff or mandoc warns about" {
	needs man man-db
	local page
	for page in $(pages); do
		env MANROFFSEQ='' LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null
	done >warnings
	assert_eq "$(<warnings)" ""
	# shellcheck disable=SC2046
	! command -v mandoc >/dev/null || mandoc -T lint -W error $(pages)
}

@test "man: each page has its sections" {
	local page section
	for page in $(pages); do
		for section in NAME SYNOPSIS DESCRIPTION OPTIONS "EXIT STATUS" FILES "SEE ALSO"; do
			grep -q "^.SH \"$section\"" "$page" || fail "$page has no $section"
		done
	done
}

# commands PROGRAM: as its help lists them.
commands() { "$1" --help | sed -nE '/^commands:/I,/^$/s/^ +([a-z]+)[, ].*/\1/p' | grep -vx help; }

@test "man: each command has a page, with each flag of its help" {
	local program section command flag page
	for program in berth:8 berth-image:1; do
		section=${program#*:} program=${program%:*}
		[[ $(commands "$program" | wc -l) -gt 15 ]]
		for command in $(commands "$program"); do
			page=$SHARE/man/man$section/$program-$command.$section
			[[ -e $page ]] || fail "no $page"
			for flag in $("$program" "$command" --help | sed '/^global options/,$d' | grep -oE '^ +(-[a-zA-Z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+'); do
				grep -qF -- "${flag//-/\\-}" "$page" || fail "$page has no $flag"
			done
		done
	done
}

@test "man: pages that a page refers to exist, if they are ours" {
	local name
	for name in $(pages | xargs grep -h '^.BR berth' | sed -E 's/^.BR ([^ ]+) \(([18])\).*/\1.\2/; s/\\//g' | sort -u); do
		[[ -e $SHARE/man/man${name##*.}/$name ]] || fail "no $name"
	done
}

@test "man: berth(8) reads as a page" {
	needs man man-db
	try env MANWIDTH=1000 man -l "$SHARE/man/man8/berth.8"
	assert_ok
	assert_has "berth - run containers from OCI bundles"
	assert_has "berth compiles the container"
}
