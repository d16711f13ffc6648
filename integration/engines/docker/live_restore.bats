#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Containers live on while dockerd does not.

load helpers

setup_file() {
	make_docker_room live
	configure
	start_docker
	load_busybox
}
teardown_file() { end_docker_room; }

# without_daemon SIGNAL COMMAND…: it is run while there is no dockerd.
without_daemon() {
	local containerd
	containerd=$(containerd_pid)
	stop_daemon dockerd "$1"
	WAIT=10 wait_for ended "$containerd" || kill -KILL "$containerd"
	shift
	"$@"
	start_docker
}
# counter: a container that writes numbered lines all the time.
counter() { detach_c sh -c 'i=0; while :; do echo $((i += 1)); usleep 10000; done'; }
# complete: its lines are all the numbers up to the last.
complete() { [[ $(docker_ logs "$1" | md5sum) == "$(seq "$(docker_ logs "$1" | tail -n1)" | md5sum)" ]]; }

@test "live restore: containers live on while dockerd is stopped and started" {
	idle_c
	pid=$(show '{{.State.Pid}}')
	without_daemon TERM test -e "/proc/$pid"
	assert_eq "$(show '{{.State.Pid}} {{.State.Status}}')" "$pid running"
	exec_c echo still
	assert_output still
}

@test "live restore: dockerd and containerd are killed" {
	idle_c
	pid=$(show '{{.State.Pid}}')
	without_daemon KILL test -e "/proc/$pid"
	assert_eq "$(show '{{.State.Pid}} {{.State.Status}}')" "$pid running"
	docker_ stop -t 0 "$ID" >/dev/null
	assert_eq "$(show '{{.State.Status}} {{.State.ExitCode}}')" "exited 137"
}

@test "live restore: no line of the log is missing" {
	counter
	wait_for has_logged '^20$'
	without_daemon KILL sleep 0.5
	after=$(docker_ logs "$ID" | tail -n1)
	wait_for has_logged "^$((after + 50))$"
	docker_ pause "$ID" >/dev/null
	complete "$ID"
}

@test "live restore: an exit in between is reported with its code" {
	old || [[ $ENGINE_SHIM == berth ]] || skip "from runc's shim, docker 28 takes 255 for it, whatever the runtime"
	detach_c sh -c 'while ! test -e /tmp/go; do usleep 20000; done; exit 23'
	pid=$(show '{{.State.Pid}}')
	end() { touch "/proc/$pid/root/tmp/go" && wait_for ended "$pid"; }
	without_daemon KILL end
	wait_status exited
	assert_eq "$(show '{{.State.ExitCode}}')" 23
}

@test "live restore: what ended in between is started again, if its policy says so" {
	EXTRA=(--restart always)
	idle_c
	pid=$(show '{{.State.Pid}}')
	end() { kill -KILL "$pid" && wait_for ended "$pid"; }
	without_daemon KILL end
	WAIT=10 wait_for is_shown '{{.State.Status}}' running
	[[ $(show '{{.State.Pid}}') != "$pid" ]]
}

@test "live restore: a paused container, a terminal, and a published port" {
	AS_ID=$ID-paused idle_c
	docker_ pause "$ID-paused" >/dev/null
	EXTRA=(-t)
	AS_ID=$ID-tty detach_c sh -c 'echo on a terminal; sleep 1000'
	EXTRA=(-p 127.0.0.1:18090:80)
	AS_ID=$ID-port detach_c httpd -f -p 80
	without_daemon TERM true
	assert_eq "$(show '{{.State.Status}}' "$ID-paused")" paused
	docker_ unpause "$ID-paused" >/dev/null
	docker_ exec "$ID-paused" true
	docker_ exec -t "$ID-tty" true
	has_logged "on a terminal" "$ID-tty"
	in_room bash -c 'exec 8<>/dev/tcp/127.0.0.1/18090'
}

@test "live restore: a health check goes on" {
	never old || skip "dockerd 20.10 does not take health checks up again, whatever the runtime"
	EXTRA=(--health-cmd 'test -e /tmp/well' --health-interval 200ms)
	idle_c
	without_daemon TERM true
	sh_c 'touch /tmp/well'
	wait_for is_shown '{{.State.Health.Status}}' healthy
}

@test "live restore: an exec that was running goes on" {
	idle_c
	docker_ exec -d "$ID" sh -c 'sleep 3333'
	wait_for pgrep -fx 'sleep 3333'
	without_daemon KILL pgrep -fx 'sleep 3333'
	docker_ top "$ID" | grep -q 'sleep 3333'
	docker_ rm -f "$ID" >/dev/null
	wait_for eval "! pgrep -fx 'sleep 3333'"
}

@test "live restore: without it, containers end with dockerd" {
	docker_ info -f '{{.LiveRestoreEnabled}}' | grep -qx true
	configure '."live-restore" = false'
	stop_daemon dockerd
	start_docker
	EXTRA=(--stop-timeout 1)
	idle_c
	pid=$(show '{{.State.Pid}}')
	stop_daemon dockerd
	ended "$pid"
	start_docker
	assert_eq "$(show '{{.State.Status}}')" exited
	configure
	stop_daemon dockerd
	start_docker
}
