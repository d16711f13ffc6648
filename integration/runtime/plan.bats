#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

setup() {
	setup_bundle
	needs_berth "the plan is Berth's own verb"
}

@test "plan: text names phases, calls and the place in the config" {
	try "$RUNTIME" plan --bundle "$BUNDLE"
	assert_ok
	assert_has "mounts[1]"
	assert_has pivot_root
	assert_has execve
	assert_has sethostname
}

@test "plan: JSON" {
	try "$RUNTIME" plan --bundle "$BUNDLE" --format json
	assert_ok
	jq -e . <<<"$output" >/dev/null
}

@test "plan: does nothing" {
	find "$BUNDLE" -printf '%P %y %m %T@\n' | sort >"$T/a"
	"$RUNTIME" --root "$ROOT" plan --bundle "$BUNDLE" >/dev/null
	find "$BUNDLE" -printf '%P %y %m %T@\n' | sort >"$T/b"
	diff "$T/a" "$T/b"
	[[ ! -e $ROOT ]]
	[[ -z $(cgroups_of "$ID") ]]
}

@test "plan: as an ordinary user" {
	become_user
	try "${AS[@]}" "$RUNTIME" plan --bundle "$BUNDLE"
	assert_ok
	assert_has execve
}

@test "plan: as an ordinary user without a directory for states" {
	become_user
	try "${AS[@]}" env -u XDG_RUNTIME_DIR "$RUNTIME" plan --bundle "$BUNDLE"
	assert_ok
	assert_has execve
}

@test "plan: the bundle defaults to the working directory" {
	cd "$BUNDLE"
	try "$RUNTIME" plan
	assert_ok
}

@test "plan: is the same twice" {
	"$RUNTIME" plan --bundle "$BUNDLE" >"$T/a"
	"$RUNTIME" plan --bundle "$BUNDLE" >"$T/b"
	diff "$T/a" "$T/b"
}

@test "plan: refuses a bad config as create does" {
	update_config '.process.args = []'
	try "$RUNTIME" plan --bundle "$BUNDLE"
	assert_fails args
}
