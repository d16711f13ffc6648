#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# --systemd-cgroup: the container's cgroup is a scope that systemd makes; its
# limits are the unit's properties, and files agree with them.

load helpers

setup() {
	needs_systemd
	setup_bundle
	update_config --arg p "system.slice:it:$ID" '.linux.cgroupsPath = $p'
	UNIT=it-$ID.scope
	MANAGER=(systemctl)
}
teardown() {
	[[ -n ${UNIT:-} ]] || return 0
	local bad=0
	teardown_cgroup || bad=1
	if unit_loaded; then
		[[ -n $LEAK_OK ]] || { echo "unit left: $UNIT" >&2; bad=1; }
		"${MANAGER[@]}" stop "$UNIT" || true
		"${MANAGER[@]}" reset-failed "$UNIT" 2>/dev/null || true
	fi
	return $bad
}

# rt: with the systemd driver.
rt() {
	timeout --foreground -k 1 20 "${AS[@]}" "$RUNTIME" --systemd-cgroup --root "$ROOT" "$@"
}
unit_loaded() { [[ $("${MANAGER[@]}" show -P LoadState "$UNIT") == loaded ]]; }
property() { "${MANAGER[@]}" show -P "$1" "${2:-$UNIT}"; }
scope_path() { property ControlGroup "$@"; }
# as_session_user: a user with a systemd of his own.
as_session_user() {
	become_user "$@"
	local uid
	uid=$(id -u berth-it)
	[[ -S /run/user/$uid/bus ]] || skip "berth-it has no systemd session here"
	AS+=("XDG_RUNTIME_DIR=/run/user/$uid" "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$uid/bus")
	MANAGER=("${AS[@]}" systemctl --user)
	UNIT=it-$ID.scope
	update_config --arg p "user.slice:it:$ID" '.linux.cgroupsPath = $p'
}

@test "systemd: slice:prefix:name" {
	idle_ct
	assert_eq "$(property ActiveState)" active
	assert_eq "$(property Slice)" system.slice
	assert_eq "$(scope_path)" "/system.slice/$UNIT"
	grep -q ":/system.slice/$UNIT" "/proc/$(state_of pid)/cgroup"
	rt delete --force "$ID"
	run ! unit_loaded
}

@test "systemd: without cgroupsPath a scope named after the id" {
	lacks crun "1.8 takes the caller's own cgroup"
	update_config 'del(.linux.cgroupsPath)'
	idle_ct
	UNIT=$(sed -n 's/.*\/\(.*\.scope\)$/\1/p' "/proc/$(state_of pid)/cgroup" | head -n1)
	[[ $UNIT == *$ID.scope ]]
	assert_eq "$(property Slice)" system.slice
}

@test "systemd: a slice below slices" {
	update_config --arg p "itouter-inner.slice:it:$ID" '.linux.cgroupsPath = $p'
	idle_ct
	assert_eq "$(scope_path)" "/itouter.slice/itouter-inner.slice/$UNIT"
	rt delete --force "$ID"
	systemctl stop itouter.slice
}

@test "systemd: two containers in one slice" {
	update_config --arg p "itshared.slice:it:$ID" '.linux.cgroupsPath = $p'
	idle_ct
	other=$(another_bundle b)
	jq --arg p "itshared.slice:it:$ID-b" '.linux.cgroupsPath = $p | .process.args = ["sleep","1000"]' "$CONFIG" >"$other/config.json"
	rt run --detach --bundle "$other" "$ID-b" </dev/null >/dev/null 2>&1 3>&-
	assert_eq "$(scope_path it-"$ID"-b.scope)" "/itshared.slice/it-$ID-b.scope"
	rt delete --force "$ID-b"
	assert_eq "$(property ActiveState)" active
	rt delete --force "$ID"
	systemctl stop itshared.slice
}

@test "systemd: a cgroupsPath of another form is refused" {
	update_config '.linux.cgroupsPath = "/berth-it/x"'
	create_fails
	[[ $RT == crun ]] || assert_has slice:prefix:name
	update_config '.linux.cgroupsPath = "a:b:c:d"'
	create_fails
}

@test "systemd: slices that do not exist as names are refused" {
	local slice
	for slice in "a--b.slice" "a/b.slice" "-a.slice" "noslice"; do
		update_config --arg p "$slice:it:$ID" '.linux.cgroupsPath = $p'
		create_fails
	done
}

@test "systemd: a scope of the host is not taken over" {
	lacks crun "does not look"
	lacks runc 1.2 "only warned before"
	systemd-run --scope --unit "it-$ID" sleep 1000 >/dev/null 2>&1 3>&- &
	host=$!
	wait_for unit_loaded
	create_fails
	assert_eq "$(property ActiveState)" active
	kill "$host"
	wait "$host" || true
}

@test "systemd: a failed unit of that name is replaced" {
	lacks runc "1.1 does not reset it"
	systemd-run --unit "it-$ID.scope" --scope -p RuntimeMaxSec=0.2 sleep 1000 >/dev/null 2>&1 3>&- || true
	assert_eq "$(property ActiveState)" failed
	idle_ct
	assert_eq "$(property ActiveState)" active
}

@test "systemd: memory" {
	lacks crun "1.8 tells the files, not systemd"
	set_resources '{"memory":{"limit":67108864,"reservation":33554432}}'
	idle_ct
	assert_limit memory memory.limit_in_bytes 67108864 memory.max 67108864
	assert_eq "$(property "$(by_version MemoryLimit MemoryMax)")" 67108864
	! on_v2 || assert_eq "$(property MemoryLow)" 33554432
}

@test "systemd: cpu" {
	lacks crun "1.8 tells the files, not systemd"
	set_resources '{"cpu":{"shares":512,"quota":20000,"period":100000}}'
	idle_ct
	assert_limit cpu cpu.shares 512 cpu.max "20000 100000"
	assert_eq "$(property CPUQuotaPerSecUSec)" 200ms
	assert_eq "$(property "$(by_version CPUShares CPUWeight)")" "$(by_version 512 "$(cat "$(cgroup_dir cpu)/cpu.weight" 2>/dev/null || echo 512)")"
}

@test "systemd: cpuset" {
	lacks crun "1.8 tells the files, not systemd"
	set_resources '{"cpu":{"cpus":"0"}}'
	idle_ct
	assert_limit cpuset cpuset.cpus 0 cpuset.cpus 0
	! on_v2 || assert_eq "$(property AllowedCPUs)" 0
}

@test "systemd: pids" {
	lacks crun "1.8 tells the files, not systemd"
	set_resources '{"pids":{"limit":23}}'
	idle_ct
	assert_limit pids pids.max 23 pids.max 23
	assert_eq "$(property TasksMax)" 23
}

@test "systemd: a pids limit of one" {
	set_resources '{"pids":{"limit":1}}'
	set_args cat /proc/1/comm
	run_ct
	assert_ok
	assert_has cat
}

@test "systemd: limits outlive daemon-reload" {
	set_resources '{"memory":{"limit":67108864},"pids":{"limit":23},"cpu":{"quota":20000,"period":100000,"shares":512}}'
	idle_ct
	before=$(limit_of memory memory.limit_in_bytes memory.max; limit_of pids pids.max pids.max; limit_of cpu cpu.shares cpu.max)
	systemctl daemon-reload
	assert_eq "$(limit_of memory memory.limit_in_bytes memory.max; limit_of pids pids.max pids.max; limit_of cpu cpu.shares cpu.max)" "$before"
}

@test "systemd: update changes unit and files" {
	lacks crun "1.8 tells the files, not systemd"
	set_resources '{"memory":{"limit":67108864},"pids":{"limit":23}}'
	idle_ct
	rt update --memory 134217728 --pids-limit 31 --cpu-quota 50000 --cpu-period 100000 "$ID"
	assert_limit memory memory.limit_in_bytes 134217728 memory.max 134217728
	assert_limit pids pids.max 31 pids.max 31
	assert_eq "$(property TasksMax)" 31
	assert_eq "$(property "$(by_version MemoryLimit MemoryMax)")" 134217728
	assert_eq "$(property CPUQuotaPerSecUSec)" 500ms
	systemctl daemon-reload
	assert_limit pids pids.max 31 pids.max 31
}

@test "systemd: an update that fails changes neither" {
	needs_berth "rolls back as a whole"
	set_resources '{"memory":{"limit":67108864},"pids":{"limit":23}}'
	idle_ct
	try rt update --pids-limit 31 --cpuset-cpus 100000 "$ID"
	assert_fails
	assert_limit pids pids.max 23 pids.max 23
	assert_eq "$(property TasksMax)" 23
}

@test "systemd: device rules" {
	add_caps CAP_MKNOD
	set_resources '{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":11,"access":"rwm"}]}'
	set_script 'mknod /tmp/k c 1 11 && (: >>/tmp/k) && echo kmsg; mknod /tmp/l c 10 237 && (: >>/tmp/l) && echo loop; echo x >/dev/null && echo null; sleep 1000'
	detach_ct
	wait_output null
	grep -q kmsg "$T/out"
	run ! grep -q loop "$T/out"
	systemctl daemon-reload
	exec_ct sh -c '(: >>/tmp/k) && echo still; (: >>/tmp/l) && echo loop; :'
	assert_has still
	assert_lacks $'\nloop'
}

@test "systemd: updates of a container that may open every device" {
	add_caps CAP_MKNOD
	set_resources '{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"access":"rwm"}]}'
	idle_ct
	rt update --pids-limit 33 "$ID"
	assert_eq "$(property TasksMax)" 33
	exec_ct sh -c 'mknod /tmp/k c 1 11 && (: >>/tmp/k) && echo open'
	assert_has open
}

@test "systemd: an update of limits and device rules at once" {
	[[ $RT == berth ]] || skip "of berth's own: runc and crun do not change rules here"
	add_caps CAP_MKNOD
	idle_ct
	echo '{"pids":{"limit":34},"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":11,"access":"rwm"}]}' |
		rt update -r - "$ID"
	assert_eq "$(property TasksMax)" 34
	exec_ct sh -c 'mknod /tmp/k c 1 11 && (: >>/tmp/k) && echo open; mknod /tmp/l c 10 237 && (: >>/tmp/l) && echo loop; :'
	assert_has open
	assert_lacks $'\nloop'
}

@test "systemd: org.systemd.property annotations" {
	update_config '.annotations = {"org.systemd.property.TimeoutStopUSec":"uint64 5000000","org.systemd.property.CollectMode":"'"'inactive-or-failed'"'"}'
	idle_ct
	assert_eq "$(property TimeoutStopUSec)" 5s
	assert_eq "$(property CollectMode)" inactive-or-failed
}

@test "systemd: a property with seconds" {
	lacks crun "1.8 does not convert it"
	update_config '.annotations = {"org.systemd.property.TimeoutStopSec":"7"}'
	idle_ct
	assert_eq "$(property TimeoutStopUSec)" 7s
}

@test "systemd: a property that systemd does not know is refused, and nothing left" {
	update_config '.annotations = {"org.systemd.property.NoSuchThing":"true"}'
	tolerate_leak crun
	create_fails
	[[ $RT == crun ]] || assert_has NoSuchThing
	run ! unit_loaded
}

@test "systemd: a property whose value does not parse is refused" {
	update_config '.annotations = {"org.systemd.property.TimeoutStopUSec":"uint64 five"}'
	create_fails
	assert_has TimeoutStopUSec
}

@test "systemd: Delegate" {
	idle_ct
	assert_eq "$(property Delegate)" yes
}

@test "systemd: exec is in the scope" {
	idle_ct
	exec_ct cat /proc/self/cgroup
	assert_has "/system.slice/$UNIT"
}

@test "systemd: pause and resume" {
	idle_ct
	rt pause "$ID"
	assert_eq "$(status_of)" paused
	rt resume "$ID"
	assert_eq "$(status_of)" running
}

@test "systemd: events" {
	lacks crun "has no events"
	idle_ct
	try rt events --stats "$ID"
	assert_eq "$(jq .data.pids.current <<<"$output")" 1
}

@test "systemd: systemctl stop ends the container" {
	lacks runc "1.1 leaves the failed unit"
	lacks crun "1.8 leaves the failed unit"
	set_script 'trap "" TERM; echo ready; sleep 1000'
	update_config '.annotations = {"org.systemd.property.TimeoutStopUSec":"uint64 300000"}'
	detach_ct
	wait_output ready
	systemctl stop "$UNIT"
	wait_status stopped
	rt delete "$ID"
	assert_nothing_left
}

@test "systemd: kill, then delete" {
	idle_ct
	rt kill "$ID" KILL
	wait_status stopped
	rt delete "$ID"
	assert_nothing_left
	assert_no_cgroup
	run ! unit_loaded
}

@test "systemd: cgroups that the container made go with it" {
	idle_ct
	dir=$(cgroup_dir pids)
	mkdir -p "$dir/a/b" "$dir/c"
	rt delete --force "$ID"
	[[ ! -e $dir ]]
	run ! unit_loaded
}

@test "systemd: a limit that the kernel refuses leaves no unit" {
	set_resources '{"cpu":{"cpus":"100000"}}'
	tolerate_leak crun
	create_fails
	[[ $RT == crun ]] || ! unit_loaded
}

@test "systemd: a process that cannot start leaves no unit" {
	set_args /no/such/program
	tolerate_leak crun
	run_ct
	assert_fails
	[[ $RT == crun ]] || ! unit_loaded
}

@test "systemd: plan shows the unit and its properties" {
	needs_berth "its own verb"
	set_resources '{"pids":{"limit":23}}'
	try rt plan --bundle "$BUNDLE"
	assert_has "$(by_version "TasksMax" "TasksMax")"
	assert_has ".scope"
	run ! unit_loaded
}

@test "systemd: --cgroup-manager systemd" {
	lacks runc "crun's flag"
	set_args sleep 1000
	timeout 20 "$RUNTIME" --cgroup-manager systemd --root "$ROOT" run --detach --bundle "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1 3>&-
	assert_eq "$(property ActiveState)" active
}

@test "systemd: a rootless container in the user's session" {
	only_v2 "systemd delegates nothing on v1"
	as_session_user
	idle_ct
	assert_eq "$(property ActiveState)" active
	grep -q "user@$(id -u berth-it).service/.*/$UNIT" "/proc/$(state_of pid)/cgroup"
	rt delete --force "$ID"
	run ! unit_loaded
}

@test "systemd: limits of a rootless container" {
	lacks crun "1.8 cannot exec from outside the session"
	only_v2 "systemd delegates nothing on v1"
	as_session_user subids
	set_resources '{"memory":{"limit":67108864},"pids":{"limit":23},"cpu":{"quota":20000,"period":100000}}'
	idle_ct
	assert_limit memory - - memory.max 67108864
	assert_limit pids - - pids.max 23
	assert_limit cpu - - cpu.max "20000 100000"
	rt update --pids-limit 31 "$ID"
	assert_limit pids - - pids.max 31
	exec_ct id -u
	assert_output 0
	rt pause "$ID"
	assert_eq "$(status_of)" paused
	rt resume "$ID"
}
