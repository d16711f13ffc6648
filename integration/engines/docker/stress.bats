#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Many at a time, and what is left of them: nothing. ENGINE_STRESS=N containers a round.

load helpers

setup_file() {
	ENGINE_SHIM=$(ours && echo berth) make_docker_room stress
	configure
	start_docker
	load_busybox
	# What the first container brings for good is not its own.
	docker_ run --rm bb true
	sleep 0.5
}
teardown_file() { end_docker_room; }

# work N: one worker's containers, each started, exec'd and removed.
work() {
	local i name
	for ((i = 0; i < ${ENGINE_STRESS:-200} / 8; i++)); do
		name=$ID-$1-$i
		docker_ run -d --name "$name" bb sleep 1000 >/dev/null || echo "run $name"
		[[ $(docker_ exec "$name" echo "in $name") == "in $name" ]] || echo "exec $name"
		docker_ rm -f "$name" >/dev/null || echo "rm $name"
	done >>"$T/failures" 2>&1 </dev/null
}

round() {
	local i before pids=()
	before=$(room_census)
	: >"$T/failures"
	for i in 1 2 3 4 5 6 7 8; do
		work "$i" 3>&- &
		pids+=($!)
	done
	wait "${pids[@]}"
	assert_eq "$(<"$T/failures")" ""
	assert_eq "$(docker_ ps -aq)" ""
	assert_census "$before"
}

@test "stress: 200 containers by 8 workers, and nothing is left" { round; }
@test "stress: 200 containers by 8 workers, again" { round; }
@test "stress: 200 containers by 8 workers, a third time" { round; }

@test "stress: dockerd and containerd are killed under 20 containers" {
	before=$(room_census)
	for i in $(seq 17); do
		AS_ID=$ID-$i detach_c sh -c 'i=0; while :; do echo $((i += 1)); usleep 30000; done'
	done
	for i in 18 19 20; do
		AS_ID=$ID-$i detach_c sh -c "while ! test -e /tmp/go; do usleep 20000; done; exit $i"
	done
	pids=$(docker_ ps -q | xargs "$(client)" -H "unix://$ROOM/docker.sock" inspect -f '{{.Name}} {{.State.Pid}}' | sort)
	containerd=$(containerd_pid)
	dockerd=$(daemon_pid dockerd)
	kill -KILL "$dockerd" "$containerd"
	wait_for ended "$containerd"
	stop_daemon dockerd KILL
	while read -r name pid; do
		test -e "/proc/$pid"
		case ${name#"/$ID-"} in 18 | 19 | 20) touch "/proc/$pid/root/tmp/go" && wait_for ended "$pid" ;; esac
	done <<<"$pids"
	start_docker
	for i in $(seq 17); do
		is_shown '{{.State.Status}}' running "$ID-$i"
		grep -qx "/$ID-$i $(show '{{.State.Pid}}' "$ID-$i")" <<<"$pids"
		after=$(docker_ logs --tail 1 "$ID-$i")
		wait_for has_logged "^$((after + 5))$" "$ID-$i"
		docker_ pause "$ID-$i" >/dev/null
		docker_ logs "$ID-$i" >"$T/log"
		cmp "$T/log" <(seq "$(tail -n1 "$T/log")")
		docker_ unpause "$ID-$i" >/dev/null
		docker_ exec "$ID-$i" true
	done
	for i in 18 19 20; do
		wait_status exited "$ID-$i"
		assert_eq "$(show '{{.State.ExitCode}}' "$ID-$i")" "$i"
	done
	docker_ ps -aq | xargs "$(client)" -H "unix://$ROOM/docker.sock" rm -f >/dev/null
	assert_census "$before"
}
