# SPDX-License-Identifier: Apache-2.0
# Containers by ctr, one id per case, and a teardown that fails when a shim, a
# mount, a socket or a cgroup is left.

bats_require_minimum_version 1.5.0
source "$BATS_TEST_DIRNAME/containerd.bash"
source "$BATS_TEST_DIRNAME/../cases.bash"
SHIM=${SHIM:-io.containerd.berth.v2}

setup() {
	ID=s$BATS_ROOT_PID-$BATS_SUITE_TEST_NUMBER
	T=$BATS_TEST_TMPDIR
	EXTRA=()
}

teardown() {
	local bad=0 id left
	[[ -n ${BATS_TEST_COMPLETED:-} ]] || tail -n 5 "$CD/log" >&2
	for id in $(ctr_ container ls -q | grep "^$ID"); do
		ctr_ task rm -f "$id" >/dev/null 2>&1 || true
		ctr_ container rm "$id" >/dev/null 2>&1 || true
	done
	wait_for no_shims || { echo "shims left: $(shims)" >&2; bad=1; }
	left=$(grep -F "$CD/state/io.containerd.runtime.v2.task/default/$ID" /proc/self/mountinfo || true)
	[[ -z $left ]] || { echo "mounts left: $left" >&2; bad=1; }
	left=$(ls -d /sys/fs/cgroup/*"$SUITE_CGROUP/$ID"* /sys/fs/cgroup"$SUITE_CGROUP/$ID"* 2>/dev/null || true)
	[[ -z $left ]] || { echo "cgroups left: $left" >&2; bad=1; }
	return $bad
}

# shims: pids of the shims of this case.
shims() { pgrep -f "containerd-shim-[a-z]*-v2 .*-id $ID" || true; }
shim_pid() { pgrep -f "containerd-shim-[a-z]*-v2 .*-id ${1:-$ID} " | head -n1; }
no_shims() { [[ -z $(shims) ]]; }

# run_ct ARG…: in the foreground, removed afterwards. EXTRA are flags of ctr run.
run_ct() {
	try ctr_ run --rm --runtime "$SHIM" --cgroup "$SUITE_CGROUP/$ID" "${EXTRA[@]}" --rootfs "$CD/rootfs" "$ID" "$@"
}
# detach_ct ARG…: in the background, as $ID or the id in $AS_ID.
detach_ct() {
	local id=${AS_ID:-$ID}
	ctr_ run -d --runtime "$SHIM" --cgroup "$SUITE_CGROUP/$id" "${EXTRA[@]}" --rootfs "$CD/rootfs" "$id" "$@" >"$T/detach" 2>&1 </dev/null 3>&-
}
idle_ct() { detach_ct sleep 1000; }
exec_ct() { try ctr_ task exec --exec-id "e$RANDOM$RANDOM" "$ID" "$@"; }
status_of() { ctr_ task ls | awk -v id="${1:-$ID}" '$1 == id { print $3 }'; }
pid_of() { ctr_ task ls | awk -v id="${1:-$ID}" '$1 == id { print $2 }'; }
is_status() { [[ $(status_of "${2:-$ID}") == "$1" ]]; }
wait_status() { wait_for is_status "$@"; }
# watch_events: what containerd publishes from here on is in $T/events.
watch_events() {
	ctr_ events >"$T/events" 2>&1 </dev/null 3>&- &
	EVENTS=$!
	sleep 0.3
}
# events_of: the topics of this case's container, in order.
events_of() { grep -F "\"$ID\"" "$T/events" | grep -o '/tasks/[a-z-]*' | sed 's|/tasks/||' | xargs; }
has_event() { events_of | grep -qw -- "$1"; }
