#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Health checks and restart policies.

load helpers

@test "health: starting, then healthy" {
	EXTRA=(--health-cmd 'test -e /tmp/well' --health-interval 200ms --health-retries 100)
	idle_c
	assert_eq "$(show '{{.State.Health.Status}}')" starting
	sh_c 'touch /tmp/well'
	wait_for is_shown '{{.State.Health.Status}}' healthy
}

@test "health: unhealthy after its retries, and well again" {
	EXTRA=(--health-cmd 'echo checked; test ! -e /tmp/ill' --health-interval 200ms --health-retries 2)
	idle_c
	wait_for is_shown '{{.State.Health.Status}}' healthy
	sh_c 'touch /tmp/ill'
	wait_for is_shown '{{.State.Health.Status}}' unhealthy
	show '{{json .State.Health.Log}}' | jq -e '.[-1] | .ExitCode == 1 and .Output == "checked\n"'
	sh_c 'rm /tmp/ill'
	wait_for is_shown '{{.State.Health.Status}}' healthy
}

@test "health: a check that takes too long is a failure" {
	EXTRA=(--health-cmd 'sleep 100' --health-interval 100ms --health-timeout 300ms --health-retries 1)
	idle_c
	wait_for is_shown '{{.State.Health.Status}}' unhealthy
	show '{{json .State.Health.Log}}' | jq -e '.[-1].Output | contains("exceeded timeout")'
}

@test "health: the image's check, and --no-healthcheck" {
	printf 'FROM bb\nHEALTHCHECK --interval=200ms CMD true\n' | docker_ build -q -t "health-$ID" - >/dev/null
	IMAGE=health-$ID AS_ID=$ID-a detach_c sleep 1000
	wait_for is_shown '{{.State.Health.Status}}' healthy "$ID-a"
	EXTRA=(--no-healthcheck)
	IMAGE=health-$ID AS_ID=$ID-b detach_c sleep 1000
	assert_eq "$(show '{{.State.Health}}' "$ID-b")" "<nil>"
	docker_ rm -f "$ID-a" "$ID-b" >/dev/null
	docker_ rmi "health-$ID" >/dev/null
}

@test "health: its events are told" {
	since=$(date +%s.%N)
	EXTRA=(--health-cmd true --health-interval 100ms)
	idle_c
	wait_for is_shown '{{.State.Health.Status}}' healthy
	docker_ events --since "$since" --until "$(date +%s.%N)" --filter "container=$ID" --format '{{.Action}}' | grep -q 'health_status: healthy'
}

@test "restart: on-failure gives up after its number" {
	EXTRA=(--restart on-failure:2)
	detach_c sh -c 'echo run; exit 4'
	WAIT=10 wait_for is_shown '{{.State.Status}} {{.RestartCount}}' "exited 2"
	assert_eq "$(logged | grep -c run)" 3
	assert_eq "$(show '{{.State.ExitCode}}')" 4
}

@test "restart: on-failure leaves a success alone" {
	EXTRA=(--restart on-failure)
	detach_c true
	wait_status exited
	sleep 0.4
	assert_eq "$(show '{{.State.Status}} {{.RestartCount}}')" "exited 0"
}

@test "restart: always starts a killed process again" {
	EXTRA=(--restart always)
	idle_c
	pid=$(show '{{.State.Pid}}')
	kill -KILL "$pid"
	wait_for eval '[[ $(show "{{.RestartCount}} {{.State.Status}}") == "1 running" ]]'
	[[ $(show '{{.State.Pid}}') != "$pid" ]]
}

@test "restart: always, also after a success, with the files that it had" {
	EXTRA=(--restart always)
	detach_c sh -c 'echo x >>/root/runs; [ $(wc -l </root/runs) -lt 3 ] && exit 0; sleep 1000'
	WAIT=10 wait_for is_shown '{{.RestartCount}} {{.State.Status}}' "2 running"
}

@test "restart: what was stopped stays so" {
	EXTRA=(--restart unless-stopped)
	idle_c
	docker_ stop -t 0 "$ID" >/dev/null
	sleep 0.4
	assert_eq "$(show '{{.State.Status}}')" exited
	docker_ start "$ID" >/dev/null
	kill -KILL "$(show '{{.State.Pid}}')"
	wait_for is_shown '{{.RestartCount}} {{.State.Status}}' "1 running"
}

@test "restart: a program that is missing is not tried again" {
	EXTRA=(--restart always)
	try docker_ run -d --name "$ID" "${EXTRA[@]}" bb no-such-program
	assert_status 127
	sleep 0.3
	assert_eq "$(show '{{.RestartCount}}')" 0
}
