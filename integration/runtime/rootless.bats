#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# As an ordinary user: one mapped id, or his subordinate ids too.

load helpers

setup() {
	setup_bundle
	requires userns subids
	become_user
}

@test "rootless: run" {
	set_script 'id -u; hostname; echo $$'
	run_ct
	assert_ok
	assert_output $'0\ninside\n1'
}

@test "rootless: create, state, start, kill, delete" {
	set_args sleep 1000
	create_ct
	assert_eq "$(status_of)" created
	start_ct
	assert_eq "$(status_of)" running
	assert_eq "$(stat -c %U "/proc/$(state_of pid)")" berth-it
	rt kill "$ID" KILL
	wait_status stopped
	rt delete "$ID"
	[[ ! -e $ROOT/$ID ]]
}

@test "rootless: a config without a user namespace is refused, with advice" {
	needs_berth "the text is its own"
	update_config '.linux.namespaces |= map(select(.type != "user")) | del(.linux.uidMappings, .linux.gidMappings)'
	create_fails
	assert_has "linux.namespaces: an ordinary user's container needs a user namespace (hint: berth spec --rootless"
}

@test "rootless: exit status and signals" {
	set_script 'exit 42'
	run_ct
	assert_status 42
	set_script 'sh -c "kill -9 \$\$"; exit $?'
	run_ct
	assert_status 137
}

@test "rootless: one mapping only" {
	set_script 'cat /proc/self/uid_map | tr -s " "; cat /proc/self/setgroups'
	run_ct
	assert_output " 0 $(id -u berth-it) 1"$'\ndeny'
}

@test "rootless: subordinate ids by newuidmap" {
	become_user subids
	set_script 'tr -s " " </proc/self/uid_map; tr -s " " </proc/self/gid_map; cat /proc/self/setgroups'
	run_ct
	assert_ok
	assert_has " 1 700000 65536"
	assert_has allow
}

@test "rootless: another user of the mapping" {
	become_user subids
	update_config '.process.user = {"uid":1000,"gid":1000}'
	set_script 'id -u; id -G; touch /tmp/mine; stat -c %u /tmp/mine'
	run_ct
	assert_output $'1000\n1000\n1000'
	assert_eq "$(stat -c %u "$ROOTFS/tmp/mine")" 700999
}

@test "rootless: additional groups with subordinate ids" {
	lacks runc "1.1 refuses them to everybody rootless"
	become_user subids
	update_config '.process.user = {"uid":1000,"gid":1000,"additionalGids":[2000]}'
	set_args id -G
	run_ct
	assert_output "1000 2000"
}

@test "rootless: ids that are not ours say what is missing" {
	become_user subids
	update_config '.linux.uidMappings[1].hostID = 1500000'
	create_fails
	assert_matches "newuidmap|uid_map|mapping"
}

@test "rootless: additional groups with one mapping are refused" {
	lacks crun "ignores them"
	update_config '.process.user.additionalGids = [5]'
	create_fails
	assert_matches "[Gg]roup|[Gg]id"
}

@test "rootless: exec, and its exit status" {
	idle_ct
	exec_ct sh -c 'id -u; exit 3'
	assert_status 3
	assert_output 0
}

@test "rootless: exec --process as another user" {
	become_user subids
	idle_ct
	jq '.process | .args=["id","-u"] | .user={"uid":7,"gid":7}' "$CONFIG" >"$T/process.json"
	try rt exec --process "$T/process.json" "$ID"
	assert_output 7
}

@test "rootless: list and its owner" {
	create_ct
	try rt list --format json
	assert_eq "$(jq -r '.[0].owner' <<<"$output")" berth-it
	assert_eq "$(rt list --quiet)" "$ID"
}

@test "rootless: ps" {
	lacks crun "needs a cgroup"
	lacks runc "needs a cgroup"
	idle_ct
	try rt ps --format json "$ID"
	assert_ok
	assert_eq "$(jq -c . <<<"$output")" "[$(state_of pid)]"
}

@test "rootless: devices are the host's" {
	set_script 'stat -c %t:%T /dev/null /dev/zero; echo x >/dev/null && echo works'
	run_ct
	assert_output $'1:3\n1:5\nworks'
}

@test "rootless: read-only bind of a mount with locked flags" {
	lacks runc 1.2 "1.1 does not take locked flags over"
	mkdir "$T/vol"
	mount -t tmpfs -o nosuid,nodev,noexec,noatime vol "$T/vol"
	echo text >"$T/vol/f"
	update_config --arg s "$T/vol" '.mounts += [{"destination":"/vol","type":"bind","source":$s,"options":["bind","ro"]}]'
	set_script 'cat /vol/f; touch /vol/x; grep " /vol " /proc/self/mountinfo'
	run_ct
	umount "$T/vol"
	assert_has text
	assert_matches "[Rr]ead-only"
	assert_has noexec
}

@test "rootless: host's network, /sys bound" {
	update_config '.linux.namespaces |= map(select(.type != "network")) | (.mounts[] | select(.destination == "/sys")) |= {"destination":"/sys","type":"none","source":"/sys","options":["rbind","nosuid","noexec","nodev","ro"]}'
	set_script 'ls /sys/class/net; readlink /proc/self/ns/net'
	run_ct
	assert_ok
	assert_has "$(find /sys/class/net -mindepth 1 -printf '%f\n' | sort | head -n1)"
	assert_has "$(readlink /proc/self/ns/net)"
}

@test "rootless: seccomp without no_new_privs" {
	update_config '.process.noNewPrivileges = false | .linux.seccomp = {"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}'
	set_script 'mkdir /tmp/x 2>/dev/null || echo refused'
	run_ct
	assert_output refused
}

@test "rootless: a terminal" {
	update_config '.process.terminal = true'
	"$RECVTTY" tty "$T/console" >"$T/tty" 2>&1 3>&- &
	receiver=$!
	wait_for test -S "$T/console"
	set_args tty
	rt run -d --console-socket "$T/console" --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>&1
	wait $receiver
	grep -qE "/dev/(pts/0|console)" "$T/tty"
}

@test "rootless: a mount outside of the rights names itself" {
	mkdir "$T/closed"
	chmod 700 "$T/closed"
	update_config --arg s "$T/closed/x" '.mounts += [{"destination":"/vol","type":"bind","source":$s,"options":["bind"]}]'
	create_fails
	assert_has closed
}

@test "rootless: cgroup limits that cannot be set are an error" {
	lacks crun "ignores them"
	update_config '.linux.resources = {"pids":{"limit":10}} | .linux.cgroupsPath = "/berth-it-none/x"'
	create_fails
	[[ $RT != berth ]] || assert_has "hint: $(by_version "leave limits and linux.cgroupsPath out, or have root give you the directory in every v1 hierarchy)" "have root delegate it")"
}

@test "rootless: a container without a cgroup cannot be paused" {
	needs_berth "its own words"
	! on_v2 || skip "may have a cgroup there"
	idle_ct
	try rt pause "$ID"
	assert_fails "container $ID: there is no cgroup"
	try rt events --stats "$ID"
	assert_fails "container $ID: there is no cgroup"
}

@test "rootless: masked and read-only paths" {
	set_script 'stat -c %t:%T /proc/timer_list; echo 1 >/proc/sys/kernel/ns_last_pid'
	run_ct
	assert_has 1:3
	assert_matches "[Rr]ead-only"
}

@test "rootless: --rootless false and true are accepted" {
	set_args echo fine
	try rt --rootless true run --bundle "$BUNDLE" "$ID" </dev/null
	assert_output fine
}

@test "rootless: the state root defaults to XDG_RUNTIME_DIR" {
	create_ct
	rt delete --force "$ID"
	try "${AS[@]}" "$RUNTIME" create --bundle "$BUNDLE" "$ID" </dev/null
	assert_ok
	test -d "$T"/xdg/*/"$ID"
	"${AS[@]}" "$RUNTIME" delete --force "$ID"
}

@test "rootless: an XDG_RUNTIME_DIR of another user's" {
	needs_berth "its own words"
	mkdir -m 700 "$T/other"
	mkdir -m 755 "$T/empty"
	foreign() { # DIR WORDS VERB…
		try "${AS[@]}" env "XDG_RUNTIME_DIR=$1" "$RUNTIME" "${@:3}" </dev/null
		assert_fails "$2"
		assert_has "$1/berth: permission denied (hint: is XDG_RUNTIME_DIR yours? set it, or give --root)"
		assert_lacks "not set"
	}
	foreign "$T/empty" "cannot make the state root: mkdir" create --bundle "$BUNDLE" "$ID"
	for verb in list "state $ID" "delete $ID" "create --bundle $BUNDLE $ID"; do
		foreign "$T/other" "cannot use the state root: search" $verb
	done
	try "${AS[@]}" env "XDG_RUNTIME_DIR=$T/other" "$RUNTIME" plan --bundle "$BUNDLE" # makes nothing there
	assert_ok
}

@test "rootless: no XDG_RUNTIME_DIR" {
	needs_berth "its own words"
	try "${AS[@]}" env -u XDG_RUNTIME_DIR "$RUNTIME" create --bundle "$BUNDLE" "$ID" </dev/null
	assert_fails "XDG_RUNTIME_DIR is not set"
}

@test "rootless: delete --force of a running container" {
	idle_ct
	pid=$(state_of pid)
	rt delete --force "$ID"
	wait_gone "$pid"
	[[ ! -e $ROOT/$ID ]]
}
