#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# berth-monitor as Podman's conmon.

load helpers
load podman

setup_file() { podman_setup_file; }
teardown_file() { podman_teardown_file; }
setup() { podman_setup; }
teardown() { podman_teardown; }

# ---- run ---------------------------------------------------------------

@test "podman: run shows output and ends with 0" {
	run_c echo hello
	assert_ok
	assert_output hello
}

@test "podman: exit status" {
	run_c sh -c 'exit 42'
	assert_status 42
	run_c false
	assert_status 1
}

@test "podman: 125 is Podman's own failure" {
	idle_c
	keep_c true
	assert_status 125
	assert_has "already in use"
}

@test "podman: 126 for what cannot be executed" {
	run_c /etc/plain
	assert_status 126
	output=${output,,}
	assert_has "permission denied"
	run_c /etc
	assert_status 126
}

@test "podman: 127 for what is not there" {
	run_c /no/such/program
	assert_status 127
	assert_has /no/such/program
	run_c nosuchprogram
	assert_status 127
	assert_has nosuchprogram
}

@test "podman: a signal ends with 128 and its number" {
	EXTRA=(--pid host)
	run_c sh -c 'kill -9 $$'
	assert_status 137
	run_c sh -c 'kill -TERM $$'
	assert_status 143
}

@test "podman: a setting that the kernel refuses is the runtime's error" {
	EXTRA=(--sysctl net.ipv4.ip_forward=nonsense)
	run_c true
	assert_status 126
	assert_has ip_forward
}

@test "podman: stdout and stderr" {
	run_in sh -c 'echo out; echo err >&2' >"$T/out" 2>"$T/err" </dev/null
	assert_eq "$(<"$T/out")" out
	assert_eq "$(<"$T/err")" err
}

@test "podman: 10 MB of output arrive whole" {
	got=$(run_in seq 1 1300000 </dev/null | md5_of)
	assert_eq "$got" "$(seq 1 1300000 | md5_of)"
}

@test "podman: 4 MB of input arrive whole, through cat" {
	head -c 4000000 /dev/urandom >"$T/in"
	EXTRA=(-i)
	got=$(run_in cat <"$T/in" | md5_of)
	assert_eq "$got" "$(md5_of <"$T/in")"
}

@test "podman: the end of input is one" {
	EXTRA=(-i)
	output=$(printf 'one\ntwo\n' | run_in sh -c 'cat; echo end')
	assert_output $'one\ntwo\nend'
}

@test "podman: without -i there is no input" {
	output=$(echo in | run_in sh -c 'cat; readlink /proc/self/fd/0')
	assert_output /dev/null
}

@test "podman: user 1000 can open /dev/stdout and /dev/stderr" {
	EXTRA=(--user 1000)
	run_in sh -c 'echo out >/dev/stdout; echo err >/dev/stderr; id -u' >"$T/out" 2>"$T/err" </dev/null
	assert_eq "$(<"$T/out")" $'out\n1000'
	assert_eq "$(<"$T/err")" err
}

@test "podman: --preserve-fds" {
	echo preserved >"$T/f"
	EXTRA=(--preserve-fds 1)
	output=$(
		flags_of_run
		podman_flags
		podman "${FLAGS[@]}" run --rm "${RUN[@]}" bb sh -c 'cat <&3' 3<"$T/f"
	)
	assert_output preserved
}

@test "podman: --rm leaves nothing" {
	run_c true
	assert_eq "$(podman_ ps -aq)" ""
	assert_eq "$(find "$P/root/vfs-containers" -mindepth 1 -type d)" ""
	assert_eq "$(find "$P/tmp/exits" -type f)" ""
}

@test "podman: detached with --rm, removed when it has ended" {
	EXTRA=(--rm)
	detach_c sleep 0.2
	is_removed() { ! podman_ container exists "$ID"; }
	wait_for is_removed
}

@test "podman: --timeout" {
	EXTRA=(--timeout 1)
	keep_c sleep 1000
	assert_status 255 # 124 is the time limit of podman_
	assert_eq "$(show '{{.State.ExitCode}}')" -1
}

@test "podman: --init" {
	printf '#!/bin/sh\n[ "$1" != -- ] || shift\n"$@"\nexit $?\n' >"$T/init"
	chmod +x "$T/init"
	EXTRA=(--init --init-path "$(command -v catatonit || echo "$T/init")")
	run_c sh -c 'echo $$; exit 3'
	assert_status 3
	[[ $output != 1 ]]
}

@test "podman: SIGTERM to podman run reaches the container" {
	EXTRA=(-v "$T:/t")
	run_in sh -c 'trap "echo caught; exit 7" TERM; touch /t/up; while :; do usleep 20000; done' >"$T/out" 2>&1 </dev/null 3>&- &
	pid=$!
	wait_file up
	pkill -TERM -P "$pid" podman || pkill -TERM -P "$(pgrep -P "$pid")" podman
	status=0
	wait "$pid" || status=$?
	assert_status 7
	assert_eq "$(<"$T/out")" caught
}

# ---- terminal ----------------------------------------------------------

@test "podman: a terminal" {
	flags_of_run
	output=$(on_tty "$(podman_line run --rm -t "${RUN[@]}" bb tty)" </dev/null)
	assert_has /dev/pts/
}

@test "podman: the terminal has the caller's size" {
	flags_of_run
	output=$(on_tty "$(podman_line run --rm -it "${RUN[@]}" bb sh -c 'usleep 300000; stty size')" </dev/null)
	assert_has "33 77"
}

@test "podman: the terminal follows the caller's" {
	EXTRA=(-v "$T:/t")
	flags_of_run
	want='touch /t/up; until [ "$(stty size)" = "44 99" ]; do usleep 20000; done; echo resized'
	output=$(on_tty "(while [ ! -e $T/up ]; do sleep 0.02; done; stty rows 44 cols 99 </dev/tty) & $(podman_line run --rm -it "${RUN[@]}" bb sh -c "$want")" </dev/null)
	assert_has resized
}

@test "podman: a terminal's input and its exit status" {
	flags_of_run
	output=$({ sleep 0.8; printf 'word\n'; sleep 0.3; } | on_tty "$(podman_line run --rm -it "${RUN[@]}" bb sh -c 'read x; echo got-$x; exit 9'); echo status=\$?")
	assert_has got-word
	assert_has status=9
}

# ---- attach ------------------------------------------------------------

@test "podman: attach shows output from then on, and ends with the container" {
	EXTRA=(-v "$T:/t")
	detach_c sh -c 'i=0; while [ ! -e /t/end ]; do i=$((i+1)); echo tick $i; usleep 50000; done; echo last; exit 6'
	wait_for has_logged "tick 3"
	podman_ attach --no-stdin "$ID" >"$T/out" 2>&1 </dev/null 3>&- &
	pid=$!
	wait_for grep -q tick "$T/out"
	touch "$T/end"
	wait "$pid"
	run ! grep -qx "tick 1" "$T/out"
	assert_eq "$(grep . "$T/out" | tail -n 1)" last
	assert_eq "$(show '{{.State.ExitCode}}')" 6
}

@test "podman: attach gives input, and its end" {
	EXTRA=(-i)
	detach_c sh -c 'while read x; do echo got $x; done; echo end'
	output=$(printf 'a\nb\n' | podman_ attach "$ID")
	assert_output $'got a\ngot b\nend'
}

@test "podman: attached clients all see everything" {
	EXTRA=(-v "$T:/t")
	detach_c sh -c 'while [ ! -e /t/go ]; do echo wait; usleep 20000; done; seq 1 20000'
	for i in 1 2 3; do
		podman_ attach --no-stdin "$ID" >"$T/out$i" 2>&1 </dev/null 3>&- &
		pids[i]=$!
	done
	for i in 1 2 3; do wait_for grep -q wait "$T/out$i"; done
	touch "$T/go"
	for i in 1 2 3; do
		wait "${pids[i]}"
		assert_eq "$(grep '^[0-9]' "$T/out$i" | md5_of)" "$(seq 1 20000 | md5_of)"
	done
}

@test "podman: detach keys leave it running" {
	EXTRA=(-it)
	detach_c sh -c 'while read x; do echo got-$x; done'
	for word in one two; do
		# Podman wants each key in a read of its own
		output=$({ sleep 0.4; printf '%s\n' $word; sleep 0.2; printf '\020'; sleep 0.1; printf '\021'; } | on_tty "$(podman_line attach "$ID")")
		assert_has got-$word
		assert_eq "$(show '{{.State.Status}}')" running
	done
}

@test "podman: start --attach of a created container" {
	flags_of_run
	podman_ create -i --name "$ID" "${RUN[@]}" bb sh -c 'cat; exit 4' >"$T/created"
	status=0
	output=$(echo in | podman_ start -ai "$ID") || status=$?
	assert_status 4
	assert_output in
}

# ---- logs --------------------------------------------------------------

@test "podman: logs, both streams apart" {
	detach_c sh -c 'echo out; echo err >&2'
	wait_exited
	podman_ logs "$ID" >"$T/out" 2>"$T/err"
	assert_eq "$(<"$T/out")" out
	assert_eq "$(<"$T/err")" err
}

@test "podman: the log's lines are Kubernetes'" {
	EXTRA=(--log-driver k8s-file --log-opt "path=$T/log")
	run_c sh -c 'echo one; printf two'
	assert_ok
	# conmon 2.1.6 does not end the last line, later ones and ours do, with an empty part
	assert_eq "$(cut -d' ' -f2- "$T/log" | grep -v 'F $')" $'stdout F one\nstdout P two'
	grep -qE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{9}[+-][0-9]{2}:[0-9]{2} ' "$T/log"
}

@test "podman: json-file is the same" {
	EXTRA=(--log-driver json-file)
	detach_c echo line
	wait_exited
	assert_eq "$(logged)" line
}

@test "podman: logs of driver none are refused" {
	EXTRA=(--log-driver none)
	detach_c echo line
	wait_exited
	try podman_ logs "$ID"
	assert_fails "'none' log driver"
}

@test "podman: without capabilities, whose profile has conditions on socket" {
	EXTRA=(--cap-drop ALL)
	run_c sh -c 'echo ran'
	assert_ok
	assert_output ran
}

@test "podman: passthrough gives the caller's files" {
	EXTRA=(--log-driver passthrough)
	echo in >"$T/in"
	run_in sh -c 'echo out; echo err >&2; cat' >"$T/out" 2>"$T/err" <"$T/in"
	assert_eq "$(<"$T/out")" $'out\nin'
	assert_eq "$(<"$T/err")" err
}

@test "podman: logs -f shows what comes, and ends" {
	EXTRA=(-v "$T:/t")
	detach_c sh -c 'echo early; while [ ! -e /t/end ]; do usleep 20000; done; echo late'
	podman_ logs -f "$ID" >"$T/out" 2>&1 </dev/null 3>&- &
	pid=$!
	wait_for grep -q early "$T/out"
	touch "$T/end"
	wait "$pid"
	assert_eq "$(<"$T/out")" $'early\nlate'
}

@test "podman: logs --since, --tail, --timestamps" {
	EXTRA=(-v "$T:/t")
	detach_c sh -c 'echo one; while [ ! -e /t/go ]; do usleep 20000; done; echo two; echo three'
	wait_for has_logged one
	since=$(date +%Y-%m-%dT%H:%M:%S.%N%:z)
	touch "$T/go"
	wait_exited
	assert_eq "$(podman_ logs --since "$since" "$ID")" $'two\nthree'
	assert_eq "$(podman_ logs --tail 1 "$ID")" three
	[[ $(podman_ logs -t --tail 1 "$ID" | cut -d' ' -f1) > ${since:0:19} ]]
}

@test "podman: a line of 100 KB is whole again" {
	detach_c sh -c 'head -c 100000 /dev/zero | tr "\0" x; echo; echo end'
	wait_exited
	assert_eq "$(logged | head -n 1 | wc -c)" 100001
	assert_eq "$(logged | tail -n 1)" end
}

@test "podman: a line without an end" {
	detach_c sh -c 'echo whole; printf part'
	wait_exited
	assert_eq "$(logged)" $'whole\npart'
}

@test "podman: bytes that are no text" {
	detach_c sh -c 'printf "a\\377\\000\\001\\033b\\r\\n"; printf "\\303\\050\\n"'
	wait_exited
	assert_eq "$(podman_ logs "$ID" | md5_of)" "$(printf 'a\377\000\001\033b\r\n\303\050\n' | md5_of)"
}

@test "podman: --log-opt max-size bounds the log" {
	EXTRA=(--log-opt max-size=20kb --log-opt "path=$T/log")
	detach_c seq 1 20000
	wait_exited
	(($(stat -c %s "$T/log") <= 20480))
	assert_eq "$(podman_ logs --tail 1 "$ID")" 20000
}

@test "podman: a log disk that is full does not stop the container" {
	mkdir "$T/small"
	mount -t tmpfs -o size=1m small "$T/small"
	EXTRA=(--log-opt "path=$T/small/log" -v "$T:/t")
	detach_c sh -c 'seq 1 400000; echo done >/t/done; exit 5'
	assert_eq "$(podman_ wait "$ID")" 5
	assert_eq "$(<"$T/done")" "done"
}

# ---- exec --------------------------------------------------------------

@test "podman: exec, its streams and exit status" {
	idle_c
	status=0
	podman_ exec "$ID" sh -c 'echo out; echo err >&2; exit 17' >"$T/out" 2>"$T/err" </dev/null || status=$?
	assert_status 17
	assert_eq "$(<"$T/out")" out
	assert_eq "$(<"$T/err")" err
}

@test "podman: exec of what is not there is 127, of what cannot be executed 126" {
	idle_c
	exec_c /no/such/program
	assert_status 127
	exec_c /etc/plain
	assert_status 126
	assert_eq "$(show '{{.State.Status}}')" running
}

@test "podman: exec ended by a signal" {
	idle_c
	exec_c sh -c 'kill -9 $$'
	assert_status 137
}

@test "podman: exec with 2 MB of input, and its end" {
	idle_c
	head -c 2000000 /dev/urandom >"$T/in"
	got=$(podman_ exec -i "$ID" cat <"$T/in" | md5_of)
	assert_eq "$got" "$(md5_of <"$T/in")"
}

@test "podman: exec with a terminal of the caller's size" {
	idle_c
	output=$(on_tty "$(podman_line exec -it "$ID" sh -c 'tty; usleep 300000; stty size; exit 8'); echo status=\$?" </dev/null)
	assert_has /dev/pts/
	assert_has "33 77"
	assert_has status=8
}

@test "podman: exec in the background" {
	EXTRA=(-v "$T:/t")
	idle_c
	podman_ exec -d "$ID" sh -c 'touch /t/up; sleep 2000' >"$T/out"
	wait_file up
	exec_c ps
	assert_has "sleep 2000"
}

@test "podman: exec with user, directory and environment" {
	idle_c
	EXEC=(--user 1000 --workdir /tmp --env A=b)
	exec_c sh -c 'id -u; pwd; echo $A; echo too >/dev/stdout'
	assert_output $'1000\n/tmp\nb\ntoo'
}

@test "podman: exec in a stopped container is refused" {
	detach_c true
	wait_exited
	exec_c true
	assert_status 255
	assert_has "can only create exec sessions on running containers"
}

@test "podman: 20 execs at once" {
	idle_c
	for ((i = 0; i < 20; i++)); do
		podman_ exec "$ID" sh -c "echo $i; exit $((i + 1))" >"$T/out$i" 2>&1 </dev/null 3>&- &
		pids[i]=$!
	done
	for ((i = 0; i < 20; i++)); do
		status=0
		wait "${pids[i]}" || status=$?
		assert_status $((i + 1))
		assert_eq "$(<"$T/out$i")" "$i"
	done
}

@test "podman: the container's end is that of its execs" {
	idle_c
	podman_ exec "$ID" sleep 1000 >"$T/out" 2>&1 </dev/null 3>&- &
	pid=$!
	is_execed() { podman_ exec "$ID" ps | grep -q "sleep 1000" && [[ $(show '{{len .ExecIDs}}') == 1 ]]; }
	wait_for is_execed
	podman_ kill "$ID"
	status=0
	wait "$pid" || status=$?
	assert_status 137
}

# ---- signals, stop, restart --------------------------------------------

@test "podman: kill" {
	idle_c
	podman_ kill "$ID"
	wait_exited
	assert_eq "$(show '{{.State.ExitCode}}')" 137
}

@test "podman: kill with a signal that is caught" {
	EXTRA=(-v "$T:/t")
	detach_c sh -c 'trap "echo hup" HUP; trap "exit 5" USR1; touch /t/up; while :; do usleep 20000; done'
	wait_file up
	podman_ kill -s HUP "$ID"
	wait_for has_logged hup
	podman_ kill -s USR1 "$ID"
	assert_eq "$(podman_ wait "$ID")" 5
}

@test "podman: stop" {
	EXTRA=(-v "$T:/t")
	detach_c sh -c 'trap "echo term; exit 3" TERM; touch /t/up; while :; do usleep 20000; done'
	wait_file up
	podman_ stop "$ID"
	assert_eq "$(show '{{.State.ExitCode}}')" 3
	assert_eq "$(logged)" term
}

@test "podman: stop kills what ignores SIGTERM" {
	EXTRA=(-v "$T:/t")
	detach_c sh -c 'trap "" TERM; touch /t/up; while :; do usleep 20000; done'
	wait_file up
	started=$SECONDS
	podman_ stop -t 1 "$ID"
	((SECONDS - started < 6))
	assert_eq "$(show '{{.State.ExitCode}}')" 137
}

@test "podman: restart" {
	EXTRA=(-v "$T:/t")
	detach_c sh -c 'echo up >>/t/ups; sleep 1000'
	wait_file ups
	before=$(show '{{.State.Pid}}')
	podman_ restart -t 0 "$ID"
	twice() { [[ $(wc -l <"$T/ups") == 2 ]]; }
	wait_for twice
	[[ $(show '{{.State.Pid}}') != "$before" ]]
}

@test "podman: start again after the end, the log goes on" {
	detach_c sh -c 'echo life'
	wait_exited
	podman_ start "$ID"
	twice() { [[ $(logged) == $'life\nlife' ]]; }
	wait_for twice
}

@test "podman: --restart=on-failure:2 starts it three times" {
	EXTRA=(-v "$T:/t" --restart=on-failure:2)
	detach_c sh -c 'echo up >>/t/ups; exit 3'
	is_over() { [[ $(show '{{.State.Status}} {{.RestartCount}}') == "exited 2" ]]; }
	wait_for is_over
	assert_eq "$(wc -l <"$T/ups")" 3
	assert_eq "$(show '{{.State.ExitCode}}')" 3
}

@test "podman: wait, before and after the end" {
	EXTRA=(-v "$T:/t")
	detach_c sh -c 'while [ ! -e /t/end ]; do usleep 20000; done; exit 21'
	podman_ wait "$ID" >"$T/out" 2>&1 </dev/null 3>&- &
	pid=$!
	touch "$T/end"
	wait "$pid"
	assert_eq "$(<"$T/out")" 21
	assert_eq "$(podman_ wait "$ID")" 21
}

@test "podman: pause and unpause" {
	EXTRA=(-v "$T:/t")
	detach_c sh -c 'while :; do echo x >>/t/ticks; usleep 20000; done'
	wait_file ticks
	podman_ pause "$ID"
	assert_eq "$(show '{{.State.Status}}')" paused
	before=$(wc -l <"$T/ticks")
	sleep 0.3
	assert_eq "$(wc -l <"$T/ticks")" "$before"
	exec_c true
	assert_fails
	podman_ unpause "$ID"
	more() { (($(wc -l <"$T/ticks") > before)); }
	wait_for more
}

@test "podman: SIGTERM to the monitor reaches the container" {
	EXTRA=(-v "$T:/t")
	detach_c sh -c 'trap "echo term; exit 7" TERM; touch /t/up; while :; do usleep 20000; done'
	wait_file up
	kill -TERM "$(monitor_pid)"
	assert_eq "$(podman_ wait "$ID")" 7
	assert_eq "$(logged)" term
}

# Podman 4.3 does not ask whether the monitor lives. With conmon too, such a
# container is "running" until it is removed, and the runtime's state is left.
@test "podman: the monitor is killed, rm -f ends the container" {
	idle_c
	id=$(show '{{.Id}}') pid=$(show '{{.State.Pid}}') monitor=$(monitor_pid)
	kill -KILL "$monitor"
	wait_for gone "$monitor"
	run ! gone "$pid"
	assert_eq "$(show '{{.State.Status}}')" running
	podman_ rm -f -t 0 "$ID"
	gone "$pid"
	run ! podman_ container exists "$ID"
	"$RUNTIME" delete --force "$id"
}

@test "podman: the monitor is killed, exec still works" {
	idle_c
	id=$(show '{{.Id}}') monitor=$(monitor_pid)
	kill -KILL "$monitor"
	wait_for gone "$monitor"
	exec_c sh -c 'echo in; exit 4'
	assert_status 4
	assert_output in
	podman_ rm -f -t 0 "$ID"
	"$RUNTIME" delete --force "$id"
}

# ---- what Podman shows -------------------------------------------------

@test "podman: inspect" {
	idle_c
	monitor=$(monitor_pid)
	assert_eq "$(readlink "/proc/$monitor/exe")" "$(realpath "$MONITOR")"
	assert_eq "$(show '{{.State.ConmonPid}}')" "$monitor"
	assert_eq "$(tr '\0' ' ' <"/proc/$(show '{{.State.Pid}}')/cmdline")" "sleep 1000 "
	assert_eq "$(<"$(show '{{.PidFile}}')")" "$(show '{{.State.Pid}}')"
	assert_eq "$(show '{{.OCIRuntime}}')" "$RUNTIME"
	grep -q "^[0-9]*:memory:$PODMAN_CGROUP/$ID/conmon$" "/proc/$monitor/cgroup"
}

@test "podman: out of memory" {
	EXTRA=(--memory 20m)
	keep_c sh -c 'x=$(yes | head -c 90000000); echo survived'
	assert_status 137
	# conmon 2.1.6 does not see it on cgroup v1
	! ours || assert_eq "$(show '{{.State.OOMKilled}}')" true
}

@test "podman: not out of memory" {
	EXTRA=(--memory 20m)
	detach_c sleep 1000
	podman_ kill "$ID"
	wait_exited
	assert_eq "$(show '{{.State.OOMKilled}} {{.State.ExitCode}}')" "false 137"
}

@test "podman: rename" {
	idle_c
	podman_ rename "$ID" "$ID-new"
	assert_eq "$(podman_ ps --format '{{.Names}}')" "$ID-new"
	ID=$ID-new
	exec_c true
	assert_ok
}

@test "podman: top" {
	idle_c
	try podman_ top "$ID" pid args
	assert_ok
	assert_has "sleep 1000"
}

@test "podman: stats" {
	EXTRA=(--memory 50m)
	idle_c
	try podman_ stats --no-stream --format '{{.Name}} {{.PIDs}} {{.MemUsage}}' "$ID"
	assert_ok
	assert_has "$ID 1 "
	assert_has "/ 52.43MB"
}

@test "podman: update" {
	EXTRA=(--memory 50m)
	idle_c
	try podman_ update --memory 60m --cpu-shares 512 "$ID"
	assert_ok
	assert_eq "$(cat "/sys/fs/cgroup/memory$PODMAN_CGROUP/$ID/libpod-$(show '{{.Id}}')/memory.limit_in_bytes")" 62914560
	assert_eq "$(cat "/sys/fs/cgroup/cpu$PODMAN_CGROUP/$ID/libpod-$(show '{{.Id}}')/cpu.shares")" 512
}

@test "podman: events of a life, in order" {
	detach_c true
	wait_exited
	exec_c true
	podman_ rm "$ID"
	has_removed() { [[ $(events_of) == *remove ]]; }
	wait_for has_removed
	assert_eq "$(events_of)" "create init start died cleanup remove"
}

@test "podman: events of an exec" {
	idle_c
	exec_c sh -c 'exit 3'
	has_died() { [[ $(events_of) == *exec_died ]]; }
	wait_for has_died
	# both podman exec and the clean-up may tell it, with conmon too
	assert_eq "$(events_of | sed 's/ exec_died exec_died$/ exec_died/')" "create init start exec exec_died"
}

@test "podman: a health check" {
	EXTRA=(--health-cmd 'test -e /t/well' --health-interval disable --health-retries 1 -v "$T:/t")
	idle_c
	try podman_ healthcheck run "$ID"
	assert_status 1
	assert_eq "$(show '{{.State.Health.Status}}')" unhealthy
	touch "$T/well"
	try podman_ healthcheck run "$ID"
	assert_ok
	assert_eq "$(show '{{.State.Health.Status}}')" healthy
}

@test "podman: checkpoint is refused cleanly" {
	[[ $RUNTIME == */berth ]] || skip "other runtimes have it"
	idle_c
	try podman_ container checkpoint "$ID"
	assert_status 125
	assert_has checkpoint
	assert_eq "$(show '{{.State.Status}}')" running
	exec_c true
	assert_ok
}

# ---- sd_notify ---------------------------------------------------------

# listen_notify: what is sent to $T/notify is in $T/notified.
listen_notify() {
	socat -u "UNIX-RECV:$T/notify" "OPEN:$T/notified,creat,append" </dev/null >/dev/null 2>&1 3>&- &
	PIDS+=($!)
	wait_for test -S "$T/notify"
}
has_notified() { grep -aq -- "$1" "$T/notified"; }

@test "podman: --sdnotify=container lets the container say when it is ready" {
	listen_notify
	EXTRA=(--sdnotify container -v "$T:/t" -v "$P/recvtty:/bin/recvtty:ro")
	NOTIFY_SOCKET=$T/notify detach_c sh -c 'while [ ! -e /t/go ]; do usleep 20000; done; recvtty notify-send $NOTIFY_SOCKET READY=1; touch /t/sent; sleep 1000'
	wait_for has_notified MAINPID="$(monitor_pid)"
	run ! has_notified READY=1
	touch "$T/go"
	wait_file sent
	wait_for has_notified READY=1
}

@test "podman: --sdnotify=container forwards nothing but what a container may say" {
	listen_notify
	EXTRA=(--sdnotify container -v "$P/recvtty:/bin/recvtty:ro")
	NOTIFY_SOCKET=$T/notify detach_c sh -c 'recvtty notify-send $NOTIFY_SOCKET MAINPID=1; recvtty notify-send $NOTIFY_SOCKET STATUS=fine; recvtty notify-send $NOTIFY_SOCKET READY=1; sleep 1000'
	wait_for has_notified READY=1
	run ! has_notified 'MAINPID=1$'
}

@test "podman: --sdnotify=conmon is ready when it runs" {
	listen_notify
	EXTRA=(--sdnotify conmon)
	NOTIFY_SOCKET=$T/notify detach_c sh -c 'echo "socket=$NOTIFY_SOCKET"; sleep 1000'
	wait_for has_notified READY=1
	has_notified MAINPID="$(monitor_pid)"
	wait_for has_logged 'socket=$'
}

# ---- pods --------------------------------------------------------------

# pod ARG…: a pod named $ID with a network namespace of its own.
pod() { podman_ pod create --name "$ID" --network none --cgroup-parent "$PODMAN_CGROUP/$ID" "$@" >"$T/pod"; }

@test "podman: a pod, its containers share the network" {
	pod
	podman_ run -d --pod "$ID" --name "$ID-a" bb sh -c 'readlink /proc/self/ns/net; sleep 1000' >"$T/a"
	net=$(podman_ run --rm --pod "$ID" bb readlink /proc/self/ns/net </dev/null)
	assert_eq "$(podman_ logs "$ID-a")" "$net"
	[[ $net != "$(readlink /proc/self/ns/net)" ]]
	assert_eq "$(podman_ pod ps --format '{{.Status}} {{.NumberOfContainers}}')" "Running 2"
}

@test "podman: a pod without a container of its own" {
	podman_ pod create --name "$ID" --infra=false --share "" --cgroup-parent "$PODMAN_CGROUP/$ID" >"$T/pod"
	output=$(podman_ run --rm --network none --pod "$ID" bb echo inside </dev/null)
	assert_output inside
}

@test "podman: pod pause, stop, start, rm" {
	pod
	podman_ run -d --pod "$ID" --name "$ID-a" bb sleep 1000 >"$T/a"
	podman_ pod pause "$ID"
	assert_eq "$(show '{{.State.Status}}' "$ID-a")" paused
	podman_ pod unpause "$ID"
	podman_ pod stop -t 0 "$ID"
	wait_for is_pod Exited
	podman_ pod start "$ID"
	wait_for is_pod Running
	podman_ pod rm -f -t 0 "$ID"
	assert_eq "$(podman_ ps -aq)" ""
}
is_pod() { [[ $(podman_ pod inspect --format '{{.State}}' "$ID") == "$1" ]]; }

@test "podman: play kube and generate kube" {
	cat >"$T/pod.yaml" <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {name: $ID}
		spec:
		  restartPolicy: Never
		  containers:
		  - name: main
		    image: localhost/bb:latest
		    command: [/bin/sh, -c, "echo from kube; sleep 1000"]
	YAML
	try podman_ play kube --network none "$T/pod.yaml"
	assert_ok
	played() { [[ $(podman_ logs "$ID-main") == "from kube" ]]; }
	wait_for played
	try podman_ generate kube "$ID"
	assert_ok
	assert_has "from kube"
	try podman_ play kube --down "$T/pod.yaml"
	assert_ok
	assert_eq "$(podman_ ps -aq)" ""
}

# ---- an ordinary user's ------------------------------------------------

@test "podman: an ordinary user's containers" {
	become_user
	try user_ import -q "$P/image.tar" bb
	assert_ok
	status=0
	output=$(user_ run --rm --network none bb sh -c 'id -u; echo too >/dev/stdout; exit 5' 2>"$T/err" </dev/null) || status=$?
	cat "$T/err"
	assert_status 5
	assert_output $'0\ntoo'
	user_ run -d --name "$ID" --network none bb sleep 1000 >"$T/out" </dev/null
	assert_eq "$(user_ exec "$ID" cat /proc/self/uid_map </dev/null | awk '{ print $2 }' | xargs)" "$(id -u berth-it) 700000"
	user_ rm -f -t 0 "$ID"
}
