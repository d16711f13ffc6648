#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Completions, as a shell asks for them.

load helpers

# complete PROGRAM WORD…: what bash offers for the last word, a line each, sorted.
# Words are split as readline splits them.
complete() {
	bash -c '
		source "$1"
		shift
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		"_${1//-/_}" 2>/dev/null
		printf "%s\n" "${COMPREPLY[@]}" | LC_ALL=C sort
	' bash "$SHARE/bash-completion/completions/$1" "$@"
}
assert_complete() {
	local want=$1
	shift
	output=$(complete "$@")
	[[ $output == "$want" ]] || fail "$*: want $(printf %q "$want")"
}

# containers ID…: in the state root $T/state.
containers() {
	local id
	mkdir -p b/rootfs/bin
	cp "$(command -v busybox)" b/rootfs/bin/sh
	berth spec --bundle b
	jq '.process.terminal = false' b/config.json >b/c && mv b/c b/config.json
	for id; do berth --root "$T/state" create --bundle b "$id" </dev/null >/dev/null 2>&1 3>&-; done
}
teardown() {
	local id
	for id in $(berth --root "$T/state" list -q 2>/dev/null); do berth --root "$T/state" delete --force "$id"; done
}

@test "bash: commands and global flags" {
	assert_complete $'delete' berth del
	assert_complete $'pause\nplan\nps' berth p
	assert_complete $'--root\n--rootless' berth --roo
	assert_complete run berth --debug --root /x ru
}

@test "bash: flags of a command, their values" {
	assert_complete $'--all' berth kill --a
	assert_complete $'--format' berth list --fo
	assert_complete $'json\ntable' berth list --format ''
	assert_complete json berth list --format = js
	assert_complete $'json\ntext' berth plan --format = ''
	assert_complete $'cgroupfs' berth --cgroup-manager cg
}

@test "bash: files and directories" {
	mkdir -p web/x && touch web/file weather
	assert_complete $'web' berth run --bundle we
	assert_complete $'weather\nweb' berth run --pid-file we
	assert_complete $'web/x' berth run -b web/
}

@test "bash: ids of containers below --root, then signals" {
	containers one two
	assert_complete $'one\ntwo' berth --root "$T/state" kill ''
	assert_complete two berth --root "$T/state" exec t
	assert_complete two berth --root = "$T/state" delete --force t
	assert_complete $'KILL' berth --root "$T/state" kill one K
	assert_complete '' berth --root "$T/state" delete one ''
	assert_complete $'one\ntwo' berth --root "$T/state" top one ''
}

@test "bash: names of images, also with a colon" {
	tar -C / -cf t.tar etc/hostname
	berth-image --quiet --root store import t.tar localhost:5000/demo:1 >/dev/null
	berth-image --quiet --root store import t.tar demo >/dev/null
	assert_complete $'docker.io/library/demo:latest\nlocalhost:5000/demo:1' berth-image --root store unpack ''
	assert_complete 5000/demo:1 berth-image --root store run localhost : 50
	assert_complete 't.tar' berth-image import t.
	assert_complete $'copy\noverlay' berth-image run --mode ''
}

@test "bash: an alias is a command" {
	assert_complete $'umount\nunmount\nunpack\nunshare' berth-image u
	assert_complete $'unmount' berth-image unm
	assert_complete --rm berth-image umount --r
}

@test "bash: the scripts are clean" {
	local script
	for script in "$SHARE"/bash-completion/completions/*; do
		bash -n "$script"
		! command -v shellcheck >/dev/null || shellcheck -s bash "$script"
	done
}

@test "zsh: the functions are read" {
	needs zsh zsh
	local script
	for script in "$SHARE"/zsh/site-functions/*; do zsh -n "$script"; done
}

@test "fish: commands, flags, values, ids, images" {
	needs fish fish
	containers one two
	ask() { HOME=$T fish --no-config -c "source $SHARE/fish/vendor_completions.d/$1.fish; complete -C '$2'" | cut -f1 | sort | paste -sd' '; }
	assert_eq "$(ask berth 'berth del')" delete
	assert_eq "$(ask berth 'berth kill --a')" --all
	assert_eq "$(ask berth 'berth list --format ')" "json table"
	assert_eq "$(ask berth "berth --root $T/state kill ")" "one two"
	assert_eq "$(ask berth "berth --root $T/state kill one KI")" "KILL"
	assert_eq "$(ask berth-image "berth-image un")" "unmount unpack unshare"
}
