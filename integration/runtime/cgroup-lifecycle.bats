#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The container's cgroup from birth to removal, on v1 and v2.

load helpers

teardown() { teardown_cgroup; }

# below NAME: makes a cgroup in each of the container's, ready for processes.
below() {
	local dir
	cgroups_of "$ID" | while read -r dir; do
		mkdir "$dir/$1"
		[[ ! -e $dir/$1/cpuset.cpus ]] || on_v2 || {
			cat "$dir/cpuset.cpus" >"$dir/$1/cpuset.cpus"
			cat "$dir/cpuset.mems" >"$dir/$1/cpuset.mems"
		}
	done
}
# into NAME PID: moves a process there, in every hierarchy.
into() {
	local dir
	cgroups_of "$ID" | while read -r dir; do echo "$2" >"$dir/$1/cgroup.procs"; done
}
# procs DIR…: the processes in these cgroups, sorted.
procs() { cat "${@/%//cgroup.procs}" | sort -u; }
# own_mounts SCRIPT: in a mount namespace of its own, with the suite's functions.
readonly_cgroups() {
	unshare -m bash -c 'awk "{ split(\$0, half, \" - \"); if (half[2] ~ /^(cgroup2?) /) print \$5 }" /proc/self/mountinfo |
		while read -r m; do mount -o remount,bind,ro "$m"; done; exec "$@"' _ "$@"
}

@test "cgroup: init is born in it" {
	set_script 'cat /proc/self/cgroup'
	run_ct
	assert_ok
	assert_has "/berth-it/$ID"
	! on_v2 || assert_output "0::/berth-it/$ID"
}

@test "cgroup: holds init and nothing else" {
	idle_ct
	pid=$(state_of pid)
	# shellcheck disable=SC2046 # one path a word
	assert_eq "$(procs $(cgroups_of "$ID"))" "$pid"
}

@test "cgroup: a created container waits in it" {
	create_ct
	pid=$(state_of pid)
	# shellcheck disable=SC2046
	assert_eq "$(procs $(cgroups_of "$ID"))" "$pid"
}

@test "cgroup: deleted by another name of the state directory" {
	idle_ct
	ln -s "$ROOT" "$T/other"
	ROOT=$T/other rt delete --force "$ID"
	assert_no_cgroup
}

@test "cgroup: an empty one that exists is used and removed" {
	make_cgroup "berth-it/$ID"
	idle_ct
	grep -q "/berth-it/$ID\$" "/proc/$(state_of pid)/cgroup"
	rt delete --force "$ID"
	assert_no_cgroup
}

@test "cgroup: a frozen one that exists is refused" {
	needs_freezer
	lacks crun "waits for ever"
	lacks runc 1.2 "only warned before"
	make_cgroup "berth-it/$ID"
	freeze_ct
	try rt create --bundle "$BUNDLE" "$ID" </dev/null
	thaw_ct
	assert_fails frozen
	[[ ! -e $ROOT/$ID ]]
	# shellcheck disable=SC2046
	rmdir $(cgroups_of "$ID")
}

@test "cgroup: a path with .. is refused" {
	local path
	needs_berth "the others clean it"
	for path in "/berth-it/../../$ID" "../$ID" "berth-it/x/../../../$ID"; do
		update_config --arg p "$path" '.linux.cgroupsPath = $p'
		create_fails
		assert_has linux.cgroupsPath
	done
	assert_no_cgroup
}

@test "cgroup: a path of odd names is taken as it is" {
	update_config --arg p "/berth-it/$ID/a b/%25-ü" '.linux.cgroupsPath = $p'
	idle_ct
	grep -q "/berth-it/$ID/a b/%25-ü\$" "/proc/$(state_of pid)/cgroup"
	rt delete --force "$ID"
	# shellcheck disable=SC2046
	find $(cgroups_named "$ID") -depth -type d -exec rmdir {} +
}

@test "cgroup: a read-only file system is an error that names it" {
	try readonly_cgroups "$RUNTIME" --root "$ROOT" create --bundle "$BUNDLE" "$ID" </dev/null
	assert_fails
	assert_has /sys/fs/cgroup
	[[ $RT == crun ]] || assert_matches "[Rr]ead-only"
	assert_nothing_left
}

@test "cgroup: processes in one that the container made are seen, killed and removed" {
	idle_ct
	below sub
	exec_ct sh -c 'sleep 1000 >/dev/null 2>&1 & :'
	victim=$(procs $(cgroups_of "$ID") | grep -vx "$(state_of pid)")
	into sub "$victim"
	try rt ps -f json "$ID"
	assert_eq "$(jq length <<<"$output")" 2
	rt delete --force "$ID"
	wait_gone "$victim"
	assert_no_cgroup
}

@test "cgroup: kill --all reaches one that the container made" {
	lacks crun "on v1 it sends to the top only"
	update_config '.linux.namespaces |= map(select(.type != "pid"))'
	idle_ct
	below sub
	exec_ct sh -c 'sleep 1000 >/dev/null 2>&1 & :'
	victim=$(procs $(cgroups_of "$ID") | grep -vx "$(state_of pid)")
	into sub "$victim"
	rt kill --all "$ID" KILL
	wait_gone "$victim"
	wait_status stopped
}

@test "cgroup: delete of a stopped container ends what is left in it" {
	update_config '.linux.namespaces |= map(select(.type != "pid"))'
	set_script 'setsid sleep 1000 >/dev/null 2>&1 & echo $!'
	detach_ct
	wait_status stopped
	left=$(<"$T/out")
	rt delete "$ID"
	wait_gone "$left"
	assert_no_cgroup
}

@test "cgroup: a paused container is deleted by force" {
	needs_freezer
	idle_ct
	pid=$(state_of pid)
	freeze_ct
	rt delete --force "$ID"
	wait_gone "$pid"
	assert_no_cgroup
}

@test "cgroup: many levels below are removed" {
	local deep
	idle_ct
	deep=$(printf 'd/%.0s' {1..40})
	cgroups_of "$ID" | while read -r dir; do mkdir -p "$dir/$deep"; done
	rt delete --force "$ID"
	assert_no_cgroup
}


@test "cgroup: exec works when init's cgroup has controllers for children" {
	only_v2 "the rule of inner nodes"
	idle_ct
	below init
	into init "$(state_of pid)"
	echo +pids >"/sys/fs/cgroup/berth-it/$ID/cgroup.subtree_control"
	exec_ct cat /proc/self/cgroup
	assert_output "0::/berth-it/$ID/init"
}

@test "cgroup: exec --cgroup on v2" {
	only_v2 "exec.bats has v1"
	lacks crun "1.8 takes another path"
	idle_ct
	below sub
	try rt exec --cgroup sub "$ID" cat /proc/self/cgroup
	assert_output "0::/berth-it/$ID/sub"
	try rt exec --cgroup ../.. "$ID" true
	assert_fails
	try rt exec --cgroup none "$ID" true
	assert_fails
}

@test "cgroup: with a user namespace the container owns its own" {
	lacks runc 1.2 "1.1 does not delegate it here"
	only_v2 "v1 cannot be delegated"
	with_userns
	with_cgroup_mount
	update_config '(.mounts[] | select(.destination == "/sys/fs/cgroup")).options = ["nosuid","noexec","nodev","rw"]'
	set_script 'mkdir /sys/fs/cgroup/mine && echo $$ >/sys/fs/cgroup/mine/cgroup.procs && cat /proc/self/cgroup; stat -c %u /sys/fs/cgroup/cgroup.procs; echo 1 >/sys/fs/cgroup/pids.max || echo refused; sleep 1000'
	detach_ct
	wait_output refused
	grep -q "0::/mine" "$T/out"
	assert_eq "$(stat -c %u "/sys/fs/cgroup/berth-it/$ID/cgroup.procs")" 100000
	assert_eq "$(stat -c %u "/sys/fs/cgroup/berth-it/$ID/pids.max")" 0
}

@test "cgroup: without a writable mount nothing is delegated" {
	only_v2 "v1 cannot be delegated"
	with_userns
	with_cgroup_mount
	idle_ct
	assert_eq "$(stat -c %u "/sys/fs/cgroup/berth-it/$ID/cgroup.procs")" 0
}

@test "cgroup: the container cannot raise its own limits" {
	set_resources '{"pids":{"limit":20}}'
	with_cgroup_mount
	idle_ct
	exec_ct sh -c "echo max >/sys/fs/cgroup/$(by_version pids/ "")pids.max"
	assert_fails
	assert_limit pids pids.max 20 pids.max 20
}

@test "cgroup: a namespace hides where it is" {
	update_config '.linux.namespaces += [{"type":"cgroup"}]'
	set_args cat /proc/self/cgroup
	run_ct
	assert_lacks "$ID"
	! on_v2 || assert_output "0::/"
}

@test "cgroup: create that fails late leaves none" {
	tolerate_leak crun
	set_args /no/such/program
	create_ct || true
	[[ $RT == crun ]] || assert_no_cgroup
	[[ ! -e $ROOT/$ID ]]
}

@test "cgroup: 20 in a row, and 10 at once, leave none" {
	local i
	set_args true
	for ((i = 0; i < 20; i++)); do rt run --bundle "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1 3>&-; done
	for ((i = 0; i < 10; i++)); do
		other=$(another_bundle "p$i")
		jq '.process.args = ["true"]' "$other/config.json" >"$other/c" && mv "$other/c" "$other/config.json"
		rt run --bundle "$other" "$ID-p$i" </dev/null >/dev/null 2>&1 3>&- &
		pids[i]=$!
	done
	for i in "${pids[@]}"; do wait "$i"; done
	assert_no_cgroup "$ID*"
}

@test "cgroup: delete spares the container that has the place now" {
	needs_berth "the others kill it"
	update_config '.linux.namespaces |= map(select(.type != "pid"))'
	set_args sleep 1000
	timeout 20 "$RUNTIME" --root "$T/other" run --detach --bundle "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1 3>&-
	"$RUNTIME" --root "$T/other" kill "$ID" KILL
	wait_for sh -c "'$RUNTIME' --root '$T/other' state '$ID' | grep -q stopped"
	detach_ct
	"$RUNTIME" --root "$T/other" delete "$ID"
	assert_eq "$(status_of)" running
}

@test "cgroup: core files are not limits" {
	only_v2 "unified is v2's"
	needs_berth "the others write them"
	local file
	for file in cgroup.procs cgroup.freeze cgroup.type cgroup.subtree_control; do
		refuses_limit "unified[$file]" "{\"unified\":{\"$file\":\"1\"}}"
	done
	set_resources '{"unified":{"cgroup.max.depth":"3"}}'
	update_config 'del(.linux.resources.unified["cgroup.procs","cgroup.freeze","cgroup.type","cgroup.subtree_control"])'
	idle_ct
	assert_eq "$(cat "$(cgroup_dir pids)/cgroup.max.depth")" 3
}

@test "cgroup: one that was killed by cgroup.kill can be used again" {
	only_v2 "there is no cgroup.kill"
	lacks runc 1.2 "not looked at"
	lacks crun "1.8 takes no newer config"
	make_cgroup "berth-it/$ID"
	echo 1 >"/sys/fs/cgroup/berth-it/$ID/cgroup.kill"
	set_args cat /proc/self/cgroup
	run_ct
	assert_output "0::/berth-it/$ID"
}
