#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

setup() {
	setup_bundle
	cat >"$T/hook" <<-'H'
		#!/bin/sh
		# name, directory for results
		cat >"$2/$1.state"
		echo "$1" >>"$2/order"
		env >"$2/$1.env"
		pwd >"$2/$1.cwd"
		readlink /proc/self/ns/mnt >"$2/$1.mnt"
		[ ! -e /proc/self/cgroup ] || readlink /proc/self/ns/pid >"$2/$1.pid"
	H
	chmod 755 "$T/hook"
}
# hook POINT [JSON]: our script with the name of the point.
hook() {
	update_config --arg p "$1" --arg h "$T/hook" --arg t "$T" --argjson more "${2:-null}" '
		.hooks[$p] += [{"path":$h,"args":["hook",$p,$t]} + ($more // {})]'
}
all_hooks() {
	local p
	for p in prestart createRuntime createContainer poststart poststop; do
		hook $p
	done
}
failing() {
	update_config --arg p "$1" '.hooks[$p] += [{"path":"/bin/sh","args":["sh","-c","echo hook says no >&2; exit 7"]}]'
}

@test "hooks: their order over the life of a container" {
	lacks runc 1.2 "1.1 runs poststart at create"
	all_hooks
	set_args sleep 1000
	create_ct
	assert_eq "$(tr '\n' ' ' <"$T/order")" "prestart createRuntime createContainer "
	start_ct
	wait_for grep -q poststart "$T/order"
	rt delete --force "$ID"
	assert_eq "$(tr '\n' ' ' <"$T/order")" "prestart createRuntime createContainer poststart poststop "
}

@test "hooks: several of a kind run in the order of the list" {
	for i in 1 2 3; do
		update_config --arg t "$T/o" --arg i $i '.hooks.createRuntime += [{"path":"/bin/sh","args":["sh","-c","echo \($i) >>\($t)"]}]'
	done
	run_ct
	assert_eq "$(tr '\n' ' ' <"$T/o")" "1 2 3 "
}

@test "hooks: state on standard input" {
	update_config '.annotations = {"a":"b"}'
	all_hooks
	set_args sleep 1000
	create_ct
	pid=$(state_of pid)
	start_ct
	rt delete --force "$ID"
	for p in prestart createRuntime createContainer poststart poststop; do
		jq -e --arg id "$ID" --arg b "$BUNDLE" '.id == $id and .bundle == $b and (.ociVersion | length > 0) and .annotations.a == "b"' "$T/$p.state" ||
			fail "state of $p: $(cat "$T/$p.state")"
	done
	for p in prestart createRuntime; do
		assert_eq "$(jq -r .pid "$T/$p.state")" "$pid"
	done
}

@test "hooks: the status in the state" {
	lacks crun "1.8 says created before it is"
	lacks runc 1.2 "1.1 runs poststart at create"
	all_hooks
	set_args sleep 1000
	create_ct
	start_ct
	rt delete --force "$ID"
	assert_eq "$(jq -r .status "$T/createRuntime.state")" creating
	assert_eq "$(jq -r .status "$T/createContainer.state")" creating
	assert_eq "$(jq -r .status "$T/poststart.state")" running
	assert_eq "$(jq -r .status "$T/poststop.state")" stopped
}

@test "hooks: prestart and createRuntime run in the runtime's namespaces, createContainer in the container's" {
	all_hooks
	set_args sleep 1000
	create_ct
	own=$(readlink /proc/self/ns/mnt)
	assert_eq "$(cat "$T/prestart.mnt")" "$own"
	assert_eq "$(cat "$T/createRuntime.mnt")" "$own"
	assert_eq "$(cat "$T/createContainer.mnt")" "$(readlink "/proc/$(state_of pid)/ns/mnt")"
}

@test "hooks: createContainer sees the container's mounts and the host's files" {
	update_config --arg t "$T/seen" '.hooks.createContainer = [{"path":"/bin/sh","args":["sh","-c","grep -c /rootfs/dev/shm /proc/self/mountinfo >\($t)"]}]'
	run_ct
	assert_eq "$(cat "$T/seen")" 1
}

@test "hooks: startContainer runs inside, before the program" {
	update_config '.hooks.startContainer = [{"path":"/bin/sh","args":["sh","-c","cat >/hook-state; hostname >/hook-host; ls / >/hook-ls"]}]'
	set_script 'cat /hook-host; ls -d /hook-state; cat /hook-state'
	create_ct
	[[ ! -e $ROOTFS/hook-host ]]
	start_ct
	wait_status stopped
	grep -q inside "$T/out"
	tail -n +3 "$T/out" | jq -e --arg id "$ID" '.id == $id'
}

@test "hooks: startContainer that fails keeps the program from running" {
	update_config '.hooks.startContainer = [{"path":"/bin/false"}]'
	set_script 'touch /ran'
	create_ct
	start_ct >"$T/s" 2>&1 || true
	wait_status stopped
	[[ ! -e $ROOTFS/ran ]]
}

@test "hooks: a failing prestart, createRuntime or createContainer fails create and leaves nothing" {
	for p in prestart createRuntime createContainer; do
		update_config 'del(.hooks)'
		failing $p
		create_fails
	done
}

@test "hooks: the error has the exit status and what the hook wrote" {
	lacks crun "says the status only"
	failing createRuntime
	create_fails
	assert_has "hook says no"
	assert_matches "exit (status|code):? 7|status 7"
}

@test "hooks: a failing create runs poststop" {
	lacks crun "does not"
	failing createRuntime
	hook poststop
	create_fails
	assert_eq "$(cat "$T/order")" poststop
}

@test "hooks: a failing poststart fails start" {
	lacks crun "1.8 only warns"
	lacks runc 1.2 "1.1 runs poststart at create"
	failing poststart
	update_config '.ociVersion = "1.3.0"' # in 1.0 it is a warning
	set_args sleep 1000
	create_ct
	try start_ct
	assert_fails
	wait_status stopped
}

@test "hooks: a failing poststop does not keep the id" {
	lacks crun "1.8 keeps the state"
	failing poststop
	set_args true
	detach_ct
	wait_status stopped
	try rt delete "$ID"
	assert_nothing_left
}

@test "hooks: after a failing poststop the next one runs" {
	lacks runc "stops at the first"
	lacks crun "1.8 is killed by SIGPIPE when a hook does not read its state"
	failing poststop
	hook poststop
	set_args true
	detach_ct
	wait_status stopped
	try rt delete "$ID"
	assert_eq "$(cat "$T/order")" poststop
}

@test "hooks: timeout" {
	update_config '.hooks.createRuntime = [{"path":"/bin/sleep","args":["sleep","30"],"timeout":1}]'
	SECONDS=0
	create_fails
	((SECONDS < 10))
	[[ $RT != berth ]] || assert_has "hook ran past specified timeout of 1.0s"
}

@test "hooks: env is exactly what is listed" {
	hook createRuntime '{"env":["ONLY=this","PATH=/usr/bin:/bin"]}'
	export NOT_LISTED=leak
	create_ct
	grep -qx ONLY=this "$T/createRuntime.env"
	! grep -q NOT_LISTED "$T/createRuntime.env" || fail "the runtime's environment leaked"
}

@test "hooks: without env the runtime's own environment" {
	hook createRuntime
	export INHERITED=yes
	create_ct
	grep -qx INHERITED=yes "$T/createRuntime.env"
}

@test "hooks: a relative path is refused" {
	lacks runc "looks it up"
	lacks crun "looks it up"
	update_config '.hooks.createRuntime = [{"path":"bin/true"}]'
	create_fails
}

@test "hooks: a missing program" {
	update_config '.hooks.createRuntime = [{"path":"/no/such/hook"}]'
	create_fails
	[[ $RT == crun ]] || assert_has /no/such/hook
}

@test "hooks: args[0] is free, without args the path" {
	update_config --arg t "$T/zero" '.hooks.createRuntime = [{"path":"/bin/sh","args":["another name","-c","echo $0 >\($t); cat >/dev/null"]}]'
	run_ct
	assert_ok
	assert_eq "$(cat "$T/zero")" "another name"
}

@test "hooks: namespaces exist already at prestart" {
	update_config --arg t "$T/net" '.hooks.prestart = [{"path":"/bin/sh","args":["sh","-c","pid=$(jq .pid); readlink /proc/$pid/ns/net >\($t)"]}]'
	create_ct
	assert_eq "$(cat "$T/net")" "$(readlink "/proc/$(state_of pid)/ns/net")"
}

@test "hooks: one that does not read its input" {
	update_config '.hooks.createRuntime = [{"path":"/bin/true"}] | .annotations.big = ("x" * 200000)'
	set_args echo fine
	run_ct
	assert_output fine
}
