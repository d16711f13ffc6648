#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

two() {
	create_ct
	other=$(another_bundle b)
	jq '.process.args = ["sleep","1000"]' "$other/config.json" >"$other/c" && mv "$other/c" "$other/config.json"
	rt run -d --bundle "$other" "$ID-b" </dev/null >"$T/out" 2>&1
}

@test "list: the table" {
	two
	try rt list
	assert_ok
	case $RT in
	crun) assert_matches "^NAME +PID +STATUS +BUNDLE PATH +CREATED +OWNER" ;;
	*) assert_matches "^ID +PID +STATUS +BUNDLE +CREATED +OWNER" ;;
	esac
	assert_matches "$ID +[1-9][0-9]* +created +$BUNDLE"
	assert_matches "$ID-b +[1-9][0-9]* +running +$other"
	assert_has root
}

@test "list: columns are at least twelve wide, three spaces apart" {
	lacks crun "its own layout"
	two
	try rt list
	header=${output%%$'\n'*}
	[[ $header =~ ^ID\ +PID ]]
	pad=${BASH_REMATCH[0]}
	longest=$((${#ID} + 2 + 3))
	assert_eq ${#pad} $((longest > 12 ? longest + 3 : 15))
	[[ $header == *"PID         STATUS      BUNDLE"* ]]
}

@test "list --format json" {
	two
	try rt list --format json
	assert_ok
	jq -e --arg id "$ID" 'length == 2 and (map(.id) | sort) == [$id, $id + "-b"]
		and (map(.status) | sort) == ["created","running"]
		and all(.[]; .owner == "root" and .pid > 0 and (.bundle | startswith("/")) and (.created | length > 0))' <<<"$output"
}

@test "list -f json: ociVersion and rootfs as in state, on one line" {
	lacks crun "fewer keys"
	two
	try rt list -f json
	assert_eq "$(wc -l <<<"$output")" 1
	jq -e '.[0] | .ociVersion and .rootfs' <<<"$output"
}

@test "list --quiet: ids only" {
	two
	try rt list --quiet
	assert_eq "$(sort <<<"$output")" "$ID"$'\n'"$ID-b"
	try rt list -q
	assert_eq "$(sort <<<"$output")" "$ID"$'\n'"$ID-b"
}

@test "list: nothing there" {
	mkdir -p "$ROOT"
	try rt list --quiet
	assert_ok
	assert_output ""
	try rt list --format json
	assert_ok
	assert_eq "$(jq -c '. // []' <<<"$output")" "[]"
	[[ $RT == crun ]] || assert_output null
}

@test "list: an explicit root that is missing is an error" {
	lacks crun "makes it"
	lacks runc 1.2 "an empty list before"
	try rt list
	assert_fails
}

@test "list: a stopped container has pid 0" {
	set_args true
	detach_ct
	wait_status stopped
	assert_eq "$(rt list --format json | jq -r '.[0] | "\(.pid) \(.status)"')" "0 stopped"
}

@test "list: an unknown format" {
	lacks crun "takes it for table"
	create_ct
	try rt list --format yaml
	assert_fails
}

@test "list: a broken container does not hide the others" {
	lacks crun "stops at it"
	create_ct
	mkdir -p "$ROOT/$ID-broken"
	rt list --quiet >"$T/ids" 2>"$T/list.err"
	rmdir "$ROOT/$ID-broken"
	assert_eq "$(cat "$T/ids")" "$ID"
}
