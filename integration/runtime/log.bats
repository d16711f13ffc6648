#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

failing_create() {
	set_args /no/such/program
	try rt "$@" create --bundle "$BUNDLE" "$ID" </dev/null
	assert_fails
}

@test "log: json lines with level, msg and time" {
	failing_create --log "$T/log" --log-format json
	tail -n1 "$T/log" | jq -e '.level == "error" and (.msg | length > 0) and (.time | test("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}"))'
}

@test "log: the file has the error, and stderr has it too" {
	failing_create --log "$T/log" --log-format json
	assert_matches "[Nn]o such file or directory"
}

@test "log: exactly one error, the last line" {
	set_args /no/such/program
	try rt --log "$T/log" --log-format json create --bundle "$BUNDLE" "$ID" </dev/null
	assert_fails
	assert_eq "$(jq -r 'select(.level == "error") | .level' "$T/log" | wc -l)" 1
	assert_eq "$(tail -n1 "$T/log" | jq -r .level)" error
}

@test "log: text lines" {
	failing_create --log "$T/log" --log-format text
	[[ $RT == crun ]] || grep -qE '^time="[0-9T:.Z+-]+" level=error msg="' "$T/log"
	grep -qi "no such file" "$T/log"
}

@test "log: stderr without --log" {
	failing_create
	[[ $RT == crun ]] || assert_has "level=error"
}

@test "log: appended to" {
	echo '{"level":"info","msg":"before","time":"2026-01-01T00:00:00Z"}' >"$T/log"
	failing_create --log "$T/log" --log-format json
	head -n1 "$T/log" | jq -e '.msg == "before"'
	[[ $(wc -l <"$T/log") -ge 2 ]]
}

@test "log: nothing on success" {
	set_args true
	rt --log "$T/log" --log-format json run --bundle "$BUNDLE" "$ID" </dev/null
	[[ ! -s $T/log ]] || ! grep -q '"level":"error"' "$T/log"
}

@test "log: --debug makes every line JSON too" {
	set_args true
	rt --debug --log "$T/log" --log-format json run --bundle "$BUNDLE" "$ID" </dev/null
	jq -es 'all(.[]; .level and .msg and .time)' "$T/log"
}

@test "log: --debug has the command line, as its help says" {
	needs_berth "its own words"
	try "$RUNTIME" --help
	assert_has "log the command line, and warnings"
	set_args true
	rt --debug --log "$T/log" --log-format json run --bundle "$BUNDLE" "$ID" </dev/null
	jq -es --arg want " run --bundle $BUNDLE $ID" 'any(.[]; .level == "debug" and (.msg | endswith($want)))' "$T/log"
}

@test "log: an unknown format is refused" {
	lacks crun "takes it for text"
	try rt --log-format nonsense create --bundle "$BUNDLE" "$ID"
	assert_fails "log"
}

@test "log: messages with quotes and newlines stay one JSON object" {
	set_args $'/no/such\n"program"'
	try rt --log "$T/log" --log-format json create --bundle "$BUNDLE" "$ID" </dev/null
	assert_fails
	jq -es 'length >= 1' "$T/log"
}

@test "log: a file that cannot be opened" {
	try rt --log "$T/no/dir/log" state "$ID"
	assert_fails
}
