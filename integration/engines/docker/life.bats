#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# stop, kill, pause, restart, wait, rename, cp, diff, commit, export, events, stats.

load helpers

# on_signal SIGNAL CODE: a container that exits with it then.
on_signal() {
	detach_c sh -c "trap 'echo got $1; exit $2' $1; echo ready; while :; do usleep 30000; done"
	wait_for has_logged ready
}

@test "stop: sends SIGTERM and waits" {
	on_signal TERM 11
	docker_ stop "$ID" >/dev/null
	assert_eq "$(show '{{.State.Status}} {{.State.ExitCode}}')" "exited 11"
}

@test "stop: kills what does not listen after its time" {
	idle_c
	start=$SECONDS
	docker_ stop -t 1 "$ID" >/dev/null
	((SECONDS - start < 8))
	assert_eq "$(show '{{.State.ExitCode}}')" 137
}

@test "stop: --stop-signal and --stop-timeout are the container's" {
	EXTRA=(--stop-signal USR2 --stop-timeout 1)
	on_signal USR2 12
	docker_ stop "$ID" >/dev/null
	assert_eq "$(show '{{.State.ExitCode}}')" 12
}

@test "kill: a signal by name and by number" {
	EXTRA=()
	detach_c sh -c 'trap "echo one" USR1; trap "echo two" 12; echo ready; while :; do usleep 30000; done'
	wait_for has_logged ready
	docker_ kill -s USR1 "$ID" >/dev/null
	wait_for has_logged one
	docker_ kill -s 12 "$ID" >/dev/null
	wait_for has_logged two
	assert_eq "$(show '{{.State.Running}}')" true
}

@test "kill: a container that is not running is refused" {
	keep_c true
	try docker_ kill "$ID"
	assert_fails "is not running"
}

@test "pause: nothing runs until unpause" {
	detach_c sh -c 'i=0; while :; do i=$((i+1)); echo $i >/tmp/n; usleep 10000; done'
	wait_for docker_ exec "$ID" test -s /tmp/n
	docker_ pause "$ID" >/dev/null
	assert_eq "$(show '{{.State.Status}} {{.State.Paused}}')" "paused true"
	file=/proc/$(show '{{.State.Pid}}')/root/tmp/n
	before=$(<"$file")
	sleep 0.2
	assert_eq "$(<"$file")" "$before"
	docker_ unpause "$ID" >/dev/null
	assert_eq "$(show '{{.State.Status}}')" running
	wait_for eval "[[ \$(<$file) != '$before' ]]"
}

@test "pause: twice is refused, and unpause of what runs" {
	idle_c
	docker_ pause "$ID" >/dev/null
	try docker_ pause "$ID"
	assert_fails "already paused"
	docker_ unpause "$ID" >/dev/null
	try docker_ unpause "$ID"
	assert_fails "is not paused"
}

@test "pause: a paused container can be killed and removed" {
	idle_c
	docker_ pause "$ID" >/dev/null
	docker_ rm -f "$ID" >/dev/null
	never docker_ inspect "$ID" >/dev/null 2>&1
}

@test "pause: stop ends a paused container" {
	idle_c
	docker_ pause "$ID" >/dev/null
	docker_ stop -t 1 "$ID" >/dev/null
	assert_eq "$(show '{{.State.Status}} {{.State.Paused}}')" "exited false"
}

@test "restart: a new process in the same container" {
	idle_c
	sh_c 'echo kept >/root/file'
	pid=$(show '{{.State.Pid}}')
	docker_ restart -t 0 "$ID" >/dev/null
	[[ $(show '{{.State.Pid}}') != "$pid" ]]
	assert_eq "$(sh_c 'cat /root/file')" kept
}

@test "start: again, after its end, five times" {
	detach_c sh -c 'echo run >>/root/runs; exit $(wc -l </root/runs)'
	for i in 1 2 3 4 5; do
		wait_status exited
		assert_eq "$(show '{{.State.ExitCode}}')" "$i"
		docker_ start "$ID" >/dev/null
	done
}

@test "wait: prints the exit code when it comes" {
	detach_c sh -c 'usleep 400000; exit 8'
	assert_eq "$(docker_ wait "$ID")" 8
}

@test "wait: of several" {
	AS_ID=$ID-a detach_c sh -c 'exit 1'
	AS_ID=$ID-b detach_c sh -c 'exit 2'
	assert_eq "$(docker_ wait "$ID-a" "$ID-b" | xargs)" "1 2"
}

@test "rename: a running container" {
	idle_c
	docker_ rename "$ID" "$ID-new"
	assert_eq "$(show '{{.Name}} {{.State.Running}}' "$ID-new")" "/$ID-new true"
}

@test "rm: a running container is refused without -f" {
	idle_c
	try docker_ rm "$ID"
	assert_fails "container before"
	docker_ rm -f "$ID" >/dev/null
}

@test "cp: to and from a running container" {
	idle_c
	echo in >"$T/file"
	docker_ cp "$T/file" "$ID:/tmp/in"
	assert_eq "$(sh_c 'cat /tmp/in')" in
	sh_c 'mkdir /tmp/dir; echo out >/tmp/dir/out'
	docker_ cp "$ID:/tmp/dir" "$T/dir"
	assert_eq "$(<"$T/dir/out")" out
	assert_eq "$(show '{{.State.Running}}')" true
}

@test "cp: to and from one that has ended, and as a tar" {
	keep_c sh -c 'echo x >/root/x'
	assert_eq "$(docker_ cp "$ID:/root/x" - | tar -xO)" x
	echo new >"$T/new"
	docker_ cp "$T/new" "$ID:/root/new"
	assert_eq "$(docker_ cp "$ID:/root/new" - | tar -xO)" new
}

@test "diff: what was added, changed and deleted" {
	keep_c sh -c 'echo x >/root/new; rm /etc/group; echo >>/etc/passwd'
	docker_ diff "$ID" >"$T/diff"
	grep -qx 'A /root/new' "$T/diff"
	grep -qx 'D /etc/group' "$T/diff"
	grep -qx 'C /etc/passwd' "$T/diff"
	never grep -qE '/(proc|dev|sys)/' "$T/diff"
}

@test "commit: an image of a running container" {
	idle_c
	sh_c 'echo inside >/root/file'
	docker_ commit --change 'CMD ["cat","/root/file"]' "$ID" "committed-$ID" >/dev/null
	assert_eq "$(docker_ run --rm "committed-$ID")" inside
	docker_ rmi "committed-$ID" >/dev/null
}

@test "export: the container's files as a tar" {
	keep_c sh -c 'echo x >/root/file'
	assert_eq "$(docker_ export "$ID" | tar -xO root/file)" x
}

@test "events: come in their order" {
	since=$(date +%s.%N)
	on_signal TERM 13
	docker_ pause "$ID" >/dev/null
	docker_ unpause "$ID" >/dev/null
	docker_ stop "$ID" >/dev/null
	docker_ rm "$ID" >/dev/null
	docker_ events --since "$since" --until "$(date +%s.%N)" --filter "container=$ID" --format '{{.Action}}' >"$T/events"
	# Which of die and stop is first is the daemon's, and differs by its version.
	assert_eq "$(grep -vE 'attach|stop' "$T/events" | xargs)" "create start pause unpause kill die destroy"
	grep -qx stop "$T/events"
}

@test "events: die has the exit code" {
	since=$(date +%s.%N)
	keep_c sh -c 'exit 21'
	docker_ events --since "$since" --until "$(date +%s.%N)" --filter "container=$ID" --filter event=die \
		--format '{{.Actor.Attributes.exitCode}}' >"$T/events"
	assert_eq "$(<"$T/events")" 21
}

@test "stats: memory, pids and CPU of a busy container" {
	EXTRA=(--memory 64m)
	detach_c sh -c 'while :; do :; done'
	docker_ stats --no-stream --format '{{.MemUsage}} | {{.PIDs}} | {{.CPUPerc}}' "$ID" >"$T/stats"
	grep -q '/ 64MiB | 1 | ' "$T/stats"
	[[ $(sed 's/.*| //; s/\..*//; s/%//' "$T/stats") -gt 5 ]] || fail "$(<"$T/stats")"
}

@test "stats: without a stream, of all" {
	AS_ID=$ID-a idle_c
	AS_ID=$ID-b idle_c
	assert_eq "$(docker_ stats --no-stream --format '{{.Name}}' | sort | xargs)" "$ID-a $ID-b"
}

@test "inspect: the state, with times and the pid" {
	idle_c
	assert_eq "$(show '{{.State.Status}} {{.State.Running}} {{.State.ExitCode}} {{.HostConfig.Runtime}}')" "running true 0 $ENGINE_RUNTIME"
	assert_eq "$(cat "/proc/$(show '{{.State.Pid}}')/comm")" sleep
	docker_ kill "$ID" >/dev/null
	assert_eq "$(show '{{.State.Status}} {{.State.Pid}}')" "exited 0"
	[[ $(show '{{.State.FinishedAt}}') > $(show '{{.State.StartedAt}}') ]]
}

@test "ps: filters by status and exit code" {
	AS_ID=$ID-up idle_c
	AS_ID=$ID-down detach_c sh -c 'exit 3'
	wait_status exited "$ID-down"
	assert_eq "$(docker_ ps --filter status=running --format '{{.Names}}')" "$ID-up"
	assert_eq "$(docker_ ps -a --filter exited=3 --format '{{.Names}}')" "$ID-down"
	docker_ ps -a --format '{{.Status}}' | grep -q 'Exited (3)'
}
