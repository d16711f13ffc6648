#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# docker exec, attach, and top.

load helpers

@test "exec: runs in the container's namespaces and root" {
	EXTRA=(--hostname inside)
	idle_c
	sh_c 'echo x >/tmp/mark'
	exec_c sh -c 'hostname; cat /tmp/mark; cat /proc/1/comm; echo $$'
	assert_has $'inside\nx\nsleep\n'
	pid=$(show '{{.State.Pid}}')
	for ns in mnt pid net ipc uts; do
		assert_eq "$(sh_c "readlink /proc/self/ns/$ns")" "$(readlink "/proc/$pid/ns/$ns")"
	done
}

@test "exec: the exit code of the process is that of docker" {
	idle_c
	exec_c true
	assert_status 0
	exec_c sh -c 'exit 33'
	assert_status 33
	exec_c sh -c 'kill -KILL $$'
	assert_status 137
}

@test "exec: a program that is missing is 127 or 126, and says so" {
	idle_c
	exec_c no-such-program
	((status == 127 || status == 126)) || fail "want 126 or 127"
	assert_has 'exec: "no-such-program": executable file not found in $PATH'
}

@test "exec: a file without the x bit is 126" {
	idle_c
	exec_c /etc/passwd
	assert_status 126
	assert_has "permission denied"
}

@test "exec: -d does not wait" {
	idle_c
	EXEC=(-d)
	exec_c sh -c 'usleep 200000; echo x >/tmp/done; sleep 1000'
	assert_ok
	assert_output ""
	wait_for docker_ exec "$ID" test -e /tmp/done
}

@test "exec: -i hands on standard input" {
	idle_c
	assert_eq "$(head -c 1000000 /dev/zero | docker_ exec -i "$ID" wc -c)" 1000000
}

@test "exec: output and error come apart" {
	idle_c
	docker_ exec "$ID" sh -c 'echo out; echo err >&2' >"$T/out" 2>"$T/err"
	assert_eq "$(<"$T/out") $(<"$T/err")" "out err"
}

@test "exec: -t is a terminal with the client's size" {
	idle_c
	output=$(on_tty exec -t "$ID" sh -c 'tty; for i in 1 2 3 4 5 6 7 8 9; do stty size | grep -q "33 77" && break; usleep 100000; done; stty size' </dev/null)
	assert_has /dev/pts/
	assert_has "33 77"
}

@test "exec: -it in a container with a terminal of its own" {
	EXTRA=(-t)
	idle_c
	output=$({ sleep 0.7; echo word; } | on_tty exec -it "$ID" sh -c 'tty; read x; echo "<$x>"')
	assert_has "<word>"
	assert_has /dev/pts/1
}

@test "exec: -u by name and numbers" {
	idle_c
	EXEC=(-u user)
	exec_c id
	assert_has "uid=1000(user) gid=1000(user)"
	EXEC=(-u 7:8)
	exec_c id
	assert_has "uid=7 gid=8"
}

@test "exec: -w, and a working directory that is missing" {
	idle_c
	EXEC=(-w /proc/sys)
	exec_c pwd
	assert_output /proc/sys
	EXEC=(-w /no/such)
	exec_c pwd
	assert_fails "/no/such"
}

@test "exec: -e adds to the container's environment" {
	EXTRA=(-e A=container -e B=container)
	idle_c
	EXEC=(-e B=exec)
	exec_c sh -c 'echo $A $B'
	assert_output "container exec"
}

@test "exec: has the container's capabilities" {
	EXTRA=(--cap-drop all --cap-add chown)
	idle_c
	assert_eq "$(sh_c 'grep CapEff /proc/self/status')" $'CapEff:\t0000000000000001'
}

@test "exec: --privileged has all capabilities" {
	idle_c
	EXEC=(--privileged)
	exec_c grep CapEff /proc/self/status
	caps=0x$(cut -f2 <<<"$output")
	((caps >> 21 & 1 && caps >> 12 & 1 && caps >> 19 & 1)) || fail "not SYS_ADMIN, NET_ADMIN, SYS_PTRACE"
}

@test "exec: has the container's seccomp, limits and cgroup" {
	EXTRA=(--ulimit nofile=123:123 --security-opt no-new-privileges)
	idle_c
	exec_c sh -c 'grep -E "^(Seccomp|NoNewPrivs):" /proc/self/status | xargs; ulimit -n; cat /proc/self/cgroup'
	assert_has "NoNewPrivs: 1 Seccomp: 2"
	assert_has $'\n123\n'
	if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then limit x cgroup.procs >"$T/procs"; else limit pids/cgroup.procs x >"$T/procs"; fi
	docker_ exec -d "$ID" sleep 1000
	wait_for eval '[[ $(limit pids/cgroup.procs cgroup.procs | wc -l) == 2 ]]'
}

@test "exec: in a paused container is refused" {
	idle_c
	docker_ pause "$ID" >/dev/null
	exec_c true
	assert_fails "is paused"
	docker_ unpause "$ID" >/dev/null
	exec_c true
	assert_ok
}

@test "exec: in a container that is not running is refused" {
	keep_c true
	exec_c true
	assert_fails "is not running"
}

@test "exec: ten at a time" {
	idle_c
	for i in 0 1 2 3 4 5 6 7 8 9; do docker_ exec "$ID" sh -c "echo $i; exit $i" >"$T/out$i" 2>&1 </dev/null & pids[i]=$!; done
	for i in 0 1 2 3 4 5 6 7 8 9; do
		status=0
		wait "${pids[i]}" || status=$?
		assert_eq "$status $(<"$T/out$i")" "$i $i"
	done
}

@test "exec: ends when the container ends" {
	idle_c
	docker_ exec "$ID" sleep 1000 >"$T/out" 2>&1 </dev/null &
	wait_for eval "docker_ top $ID | grep -c sleep | grep -q 2"
	docker_ kill "$ID" >/dev/null
	status=0
	wait $! || status=$?
	assert_status 137
}

@test "exec: what it leaves in the background lives on" {
	idle_c
	exec_c sh -c 'sleep 500 >/dev/null 2>&1 & echo left'
	assert_output left
	docker_ top "$ID" | grep -q "sleep 500"
}

@test "exec: its events are told" {
	idle_c
	since=$(date +%s.%N)
	exec_c sh -c 'exit 4'
	docker_ events --since "$since" --until "$(date +%s.%N)" --filter "container=$ID" --format '{{.Action}} {{.Actor.Attributes.exitCode}}' >"$T/events"
	grep -q '^exec_create:' "$T/events"
	grep -q '^exec_start:' "$T/events"
	grep -q '^exec_die 4' "$T/events"
}

@test "attach: sees what comes, and its end with the exit code" {
	detach_c sh -c 'while ! test -e /tmp/go; do usleep 20000; done; echo late; exit 6'
	docker_ attach "$ID" >"$T/out" 2>&1 </dev/null &
	sleep 0.3
	sh_c 'touch /tmp/go'
	status=0
	wait $! || status=$?
	assert_status 6
	assert_eq "$(<"$T/out")" late
}

@test "attach: hands on standard input" {
	EXTRA=(-i)
	detach_c sh -c 'read x; echo "<$x>"'
	# An end of input that comes too soon ends this version's client before the output comes.
	{ echo word; sleep 0.7; } | docker_ attach "$ID" >"$T/out"
	assert_eq "$(<"$T/out")" "<word>"
}

@test "attach: the detach keys leave the container running" {
	EXTRA=(-it)
	detach_c sh
	# docker waits for the terminal's echo of nothing: the keys must come later
	{ sleep 0.7; printf '\020\021'; sleep 0.5; } | on_tty attach "$ID" >"$T/out"
	assert_eq "$(show '{{.State.Running}}')" true
}

@test "attach: two see the same" {
	detach_c sh -c 'while ! test -e /tmp/go; do usleep 20000; done; seq 1000'
	docker_ attach "$ID" >"$T/one" 2>&1 </dev/null &
	docker_ attach "$ID" >"$T/two" 2>&1 </dev/null &
	sleep 0.4
	sh_c 'touch /tmp/go'
	wait
	assert_eq "$(md5sum <"$T/one")" "$(seq 1000 | md5sum)"
	assert_eq "$(md5sum <"$T/two")" "$(seq 1000 | md5sum)"
}

@test "top: lists the processes by their pids outside" {
	idle_c
	docker_ exec -d "$ID" sleep 777
	wait_for eval "docker_ top $ID | grep -q 'sleep 777'"
	docker_ top "$ID" | grep -q "$(show '{{.State.Pid}}')"
	docker_ top "$ID" -o pid,comm | grep -q sleep
}
