#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

setup() {
	setup_bundle
	lacks crun "no such command"
}
teardown() {
	[[ -z ${events_pid:-} ]] || kill "$events_pid" 2>/dev/null || true
	teardown_cgroup
}

# stats FILTER: of one sample.
stats() { rt events --stats "$ID" | jq -r "$1"; }
# watch_ct FLAG…: events in the background, into $T/events.
watch_ct() {
	rt events "$@" "$ID" </dev/null >"$T/events" 2>"$T/events.err" 3>&- &
	events_pid=$!
}

@test "events --stats: one line of JSON with type, id and data" {
	idle_ct
	try rt events --stats "$ID"
	assert_ok
	assert_eq "$(wc -l <<<"$output")" 1
	assert_eq "$(jq -r '.type + " " + .id' <<<"$output")" "stats $ID"
	assert_eq "$(jq -r '.data | type' <<<"$output")" object
}

@test "events --stats: the keys that engines read" {
	idle_ct
	rt events --stats "$ID" >"$T/stats"
	for key in cpu.usage cpu.usage.kernel cpu.usage.user cpu.throttling memory.usage memory.usage.limit \
		memory.usage.failcnt memory.swap memory.kernel memory.kernelTCP pids blkio hugetlb cpuset; do
		jq -e ".data.$key != null" "$T/stats" >/dev/null || {
			[[ $key == hugetlb ]] && continue # null where nobody mounts it
			fail "no $key in $(cat "$T/stats")"
		}
	done
	jq -e '.data | has("hugetlb") and has("intel_rdt")' "$T/stats" >/dev/null ||
		jq -e '.data | has("hugetlb")' "$T/stats"
}

@test "events --stats: CPU time" {
	needs_controller cpuacct cpu
	set_script 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo worked; sleep 1000'
	detach_ct
	wait_output worked
	total=$(stats .data.cpu.usage.total)
	((total > 1000000))
	((total < 20000000000))
	if ! on_v2; then
		[[ $(stats '.data.cpu.usage.percpu | length') -gt 0 ]]
	fi
}

@test "events --stats: throttling" {
	needs_controller cpu
	set_resources '{"cpu":{"quota":5000,"period":50000}}'
	set_script 'while :; do :; done'
	detach_ct
	throttled() { (($(stats '.data.cpu.throttling.throttledPeriods // 0') > 2)); }
	wait_for throttled
	assert_eq "$(stats '.data.cpu.throttling | .periods >= .throttledPeriods and .throttledTime > 0')" true
}

@test "events --stats: memory, with its limit" {
	needs_controller memory
	set_resources '{"memory":{"limit":67108864}}'
	set_script 'x=$(head -c 10000000 /dev/zero | tr "\0" x); echo full; sleep 1000; echo $x'
	detach_ct
	wait_output full
	assert_eq "$(stats .data.memory.usage.limit)" 67108864
	(($(stats .data.memory.usage.usage) > 9000000))
	(($(stats .data.memory.usage.usage) < 67108864))
	(($(stats '.data.memory.raw | length') > 5))
	assert_eq "$(stats .data.memory.usage.failcnt)" 0
}

@test "events --stats: processes and their limit" {
	needs_controller pids
	set_resources '{"pids":{"limit":40}}'
	idle_ct
	assert_eq "$(stats .data.pids.current)" 1
	assert_eq "$(stats .data.pids.limit)" 40
	rt exec -d "$ID" sleep 2000 </dev/null >/dev/null 2>&1 3>&-
	assert_eq "$(stats .data.pids.current)" 2
}

@test "events --stats: block I/O" {
	needs_controller blkio io
	dev=$(stat -c %d "$ROOTFS/bin/busybox")
	[[ -e /sys/dev/block/$((dev >> 8 & 0xfff)):$((dev & 0xff)) ]] || skip "the test directory is on no block device"
	dd if=/dev/urandom of="$ROOTFS/file" bs=1M count=2 conv=fsync status=none
	dd of="$ROOTFS/file" oflag=nocache conv=notrunc,fdatasync count=0 status=none
	set_script 'cat /file >/dev/null; echo "done"; sleep 1000; :'
	detach_ct
	wait_output "done"
	bytes=$(stats '[.data.blkio.ioServiceBytesRecursive[]? | select(.op == "Read" or .op == "read") | .value] | add // 0')
	((bytes >= 2000000))
	assert_eq "$(stats '.data.blkio.ioServiceBytesRecursive[0] | has("major")')" true
}

@test "events --stats: hugetlb, where it is" {
	needs_controller hugetlb
	[[ $(hierarchy hugetlb) == /sys/fs/cgroup* ]] || lacks runc "looks below /sys/fs/cgroup only"
	idle_ct
	assert_eq "$(stats '.data.hugetlb["2MB"] | has("failcnt")')" true
}

@test "events --stats: pressure, where the kernel tells it" {
	only_v2 "v1 has none"
	lacks runc 1.2 "no psi"
	idle_ct
	[[ -e $(cgroup_dir memory)/memory.pressure ]] || skip "kernel has no psi"
	assert_eq "$(stats '.data.memory.psi.some | has("avg10")')" true
	assert_eq "$(stats '.data.cpu.psi.some | has("total")')" true
}

@test "events --stats: of a created container, and of a paused one" {
	needs_freezer
	set_args sleep 1000
	create_ct
	try rt events --stats "$ID"
	assert_ok
	start_ct
	rt pause "$ID"
	try rt events --stats "$ID"
	assert_ok
	assert_eq "$(jq -r .type <<<"$output")" stats
}

@test "events: a line per interval, until the container ends" {
	lacks runc "1.1 does not always see the end"
	idle_ct
	watch_ct --interval 100ms
	three() { (($(wc -l <"$T/events") >= 3)); }
	wait_for three
	jq -e -s 'all(.type == "stats" and .data != null)' "$T/events" >/dev/null
	assert_eq "$(jq -s -r '[.[].id] | unique | .[]' "$T/events")" "$ID"
	rt kill "$ID" KILL
	wait_gone $events_pid
	wait $events_pid
	assert_eq "$(cat "$T/events.err")" ""
}

@test "events: lines come out one at a time, into a pipe too" {
	idle_ct
	mkfifo "$T/pipe"
	rt events --interval 100ms "$ID" </dev/null >"$T/pipe" 2>/dev/null 3>&- &
	events_pid=$!
	exec {pipe}<"$T/pipe"
	read -r -t 5 -u $pipe line
	exec {pipe}<&-
	assert_eq "$(jq -r .type <<<"$line")" stats
}

@test "events: out of memory" {
	needs_controller memory
	set_resources '{"memory":{"limit":33554432,"swap":33554432}}'
	set_script 'until [ -e /tmp/go ]; do sleep 0.02; done; dd if=/dev/zero of=/dev/null bs=128M count=1; sleep 1000; :'
	detach_ct
	watch_ct --interval 100ms
	wait_output stats "$T/events"
	touch "$ROOTFS/tmp/go"
	wait_output '"oom"' "$T/events"
	assert_eq "$(jq -r 'select(.type == "oom") | .id' "$T/events" | head -n1)" "$ID"
}

@test "events: out of memory of init itself, the last thing it does" {
	needs_controller memory
	lacks runc "may end before it says so"
	set_resources '{"memory":{"limit":33554432,"swap":33554432}}'
	set_script 'until [ -e /tmp/go ]; do sleep 0.02; done; exec dd if=/dev/zero of=/dev/null bs=128M count=1'
	detach_ct
	watch_ct --interval 100ms
	wait_output stats "$T/events"
	touch "$ROOTFS/tmp/go"
	wait_gone $events_pid
	wait $events_pid
	grep -q '"oom"' "$T/events"
}

@test "events: a memory limit that is kept gives no oom event" {
	needs_controller memory
	set_resources '{"memory":{"limit":67108864,"swap":67108864}}'
	set_script 'until [ -e /tmp/go ]; do sleep 0.02; done; dd if=/dev/zero of=/dev/null bs=16M count=1 2>/dev/null; echo "done"; sleep 1000; :'
	detach_ct
	watch_ct --interval 100ms
	wait_output stats "$T/events"
	touch "$ROOTFS/tmp/go"
	wait_output "done"
	sleep 0.3
	! grep -q '"oom"' "$T/events"
}

@test "events: intervals that are none" {
	idle_ct
	for interval in 0s -1s 0 banana ""; do
		try rt events --interval "$interval" --stats "$ID"
		assert_fails
	done
	try rt events --interval 0s "$ID"
	assert_fails "duration interval must be greater than 0"
}

@test "events: of a stopped container" {
	set_args true
	detach_ct
	wait_status stopped
	try rt events --stats "$ID"
	assert_fails
	try rt events "$ID"
	assert_fails
}

@test "events: of an unknown container, and without an id" {
	try rt events --stats "$ID-unknown"
	assert_unknown
	try rt events
	assert_fails
}

@test "events: SIGTERM ends it, and the container goes on" {
	idle_ct
	"$RUNTIME" --root "$ROOT" events --interval 100ms "$ID" </dev/null >"$T/events" 2>&1 3>&- &
	events_pid=$!
	wait_output stats "$T/events"
	kill -TERM $events_pid
	wait_gone $events_pid
	assert_eq "$(status_of)" running
}

@test "events: a delete meanwhile ends it" {
	idle_ct
	watch_ct --interval 100ms
	wait_output stats "$T/events"
	rt delete --force "$ID"
	wait_gone $events_pid
	wait $events_pid
}
