#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The application of app/: a web server, a worker, a database. The cases are steps
# of one life: up, use, scale, restart, down, up again.

bats_require_minimum_version 1.5.0
source "$BATS_TEST_DIRNAME/../docker/daemon.bash"

setup_file() {
	local events
	LIMIT=100 docker_ events --filter type=container --filter event=health_status --filter event=start \
		--format '{{.Action}} {{index .Actor.Attributes "com.docker.compose.service"}}' >"$ROOM/events" 2>&1 </dev/null &
	events=$!
	compose up -d --build >"$ROOM/up.log" 2>&1 </dev/null || { cat "$ROOM/up.log" >&2; return 1; }
	wait_for grep -q 'start web' "$ROOM/events"
	kill "$events"
}
teardown_file() { compose down -v --remove-orphans -t 1 >/dev/null 2>&1; }
setup() { T=$BATS_TEST_TMPDIR; }
teardown() { [[ -n ${BATS_TEST_COMPLETED:-} ]] || compose ps >&2; }

compose() {
	(cd "$BATS_TEST_DIRNAME/app" && DOCKER_HOST=unix://$ROOM/docker.sock DOCKER_CONFIG=$ROOM/cli COMPOSE_DOCKER_CLI_BUILD=0 PORT=18180 \
		timeout --foreground -k 1 120 docker-compose -p example "$@" 3>&-)
}
# web PATH: what the application answers.
web() { in_room timeout 5 bash -c "exec 8<>/dev/tcp/127.0.0.1/18180 || exit; printf 'GET $1 HTTP/1.0\r\n\r\n' >&8; tail -n1 <&8"; }
answers() { web / | grep -q '^visit [0-9]'; }
visits() { web / | cut -d' ' -f2; }
# running SERVICE: how many.
running() { docker_ ps -q --filter "label=com.docker.compose.service=$1" --filter status=running | wc -l; }
are_running() { [[ $(running "$1") == "$2" ]]; }
container() { compose ps -q "$1" | head -n1; }
is_done() { web /done | grep -q "$1@"; }

@test "compose: three services are up, and built by the runtime" {
	assert_eq "$(running db) $(running worker) $(running web)" "1 1 1"
	for service in db worker web; do
		assert_eq "$(docker_ inspect -f '{{.HostConfig.Runtime}}' "$(container $service)")" "$ENGINE_RUNTIME"
	done
	docker_ run --rm berth-example-app ls /app/__pycache__ | grep -q web
}

@test "compose: nothing that depends on the database came before it was healthy" {
	assert_eq "$(grep -E 'db$' "$ROOM/events" | xargs)" "start db health_status: healthy db"
	for service in worker web; do
		[[ $(grep -n "start $service" "$ROOM/events" | cut -d: -f1) -gt $(grep -n 'healthy db' "$ROOM/events" | cut -d: -f1) ]] || fail "$service was before"
	done
}

@test "compose: the published port answers, by way of the database" {
	wait_for answers
	first=$(visits)
	assert_eq "$(visits)" $((first + 1))
}

@test "compose: the worker does what the web server is given" {
	wait_for answers
	web /put/something
	wait_for is_done something
}

@test "compose: limits of each service" {
	assert_eq "$(docker_ exec "$(container db)" sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null')" $((128 << 20))
	assert_eq "$(docker_ exec "$(container web)" sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null')" $((96 << 20))
	assert_eq "$(docker_ exec "$(container worker)" sh -c 'cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null')" 50
	assert_eq "$(docker_ exec "$(container worker)" sh -c 'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null' | cut -d' ' -f1)" 50000
}

@test "compose: exec, with its exit code and its user" {
	assert_eq "$(compose exec -T web id -un)" www-data
	try compose exec -T worker sh -c 'exit 5'
	assert_status 5
	try compose exec -T web touch /app/x
	assert_fails "Read-only file system"
}

@test "compose: the internal network has no way out, and names of services" {
	compose exec -T worker getent hosts db >/dev/null
	try compose exec -T worker getent hosts nobody
	assert_fails
	assert_eq "$(docker_ inspect -f '{{len .NetworkSettings.Networks}}' "$(container web)")" 2
}

@test "compose: logs of all services" {
	wait_for answers
	compose logs --no-color >"$T/logs"
	grep -q 'db_1 .*Ready to accept connections' "$T/logs"
	grep -q 'worker_1 .*is ready' "$T/logs"
	grep -q 'web_1 .*GET / ' "$T/logs"
}

@test "compose: a service scaled to five, which share the work" {
	compose up -d --scale worker=5 >/dev/null 2>&1
	assert_eq "$(running worker)" 5
	for i in $(seq 40); do web "/put/job$i" >/dev/null; done
	all_done() { [[ $(web /done | tr ' ' '\n' | grep -c '^job') == 40 ]]; }
	WAIT=20 wait_for all_done
	(($(web /done | tr ' ' '\n' | grep '^job' | cut -d@ -f2 | sort -u | wc -l) >= 2)) || fail "one worker did all"
}

@test "compose: scaled down to one, and those that go were told" {
	compose up -d --scale worker=5 >/dev/null 2>&1
	compose up -d --scale worker=1 -t 10 >/dev/null 2>&1
	assert_eq "$(running worker)" 1
}

@test "compose: ps and top" {
	assert_eq "$(compose ps --services | sort | xargs)" "db web worker"
	compose top db | grep -q redis-server
}

@test "compose: restart of a service, and of one that is killed" {
	before=$(docker_ inspect -f '{{.State.Pid}}' "$(container web)")
	compose restart -t 1 web >/dev/null 2>&1
	wait_for answers
	after=$(docker_ inspect -f '{{.State.Pid}}' "$(container web)")
	[[ $after != "$before" ]] || fail "the same process"
	kill -KILL "$after"
	again() { [[ $(docker_ inspect -f '{{.State.Pid}}' "$(container web)") -gt 0 && $(docker_ inspect -f '{{.RestartCount}}' "$(container web)") == 1 ]]; }
	WAIT=10 wait_for again
	WAIT=10 wait_for answers
}

@test "compose: pause and unpause the database" {
	wait_for answers
	compose pause db >/dev/null 2>&1
	assert_eq "$(docker_ inspect -f '{{.State.Status}}' "$(container db)")" paused
	never answers
	compose unpause db >/dev/null 2>&1
	wait_for answers
}

@test "compose: stop and start, and the exit code of who was told to" {
	compose stop -t 10 worker >/dev/null 2>&1
	assert_eq "$(docker_ inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$(docker_ ps -aq --filter label=com.docker.compose.service=worker | head -n1)")" "exited 0"
	compose start worker >/dev/null 2>&1
	WAIT=10 wait_for are_running worker 1
}

@test "compose: rm of a stopped service" {
	compose stop -t 1 worker >/dev/null 2>&1
	compose rm -f worker >/dev/null 2>&1
	assert_eq "$(docker_ ps -aq --filter label=com.docker.compose.service=worker)" ""
	compose up -d worker >/dev/null 2>&1
	assert_eq "$(running worker)" 1
}

@test "compose: run of a single command" {
	assert_eq "$(compose run --rm -T worker redis-cli -h db ping 2>/dev/null)" PONG
}

@test "compose: the data is kept over down and up" {
	wait_for answers
	web /put/precious
	wait_for is_done precious
	before=$(visits)
	compose down -t 5 >/dev/null 2>&1
	assert_eq "$(docker_ ps -aq)" ""
	compose up -d >/dev/null 2>&1
	wait_for answers
	is_done precious
	(($(visits) > before)) || fail "the visits began anew"
}

@test "compose: down -v leaves no container, network or volume" {
	compose down -v -t 5 >/dev/null 2>&1
	assert_eq "$(docker_ ps -aq)$(docker_ volume ls -q)$(docker_ network ls -q --filter type=custom)" ""
	assert_eq "$(pgrep -fc -- "containerd-shim.*$ROOM/")" 0
}
