#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Global flags of both families, and how flags are written.

load helpers

@test "flags: --version begins with a name and a version" {
	try "$RUNTIME" --version
	assert_ok
	case $RT in
	berth) assert_matches "^(runc|berth) version [0-9v]" ;;
	*) assert_matches "^$RT version [0-9]" ;;
	esac
	assert_has "commit: "
	assert_matches "spec: 1\\."
	try "$RUNTIME" -v
	[[ $RT == crun ]] || assert_ok
}

@test "flags: --help and -h" {
	try "$RUNTIME" --help
	assert_ok
	for verb in create start state kill delete exec run list ps spec; do
		assert_has $verb
	done
	[[ $RT == crun ]] || { try "$RUNTIME" -h; assert_ok; }
}

@test "flags: --flag=value and --flag value" {
	set_args echo fine
	try "$RUNTIME" --root="$ROOT" run --bundle="$BUNDLE" "$ID" </dev/null
	assert_output fine
	try "$RUNTIME" --root "$ROOT" run --bundle "$BUNDLE" "$ID" </dev/null
	assert_output fine
}

@test "flags: single-dash long flags" {
	lacks crun "does not know them"
	set_args sleep 1000
	try "$RUNTIME" -root "$ROOT" run -detach -no-subreaper -bundle "$BUNDLE" "$ID" </dev/null
	assert_ok
	assert_eq "$(status_of)" running
	try "$RUNTIME" -root="$ROOT" delete -force "$ID"
	assert_ok
}

@test "flags: after the container id" {
	lacks crun "wants them before"
	lacks runc 1.4 "its parser stops at the id"
	set_args sleep 1000
	rt run "$ID" --detach --bundle "$BUNDLE" </dev/null >"$T/out" 2>&1
	rt delete "$ID" --force
	assert_nothing_left
}

@test "flags: a global flag twice, the last wins" {
	set_args sleep 1000
	try "$RUNTIME" --root "$T/other" --root "$ROOT" create --bundle "$BUNDLE" "$ID" </dev/null
	assert_ok
	assert_eq "$(status_of)" created
	[[ ! -e $T/other/$ID ]]
}

@test "flags: --systemd-cgroup is accepted by verbs that make no cgroup" {
	create_ct
	try rt --systemd-cgroup list -q
	assert_output "$ID"
}

@test "flags: --rootless true, false, auto" {
	set_args echo fine
	for v in true false auto; do
		try rt --rootless $v run --bundle "$BUNDLE" "$ID" </dev/null
		assert_output fine
	done
}

@test "flags: --cgroup-manager cgroupfs" {
	lacks runc "crun's flag"
	set_args echo fine
	try rt --cgroup-manager cgroupfs run --bundle "$BUNDLE" "$ID" </dev/null
	assert_output fine
}

@test "flags: --cgroup-manager disabled makes no cgroup" {
	lacks runc "crun's flag"
	update_config 'del(.linux.cgroupsPath)'
	set_args cat /proc/self/cgroup
	try rt --cgroup-manager disabled run --bundle "$BUNDLE" "$ID" </dev/null
	assert_ok
	assert_lacks "$ID"
}

@test "flags: --criu is accepted and ignored" {
	lacks crun "does not know it"
	set_args echo fine
	try rt --criu /no/such/criu run --bundle "$BUNDLE" "$ID" </dev/null
	assert_output fine
}

@test "flags: --debug" {
	set_args echo fine
	rt --debug run --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>"$T/err"
	assert_eq "$(cat "$T/out")" fine
}

@test "flags: --log-level" {
	lacks runc "crun's flag"
	lacks crun 1.9 "came later"
	set_args echo fine
	try rt --log-level error run --bundle "$BUNDLE" "$ID" </dev/null
	assert_output fine
}

@test "flags: run --config FILE" {
	lacks runc "crun's flag"
	mv "$CONFIG" "$BUNDLE/other.json"
	try rt run --config "$BUNDLE/other.json" --bundle "$BUNDLE" "$ID" </dev/null
	assert_ok
}

@test "flags: create -h and checkpoint --help are answered" {
	try rt create --help
	assert_ok
	assert_has bundle
}

@test "flags: --root / is refused" {
	lacks crun "takes it"
	lacks runc "1.1 takes it"
	try "$RUNTIME" --root / list
	assert_fails
}

@test "flags: annotations of crun's family are ignored, not refused" {
	update_config '.annotations = {"run.oci.something.new":"1"}'
	set_args echo fine
	run_ct
	assert_output fine
}
