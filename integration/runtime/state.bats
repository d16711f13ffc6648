#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

@test "state: of a created container" {
	create_ct
	try rt state "$ID"
	assert_ok
	jq -e --arg id "$ID" --arg bundle "$BUNDLE" '
		.id == $id and .status == "created" and .bundle == $bundle and .pid > 0
		and (.ociVersion | test("^1\\."))' <<<"$output"
	# crun repeats the config here
	[[ $RT == crun ]] || assert_eq "$(jq -r .rootfs <<<"$output")" "$ROOTFS"
}

@test "state: running, then stopped with pid 0" {
	idle_ct
	assert_eq "$(status_of)" running
	kill -9 "$(state_of pid)"
	wait_status stopped
	assert_eq "$(state_of pid)" 0
}

@test "state: the pid is init's in the caller's pid namespace" {
	idle_ct
	wait_for grep -qz sleep "/proc/$(state_of pid)/cmdline"
	grep -q $'^NSpid:\t[0-9]*\t1$' "/proc/$(state_of pid)/status"
}

@test "state: paused is what the freezer says" {
	idle_ct
	freeze_ct
	wait_status paused
	thaw_ct
	wait_status running
}

@test "state: created is a time in RFC 3339" {
	create_ct
	created=$(state_of created)
	[[ $created =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]+)?Z$ ]]
	age=$(($(date +%s) - $(date -d "$created" +%s)))
	((age >= 0 && age < 60))
}

@test "state: annotations" {
	update_config '.annotations = {"org.example.key":"value","b":"with \"quotes\""}'
	create_ct
	assert_eq "$(rt state "$ID" | jq -c .annotations)" '{"org.example.key":"value","b":"with \"quotes\""}' ||
		assert_eq "$(rt state "$ID" | jq -cS .annotations)" '{"b":"with \"quotes\"","org.example.key":"value"}'
}

@test "state: no annotations, no key" {
	lacks crun "prints an empty object"
	create_ct
	assert_eq "$(rt state "$ID" | jq 'has("annotations")')" false
}

@test "state: two spaces of indentation, keys in runc's order" {
	lacks crun "its own layout"
	create_ct
	try rt state "$ID"
	assert_eq "${output%%$'\n'*}" "{"
	assert_eq "$(jq -r 'keys_unsorted|join(",")' <<<"$output")" ociVersion,id,pid,status,bundle,rootfs,created,owner
	[[ $output == *$'\n  "id": "'* ]]
}

@test "state: an unknown container" {
	try rt state "$ID-unknown"
	assert_unknown
	assert_status 1
}

@test "state: works with an empty environment" {
	create_ct
	env -i "$RUNTIME" --root "$ROOT" state "$ID" | jq -e '.status == "created"'
}

@test "state: needs an id" {
	try rt state
	assert_fails
}

@test "state: a zombie init is stopped" {
	# the shell is the parent that does not wait
	set_args sleep 1000
	create_ct
	pid=$(state_of pid)
	kill -9 "$pid"
	wait_status stopped
}
