#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What is left when containerd or a shim is killed, and after many pods.

load helpers

# twenty: ten pods of two containers, one that goes on and one that exits with 30
# and its number, when $T/go is made. Each has written a line before that, and
# writes fifty after it.
twenty() {
	local n
	mkdir "$T/host"
	RUNS=() EXITS=()
	for n in {0..9}; do
		pod "p$n"
		container runs ".mounts = [{host_path: \"$T/host\", container_path: \"/host\"}]" \
			sh -c 'echo begun; until test -e /host/go; do usleep 50000; done; for i in $(seq 50); do echo "line $i"; done; touch /host/runs'"$n"'; while :; do sleep 1000; done'
		RUNS+=("$C")
		container exits ".mounts = [{host_path: \"$T/host\", container_path: \"/host\"}]" \
			sh -c 'echo begun; until test -e /host/go; do usleep 50000; done; for i in $(seq 50); do echo "line $i"; done; exit '"3$n # $ROOM_NETNS"
		EXITS+=("$C")
	done
	for n in {0..9}; do
		POD_CONFIG=$T/p$n.pod.json
		wait_for has_logged runs begun
		wait_for has_logged exits begun
	done
}
# check_running BEFORE: that those go on, with the pids that they had.
check_running() {
	local n
	for n in {0..9}; do
		wait_for is_c CONTAINER_RUNNING "${RUNS[n]}"
		C=${RUNS[n]} in_c echo hello
		assert_output hello
		POD_CONFIG=$T/p$n.pod.json
		wait_for eval '[[ $(logged runs | wc -l) == 51 ]]'
		assert_eq "$(logged runs)" "$WHOLE"
	done
	assert_eq "$(pids_of "${RUNS[@]}")" "$1"
	assert_eq "$(cri ListPodSandbox '{"filter": {"state": {"state": "SANDBOX_READY"}}}' | jq '.items | length')" 10
	assert_eq "$(shims | wc -l)" 10
}
check_exits() {
	local n
	for n in {0..9}; do
		wait_for is_c CONTAINER_EXITED "${EXITS[n]}"
		assert_eq "$(status_c '"\(.exit_code) \(.reason)"' "${EXITS[n]}")" "3$n Error"
	done
}
WHOLE=$(echo begun; seq -f 'line %g' 50)
# crash: containerd is killed, and comes back when all containers have gone on.
crash() {
	stop_daemon containerd KILL
	touch "$T/host/go"
	wait_for eval '[[ $(ls "$T/host" | grep -c runs) == 10 ]]'
	wait_for eval '[[ $(pgrep -fc "exit 3[0-9] # $ROOM_NETNS$") == 0 ]]'
	start_containerd
}
pids_of() {
	local id
	for id in "$@"; do pid_of_c "$id"; done
}

@test "containerd is killed while 20 containers run: they go on, and their logs are whole" {
	twenty
	local before
	before=$(pids_of "${RUNS[@]}")
	crash
	check_running "$before"
}

@test "containerd is killed while 20 containers run: ends that it did not see are reported with their codes" {
	twenty
	crash
	check_exits
}

# Read here as a containerd would that comes back: a real one may stop opening the
# fifo before it has begun, when the machine is busy.
@test "containerd is killed and a container ends: what it wrote last waits for who comes back" {
	mkdir "$T/host"
	pod a
	container one ".mounts = [{host_path: \"$T/host\", container_path: \"/host\"}]" \
		sh -c 'until test -e /host/go; do usleep 20000; done; for i in $(seq 50); do echo "line $i"; done'
	local pid fifo
	pid=$(pid_of_c)
	fifo=$(find "$ROOM/state" -type p -name "$C-stdout")
	stop_daemon containerd KILL
	touch "$T/host/go"
	wait_for ended "$pid"
	try timeout 5 cat "$fifo"
	start_containerd
	assert_ok
	assert_output "$(seq -f 'line %g' 50)"
	wait_for is_c CONTAINER_EXITED
}

@test "containerd is stopped and started while 20 containers run" {
	twenty
	local before
	before=$(pids_of "${RUNS[@]}")
	stop_daemon containerd TERM
	start_containerd
	touch "$T/host/go"
	check_running "$before"
	check_exits
	local n
	for n in {0..9}; do
		POD_CONFIG=$T/p$n.pod.json
		assert_eq "$(logged exits)" "$WHOLE"
	done
}

@test "containerd is killed, and a pod's containers are stopped and removed by the next one" {
	pod a
	container one . sleep 1000
	stop_daemon containerd KILL
	start_containerd
	stop_c 0
	assert_ok
	assert_eq "$(status_c .exit_code)" 137
	container two . sh -c 'echo hello'
	wait_for is_c CONTAINER_EXITED
	assert_eq "$(logged two)" hello
	assert_eq "$(shims | wc -l)" 1
}

@test "containerd is killed while pods are made and removed: what is left can be removed" {
	local n
	for n in {1..12}; do
		(T=$T/$n && mkdir "$T" && pod "p$n" && container one . sleep 1000 && stopp && rmp) >/dev/null 2>&1 3>&- &
	done
	wait_for eval '(($(shims | wc -l) >= 3))'
	stop_daemon containerd KILL
	wait
	start_containerd
	local id
	for id in $(cri ListPodSandbox | jq -r '.items[].id'); do
		stopp "$id"
		rmp "$id"
	done
	assert_eq "$(cri ListContainers | jq '.containers | length')" 0
	# A pod that the CRI plugin had not noted yet is containerd's only.
	remove_all k8s.io
	wait_for no_shims
	sweep # network namespaces that it was about to use
}

@test "a pod's shim is killed: its containers are gone, and said to be" {
	pod a
	container one . sleep 1000
	local one=$C pids
	container two . sleep 1000
	pids="$(info_p .pid) $(pid_of_c "$one") $(pid_of_c)"
	kill -9 "$(shims)"
	wait_for is_c CONTAINER_EXITED "$one"
	wait_for is_c CONTAINER_EXITED
	(($(status_c .exit_code) != 0)) || fail "want no success"
	wait_for eval '[[ $(status_p .state) == SANDBOX_NOTREADY ]]'
	local pid
	for pid in $pids; do wait_for ended "$pid"; done
	pod b
	once . echo hello
	assert_output hello
}

@test "a task's shim is killed: the task is gone" {
	detach_t sleep 1000
	local pid
	pid=$(pid_t)
	watch_events
	kill -9 "$(shims "$ID")"
	wait_for has_event exit
	wait_for ended "$pid"
	wait_for eval '[[ -z $(state_t) || $(state_t) == STOPPED ]]'
}

@test "100 pods by 8 workers: each runs its container, and nothing is left" {
	local worker before
	before=$(left)
	for worker in {1..8}; do
		(
			T=$T/$worker PIDS=()
			mkdir "$T"
			for ((n = worker; n <= 100; n += 8)); do
				pod "p$n"
				container one . sh -c "echo $n; sleep 1000"
				in_c echo "exec $n"
				assert_output "exec $n"
				wait_for has_logged one "^$n\$"
				stop_c 0
				stopp >/dev/null
				rmp >/dev/null
				echo "$n" >>"$T.done"
			done
		) >"$T/$worker.log" 2>&1 3>&- &
	done
	wait
	status=0 output=$(cat "$T"/*.log)
	assert_eq "$(cat "$T"/*.done | wc -l)" 100 || fail "workers failed"
	wait_for eval '[[ $(left) == "'"$before"'" ]]' || assert_eq "$(left)" "$before"
}
