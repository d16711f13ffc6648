#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# docker logs, and the log drivers.

load helpers

@test "logs: output and error apart, also of a container that has ended" {
	keep_c sh -c 'echo out; echo err >&2'
	docker_ logs "$ID" >"$T/out" 2>"$T/err"
	assert_eq "$(<"$T/out") $(<"$T/err")" "out err"
}

@test "logs: -f follows to the end" {
	detach_c sh -c 'for i in 1 2 3 4 5; do echo $i; usleep 100000; done'
	assert_eq "$(docker_ logs -f "$ID" | xargs)" "1 2 3 4 5"
}

@test "logs: --tail" {
	keep_c seq 100
	assert_eq "$(docker_ logs --tail 3 "$ID" | xargs)" "98 99 100"
}

@test "logs: --since, --until and --timestamps" {
	detach_c sh -c 'echo first; while ! test -e /tmp/go; do usleep 20000; done; echo second'
	wait_for has_logged first
	sleep 0.05
	between=$(date +%s.%N)
	sh_c 'touch /tmp/go'
	wait_status exited
	assert_eq "$(docker_ logs --since "$between" "$ID")" second
	assert_eq "$(docker_ logs --until "$between" "$ID")" first
	[[ $(docker_ logs -t "$ID" | head -n1) =~ ^20[0-9-]*T[0-9:.]*Z\ first$ ]]
}

@test "logs: many lines are all there, in order" {
	detach_c seq 200000
	wait_status exited
	assert_eq "$(docker_ logs "$ID" | md5sum)" "$(seq 200000 | md5sum)"
}

@test "logs: a long line is whole, and one without an end too" {
	detach_c sh -c 'head -c 100000 /dev/zero | tr "\0" x; echo; printf end'
	wait_status exited
	assert_eq "$(docker_ logs "$ID" | head -n1 | wc -c)" 100001
	assert_eq "$(docker_ logs "$ID" | tail -n1)" end
}

@test "logs: of a terminal" {
	EXTRA=(-t)
	detach_c sh -c 'echo one; echo two >&2'
	wait_status exited
	assert_eq "$(docker_ logs "$ID" | tr -d '\r' | xargs)" "one two"
}

@test "logs: driver json-file rotates" {
	EXTRA=(--log-driver json-file --log-opt max-size=20k --log-opt max-file=2)
	detach_c seq 5000
	wait_status exited
	path=$(show '{{.LogPath}}')
	assert_eq "$(ls "$path"* | wc -l)" 2
	assert_eq "$(docker_ logs "$ID" | tail -n1)" 5000
}

@test "logs: driver local" {
	EXTRA=(--log-driver local)
	detach_c sh -c 'echo out; echo err >&2'
	wait_status exited
	assert_eq "$(docker_ logs "$ID" 2>/dev/null) $(docker_ logs "$ID" 2>&1 >/dev/null)" "out err"
}

@test "logs: driver none keeps nothing, and output is seen all the same" {
	EXTRA=(--log-driver none)
	keep_c echo seen
	assert_output seen
	try docker_ logs "$ID"
	assert_fails "does not support reading"
}

@test "logs: are kept over a restart" {
	detach_c sh -c 'echo start $(cat /tmp/n 2>/dev/null); echo 2 >/tmp/n'
	wait_status exited
	docker_ start -a "$ID" >/dev/null
	assert_eq "$(docker_ logs "$ID" | xargs)" "start start 2"
}

@test "logs: a reader that does not read does not stop the others" {
	detach_c sh -c 'yes 123456789012345678901234567890123456789012345678901234567890 | head -n 20000; echo over'
	docker_ logs -f "$ID" 2>&1 | { sleep 2; cat >/dev/null; } &
	over() { [[ $(docker_ logs --tail 1 "$ID") == over ]]; }
	wait_for over
	wait
}
