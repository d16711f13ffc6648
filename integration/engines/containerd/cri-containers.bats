#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Containers of the CRI plugin: their life, exits, streams, logs and statistics.

load helpers

@test "containers: created, running, exited, removed" {
	pod a
	create one . sh -c 'exit 3'
	is_c CONTAINER_CREATED
	start_c
	assert_ok
	wait_for is_c CONTAINER_EXITED
	assert_eq "$(status_c '"\(.exit_code) \(.reason)"')" "3 Error"
	rm_c
	assert_ok
	assert_eq "$(cri ListContainers | jq '.containers | length')" 0
}

@test "containers: exit code 0 is Completed, and times are in order" {
	pod a
	once . sleep 0.3 # containerd notes the start after it
	assert_eq "$(status_c '"\(.exit_code) \(.reason)"')" "0 Completed"
	assert_eq "$(status_c '(.created_at | tonumber) <= (.started_at | tonumber) and (.started_at | tonumber) <= (.finished_at | tonumber)')" true
}

@test "containers: out of memory is OOMKilled" {
	pod a
	once '.linux.resources.memory_limit_in_bytes = 16777216' sh -c 'x=a; while :; do x=$x$x; done'
	assert_status 137
	assert_eq "$(status_c .reason)" OOMKilled
}

@test "containers: a command that is not there is a failed start with its name, and can be removed" {
	pod a
	create one . /no/such
	start_c
	assert_fails "/no/such"
	assert_has "o such file or directory"
	is_c CONTAINER_EXITED
	assert_eq "$(status_c '"\(.exit_code) \(.reason)"')" "128 StartError"
	rm_c
	assert_ok
}

@test "containers: command, arguments, environment and working directory" {
	pod a
	once '.args = ["-c", "echo $A $B; pwd"] | .envs = [{key: "A", value: ("1" | @base64)}, {key: "B", value: ("2 3" | @base64)}] | .working_dir = "/var"' sh
	assert_output $'1 2 3\n/var'
}

@test "containers: a working directory that is not there is made" {
	pod a
	once '.working_dir = "/a/b/c"' pwd
	assert_output /a/b/c
}

@test "containers: stop sends TERM and waits for the end" {
	pod a
	container one . sh -c 'trap "sleep 0.3; echo bye; exit 7" TERM; echo ready; while :; do sleep 0.05; done'
	wait_for has_logged one ready
	stop_c 10
	assert_ok
	assert_eq "$(status_c .exit_code)" 7
	has_logged one bye
}

@test "containers: stop kills what does not end in time" {
	pod a
	container one . sh -c 'trap "echo no" TERM; echo ready; while :; do sleep 0.05; done'
	wait_for has_logged one ready
	stop_c 1
	assert_ok
	assert_eq "$(status_c .exit_code)" 137
	has_logged one no
}

@test "containers: stop again, and stop of an exited one, are no errors" {
	pod a
	once . true
	stop_c 1
	assert_ok
	stop_c 1
	assert_ok
}

@test "containers: a running one is removed by force" {
	pod a
	container one . sleep 1000
	rm_c
	assert_ok
	rm_c
	assert_ok
	assert_eq "$(cri ListContainers | jq '.containers | length')" 0
}

@test "containers: restarted in the same pod as the next attempt" {
	pod a
	container one . sh -c 'exit 1'
	wait_for is_c CONTAINER_EXITED
	container one '.metadata.attempt = 1' sleep 1000
	assert_eq "$(cri ListContainers '{"filter": {"state": {"state": "CONTAINER_RUNNING"}}}' | jq -c '[.containers[].metadata.attempt]')" '[1]'
	assert_eq "$(shims | wc -l)" 1
}

@test "containers: the same name and attempt again is refused" {
	pod a
	container one . sleep 1000
	create one . sleep 1000
	assert_fails "is reserved for"
}

@test "containers: info has the process, the handler and the specification" {
	pod a
	container one '.labels = {app: "web"}' sleep 1000
	assert_eq "$(info_c .runtimeType)" "io.containerd.$(ours && echo berth || echo runc).v2"
	assert_eq "$(info_c '.runtimeSpec.process.args | join(" ")')" "sleep 1000"
	assert_eq "$(info_c .sandboxID)" "$P"
	assert_eq "$(status_c '"\(.labels.app) \(.image.image)"')" "web localhost/bb:1"
	assert_eq "$(tr '\0' ' ' <"/proc/$(pid_of_c)/cmdline")" "sleep 1000 "
}

@test "containers: listed by pod, label and state" {
	pod a
	container one '.labels = {app: "web"}' sleep 1000
	container two . sleep 1000
	pod b
	container three '.labels = {app: "web"}' sleep 1000
	try cri ListContainers "{\"filter\": {\"pod_sandbox_id\": \"$P\", \"label_selector\": {\"app\": \"web\"}}}"
	assert_eq "$(jq -c '[.containers[].metadata.name]' <<<"$output")" '["three"]'
}

@test "execsync: both streams, the exit code, and no shell" {
	pod a
	container one . sleep 1000
	local code=0
	cri execsync "$C" sh -c 'echo out; echo err >&2; exit 5' >"$T/out" 2>"$T/err" || code=$?
	assert_eq "$code $(<"$T/out") $(<"$T/err")" "5 out err"
	in_c echo '$HOME *'
	assert_output '$HOME *'
}

@test "execsync: a command that is not there is an error" {
	pod a
	container one . sleep 1000
	in_c /no/such
	assert_fails "no such file or directory"
	in_c true
	assert_ok
}

@test "execsync: a probe that takes too long is killed" {
	pod a
	container one . sleep 1000
	try cri execsync -timeout 1 "$C" sleep 1002
	assert_fails "timeout 1s exceeded"
	wait_for eval '! cri execsync "$C" pgrep -f "sleep 1002"'
	in_c true
	assert_ok
}

@test "execsync: twenty probes at a time, each with its answer" {
	pod a
	container one . sleep 1000
	local i
	for i in {1..20}; do
		cri execsync "$C" sh -c "echo $i; exit $i" >"$T/out$i" 2>&1 </dev/null &
		PIDS+=($!)
	done
	for i in {1..20}; do
		status=0
		wait "${PIDS[i - 1]}" || status=$?
		assert_status "$i"
		assert_eq "$(<"$T/out$i")" "$i"
	done
}

@test "exec -i: stdin to its end, output and exit code" {
	pod a
	container one . sleep 1000
	local code=0
	seq 10000 | cri exec -i "$C" sh -c 'md5sum; echo err >&2; exit 6' >"$T/out" 2>"$T/err" || code=$?
	assert_eq "$code $(<"$T/out") $(<"$T/err")" "6 $(seq 10000 | md5sum) err"
}

@test "exec -i -t: a terminal of the size that is asked for, and what is typed" {
	pod a
	container one . sleep 1000
	mkfifo "$T/typed"
	exec 9<>"$T/typed"
	cri exec -i -t -size 33x77 "$C" sh -c 'stty -echo; until stty size | grep -v "^0"; do :; done 2>/dev/null; tty; read x; echo "got $x"; exit 5' \
		>"$T/exec" <"$T/typed" 9>&- &
	PIDS+=($!)
	wait_for grep -q pts "$T/exec"
	echo word >&9
	status=0
	wait "${PIDS[0]}" || status=$?
	exec 9>&-
	assert_status 5
	assert_eq "$(tr -d '\r' <"$T/exec")" $'33 77\n/dev/pts/0\ngot word'
}

@test "exec: a megabyte of output, none of it lost" {
	pod a
	container one . sleep 1000
	assert_eq "$(cri exec "$C" sh -c 'yes 123456789012345 | head -c 1048576' | md5sum)" "$(yes 123456789012345 | head -c 1048576 | md5sum)"
}

@test "attach -i: to the container's streams" {
	pod a
	container one '.stdin = true | .stdin_once = true' sh -c 'while read -r x; do echo "got $x"; done; echo over'
	output=$(printf 'one\ntwo\n' | cri attach -i "$C")
	assert_has $'got one\ngot two'
	wait_for is_c CONTAINER_EXITED
	assert_eq "$(logged one)" $'got one\ngot two\nover'
}

@test "attach -i -t: to the container's terminal" {
	pod a
	container one '.stdin = true | .tty = true' sh -c 'read x; until stty size | grep -v "^0"; do :; done 2>/dev/null; echo "got $x"'
	mkfifo "$T/typed"
	exec 9<>"$T/typed"
	cri attach -i -t -size 33x77 "$C" >"$T/attach" <"$T/typed" 9>&- &
	PIDS+=($!)
	echo word >&9
	wait "${PIDS[0]}"
	exec 9>&-
	output=$(tr -d '\r' <"$T/attach")
	assert_has $'33 77\ngot word'
}

@test "attach: to a container that runs already, by two at a time" {
	pod a
	container one . sh -c 'until test -e /go; do echo tick; usleep 20000; done; echo word'
	local n
	for n in 1 2; do
		cri attach "$C" >"$T/attach$n" 2>&1 </dev/null &
		PIDS+=($!)
	done
	for n in 1 2; do wait_for grep -q tick "$T/attach$n"; done
	in_c touch /go
	for n in "${PIDS[@]}"; do wait "$n"; done
	assert_eq "$(tail -n1 "$T/attach1") $(tail -n1 "$T/attach2")" "word word"
}

@test "logs: both streams with their times, in order" {
	pod a
	once . sh -c 'echo one; echo two >&2; sleep 0.05; echo three; printf four'
	local log=$T/a/$(status_c .metadata.name).log
	assert_eq "$(cut -d' ' -f2-4 "$log" | sort)" $'stderr F two\nstdout F one\nstdout F three\nstdout P four'
	assert_eq "$(grep stdout "$log" | cut -d' ' -f1)" "$(grep stdout "$log" | cut -d' ' -f1 | sort)"
}

@test "logs: long lines are parts, and nothing is lost" {
	pod a
	once . sh -c 'yes 123456789 | tr -d "\n" | head -c 40000; echo'
	local log=$T/a/$(status_c .metadata.name).log
	assert_eq "$(awk '{ print $3 }' "$log" | xargs)" "P P F"
	assert_eq "$(cut -d' ' -f4- "$log" | tr -d '\n' | wc -c)" 40000
}

@test "logs: reopened after a rotation, no line lost or doubled" {
	pod a
	container one . sh -c 'i=0; until test -e /enough; do echo $i; i=$((i + 1)); test $((i % 20)) != 0 || usleep 2000; done; exec 1>&-; echo $i >/lines; sleep 1000'
	wait_for has_logged one '^100$'
	mv "$T/a/one.log" "$T/a/one.log.1"
	try cri ReopenContainerLog "$(of)"
	assert_ok
	wait_for eval '[[ -s $T/a/one.log ]]'
	in_c touch /enough
	wait_for eval 'cri execsync "$C" test -s /lines'
	in_c cat /lines
	wait_for has_logged one "^$((output - 1))\$"
	assert_eq "$(cat "$T/a/one.log.1" "$T/a/one.log" | cut -d' ' -f4 | md5sum)" "$(seq 0 $((output - 1)) | md5sum)"
}

@test "stats: CPU and memory of a container, by id and by pod" {
	pod a
	container one . sh -c 'while :; do :; done'
	wait_for eval '(($(cri ContainerStats "$(of)" | jq -r ".stats.cpu.usage_core_nano_seconds.value") > 1000000))'
	(($(cri ContainerStats "$(of)" | jq -r '.stats.memory.working_set_bytes.value') > 0)) || fail "want memory"
	assert_eq "$(cri ListContainerStats "{\"filter\": {\"pod_sandbox_id\": \"$P\"}}" | jq -c '[.stats[].attributes.metadata.name]')" '["one"]'
}

# watched: what has happened to the last container.
watched() { jq -r "select(.container_id == \"$C\") | .container_event_type" "$T/watched" | sed 's/CONTAINER_//; s/_EVENT//' | xargs; }

@test "events: a container's life is told to who watches" {
	since 1.7 "no GetContainerEvents"
	nsenter --net="/run/netns/$ROOM_NETNS" "$ROOM/criclient" watch >"$T/watched" 2>&1 </dev/null 3>&- &
	PIDS+=($!)
	pod a
	# what happens before the watch begins is not told
	wait_for eval 'stopp >/dev/null; rmp >/dev/null; pod a; grep -q CONTAINER_STARTED_EVENT "$T/watched"'
	once . true
	rm_c
	wait_for eval '[[ $(watched) == *DELETED* ]]'
	assert_eq "$(watched)" "CREATED STARTED STOPPED DELETED"
}
