#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What happens to a container between its start and its end, and what is told of it.

load helpers
setup() { podman_setup; }
teardown() { podman_teardown; }

# counting_c ARG…: says "up" for each of its starts in $T/ups.
counting_c() { detach_c -v "$T:/t" "$@"; }
ups() { wc -l <"$T/ups"; }
is_ups() { [[ $(ups) == "$1" ]]; }

# ---- signals -----------------------------------------------------------

@test "stop sends the stop signal, waits, and kills" {
	detach_c -v "$T:/t" bb sh -c 'trap "exit 3" TERM; touch /t/up; while :; do usleep 20000; done'
	wait_file up
	podman_ stop "$ID"
	assert_eq "$(show '{{.State.ExitCode}}')" 3
	NAME=$ID-2 detach_c --stop-timeout 1 bb sh -c 'trap "" TERM; while :; do usleep 20000; done'
	podman_ stop "$ID-2"
	assert_eq "$(show '{{.State.ExitCode}}' "$ID-2")" 137
}

@test "stop sends the signal that --stop-signal names" {
	detach_c -v "$T:/t" --stop-signal USR2 bb sh -c 'trap "exit 12" USR2; touch /t/up; while :; do usleep 20000; done'
	wait_file up
	podman_ stop "$ID"
	assert_eq "$(show '{{.State.ExitCode}}')" 12
}

@test "kill with a signal by name and by number" {
	detach_c -v "$T:/t" bb sh -c 'trap "touch /t/hup" HUP; trap "exit 5" USR1; touch /t/up; while :; do usleep 20000; done'
	wait_file up
	podman_ kill -s HUP "$ID"
	wait_file hup
	podman_ kill -s 10 "$ID"
	assert_eq "$(podman_ wait "$ID")" 5
}

@test "pause stops the clock of the container, unpause lets it run" {
	detach_c -v "$T:/t" bb sh -c 'while :; do echo x >>/t/ups; usleep 20000; done'
	wait_file ups
	podman_ pause "$ID"
	assert_eq "$(show '{{.State.Status}}')" paused
	before=$(ups)
	sleep 0.2
	assert_eq "$(ups)" "$before"
	exec_c true
	assert_fails
	podman_ unpause "$ID"
	more() { (($(ups) > before)); }
	wait_for more
}

@test "a paused container can be removed by force" {
	idle_c
	podman_ pause "$ID"
	podman_ rm -f -t 0 "$ID"
	is_gone
}

@test "restart is a new process of the same container" {
	counting_c bb sh -c 'echo up >>/t/ups; sleep 1000'
	wait_file ups
	pid=$(show '{{.State.Pid}}')
	podman_ restart -t 0 "$ID"
	wait_for is_ups 2
	[[ $(show '{{.State.Pid}}') != "$pid" ]]
}

@test "a stopped container starts again with what it had written" {
	detach_c bb sh -c 'cat /kept; echo kept >/kept'
	wait_exited
	podman_ start "$ID" >"$T/out"
	wait_for has_logged '^kept$'
}

# ---- restart policies --------------------------------------------------

@test "--restart=on-failure:2 starts it three times" {
	counting_c --restart=on-failure:2 bb sh -c 'echo up >>/t/ups; exit 3'
	is_over() { [[ $(show '{{.State.Status}} {{.RestartCount}}') == "exited 2" ]]; }
	wait_for is_over
	assert_eq "$(ups)" 3
}

@test "--restart=on-failure leaves a success alone" {
	counting_c --restart=on-failure bb sh -c 'echo up >>/t/ups'
	wait_exited
	assert_eq "$(ups) $(show '{{.RestartCount}}')" "1 0"
}

@test "--restart=always goes on after successes, until stop" {
	counting_c --restart=always bb sh -c 'echo up >>/t/ups; [ "$(wc -l </t/ups)" -lt 3 ] || sleep 1000'
	wait_for is_ups 3
	podman_ stop -t 0 "$ID" >"$T/out"
	wait_exited
	sleep 0.3
	assert_eq "$(ups)" 3
}

# ---- health ------------------------------------------------------------

@test "a health check that is run by hand" {
	idle_c --health-cmd 'test -e /t/well' --health-interval disable --health-retries 2 -v "$T:/t"
	assert_eq "$(show '{{.State.Health.Status}}')" starting
	try podman_ healthcheck run "$ID"
	assert_status 1
	try podman_ healthcheck run "$ID"
	assert_eq "$(show '{{.State.Health.Status}} {{.State.Health.FailingStreak}}')" "unhealthy 2"
	touch "$T/well"
	try podman_ healthcheck run "$ID"
	assert_ok
	assert_eq "$(show '{{.State.Health.Status}}')" healthy
}

@test "a health check's output and status are in its log" {
	idle_c --health-cmd 'echo diagnosis; exit 1' --health-interval disable
	try podman_ healthcheck run "$ID"
	show '{{json .State.Health.Log}}' >"$T/log"
	assert_eq "$(jq -r '.[0].ExitCode' "$T/log")" 1
	assert_eq "$(jq -r '.[0].Output' "$T/log" | xargs)" diagnosis
}

# What the timer executes is a Podman with the machine's configuration, not the room's.
@test "a health check with an interval has a timer of systemd's, as long as it lives" {
	[[ -d /run/systemd/system ]] || skip "Podman's timers are systemd's, which this machine does not run"
	idle_c --health-cmd true --health-interval 1h
	timer=$(show '{{.Id}}').timer
	systemctl is-active "$timer"
	podman_ rm -f -t 0 "$ID" >"$T/out"
	if systemctl is-active "$timer"; then fail "the timer is still there"; fi
}

# ---- what is told ------------------------------------------------------

@test "logs: since, tail, timestamps, and of two containers with names" {
	detach_c bb sh -c 'echo one; echo two; echo three >&2'
	wait_exited
	assert_eq "$(podman_ logs --tail 2 "$ID" 2>/dev/null)" two
	assert_eq "$(podman_ logs "$ID" 2>&1 >/dev/null)" three
	assert_eq "$(podman_ logs --since 1h "$ID" 2>&1 | wc -l)" 3
	assert_eq "$(podman_ logs --until 2020-01-01T00:00:00Z "$ID" 2>&1 | wc -l)" 0
	[[ $(podman_ logs -t "$ID" | head -n 1) == 20*" one" ]]
	NAME=$ID-b detach_c bb echo other
	wait_exited "$ID-b"
	try podman_ logs --names "$ID" "$ID-b"
	assert_has "$ID one"
	assert_has "$ID-b other"
}

@test "logs -f follows to the end of the container" {
	detach_c -v "$T:/t" bb sh -c 'echo early; while [ ! -e /t/end ]; do usleep 20000; done; echo late'
	podman_ logs -f "$ID" >"$T/out" 2>&1 </dev/null 3>&- &
	pid=$!
	wait_for grep -q early "$T/out"
	touch "$T/end"
	wait "$pid"
	assert_eq "$(<"$T/out")" $'early\nlate'
}

@test "log drivers: k8s-file, json-file, none and passthrough" {
	for driver in k8s-file json-file; do
		NAME=$ID-$driver detach_c --log-driver $driver bb echo line
		wait_exited "$ID-$driver"
		assert_eq "$(logged "$ID-$driver")" line
	done
	run_c --log-driver none bb echo shown
	assert_output shown
	# it gives the caller's own files to the container
	podman_ run --rm --log-driver passthrough "${BASE[@]}" bb readlink /proc/self/fd/1 >"$T/out" </dev/null
	[[ $(<"$T/out") != pipe:* && -s $T/out ]]
}

@test "--log-driver journald" {
	[[ -S /run/systemd/journal/socket ]] || skip "no journal on this machine"
	detach_c --log-driver journald --log-opt tag=berth-tag bb echo to-journal
	wait_exited
	wait_for has_logged to-journal
	journalctl -t berth-tag --no-pager -o cat | grep -qx to-journal
}

@test "--log-opt path and max-size" {
	detach_c --log-opt "path=$T/log" --log-opt max-size=20kb bb seq 1 20000
	wait_exited
	(($(stat -c %s "$T/log") <= 20480))
	assert_eq "$(podman_ logs --tail 1 "$ID")" 20000
}

@test "top shows the host's and the container's view" {
	idle_c --user 1000
	try podman_ top "$ID" pid hpid huser args capeff seccomp
	assert_ok
	assert_has "sleep 1000"
	assert_has " $(show '{{.State.Pid}}') "
	assert_has filter
}

@test "stats" {
	idle_c --memory 50m
	try podman_ stats --no-stream --format '{{.Name}} {{.PIDs}} {{.MemUsage}} {{.CPUPerc}}' "$ID"
	assert_ok
	assert_has "$ID 1 "
	assert_has "/ 52.43MB"
}

@test "events of a life, as JSON and filtered" {
	detach_c bb true
	wait_exited
	podman_ rm "$ID" >"$T/out"
	events_of() { podman_ events --stream=false --filter "container=$ID" --format '{{.Status}}' | xargs; }
	has_removed() { [[ $(events_of) == *remove ]]; }
	wait_for has_removed
	assert_eq "$(events_of)" "create init start died cleanup remove"
	assert_eq "$(podman_ events --stream=false --filter "container=$ID" --filter event=died --format json | jq -r .Name)" "$ID"
}

@test "wait: before and after the end, and for a state" {
	detach_c -v "$T:/t" bb sh -c 'while [ ! -e /t/end ]; do usleep 20000; done; exit 21'
	podman_ wait --condition running "$ID" >"$T/running"
	podman_ wait "$ID" >"$T/out" 2>&1 </dev/null 3>&- &
	pid=$!
	touch "$T/end"
	wait "$pid"
	assert_eq "$(<"$T/out") $(podman_ wait "$ID")" "21 21"
}

@test "rename while it runs" {
	idle_c
	podman_ rename "$ID" "$ID-new"
	assert_eq "$(podman_ ps --format '{{.Names}}')" "$ID-new"
	try podman_ exec "$ID-new" true
	assert_ok
}

@test "ps: filters, formats and sizes" {
	idle_c -l kind=idle
	NAME=$ID-b detach_c bb sh -c 'exit 3'
	wait_exited "$ID-b"
	assert_eq "$(podman_ ps -a --filter label=kind=idle --format '{{.Names}}')" "$ID"
	assert_eq "$(podman_ ps -a --filter exited=3 --format '{{.Names}}')" "$ID-b"
	assert_eq "$(podman_ ps -a --format json | jq length)" 2
	try podman_ ps -as
	assert_has virtual
}

@test "update changes a limit of a running container" {
	idle_c --memory 50m
	try podman_ update --memory 60m --cpu-shares 512 "$ID"
	assert_ok
	exec_c sh -c "$(cgroup_file memory/memory.limit_in_bytes memory.max)"
	assert_output 62914560
}

@test "container clone makes another one alike" {
	idle_c -e A=b --memory 50m
	podman_ container clone "$ID" "$ID-clone" >"$T/out"
	podman_ start "$ID-clone" >>"$T/out"
	try podman_ exec "$ID-clone" sh -c "echo \$A; $(cgroup_file memory/memory.limit_in_bytes memory.max)"
	assert_output $'b\n52428800'
}

@test "checkpoint is refused, and the container runs on" {
	ours || skip "Berth has no checkpoints, the others need CRIU"
	idle_c
	try podman_ container checkpoint "$ID"
	assert_status 125
	assert_has checkpoint
	exec_c true
	assert_ok
}

@test "container prune removes what has ended, and nothing else" {
	idle_c
	NAME=$ID-b detach_c bb true
	wait_exited "$ID-b"
	podman_ container prune -f >"$T/out"
	assert_eq "$(podman_ ps -a --format '{{.Names}}')" "$ID"
}

@test "generate systemd writes a unit that names the container" {
	idle_c
	try podman_ generate systemd --name "$ID"
	assert_ok
	assert_has "ExecStart=/usr/bin/podman start $ID"
	assert_has Type=forking
}

# ---- files and images of containers ------------------------------------

@test "cp into and out of a container that runs, and of one that does not" {
	idle_c
	mkdir "$T/dir"
	echo content >"$T/dir/f"
	podman_ cp "$T/dir" "$ID:/tmp/"
	exec_c cat /tmp/dir/f
	assert_output content
	podman_ stop -t 0 "$ID" >"$T/out"
	podman_ cp "$ID:/tmp/dir/f" "$T/back"
	assert_eq "$(<"$T/back")" content
	try podman_ cp "$ID:/no/such" "$T/x"
	assert_fails
}

@test "diff, commit and run of what was committed" {
	idle_c
	podman_ exec "$ID" sh -c 'echo new >/made; rm /etc/group'
	try podman_ diff "$ID"
	assert_has "A /made"
	assert_has "D /etc/group"
	podman_ commit -q --change 'CMD ["cat","/made"]' "$ID" "$ID-image" >"$T/out"
	run_c "$ID-image"
	assert_output new
	podman_ rmi "$ID-image" >"$T/out"
}

@test "export and import" {
	detach_c bb sh -c 'echo new >/made'
	wait_exited
	podman_ export -o "$T/x.tar" "$ID"
	podman_ import -q "$T/x.tar" "$ID-image" >"$T/out"
	run_c "$ID-image" cat /made
	assert_output new
	podman_ rmi "$ID-image" >"$T/out"
}

@test "save and load" {
	podman_ save -q -o "$T/x.tar" bb
	podman_ tag bb "$ID-copy"
	podman_ rmi "$ID-copy" >"$T/out"
	try podman_ load -q -i "$T/x.tar"
	assert_ok
	assert_has localhost/bb
}

@test "mount shows the files of a container" {
	idle_c
	podman_ exec "$ID" touch /made
	dir=$(podman_ mount "$ID")
	room_enter test -e "$dir/made"
	podman_ umount "$ID" >"$T/out"
}
