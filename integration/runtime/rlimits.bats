#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

@test "rlimits: soft and hard" {
	update_config '.process.rlimits = [{"type":"RLIMIT_NOFILE","soft":100,"hard":200},{"type":"RLIMIT_CORE","soft":0,"hard":0},{"type":"RLIMIT_STACK","soft":1048576,"hard":2097152}]'
	set_args cat /proc/self/limits
	run_ct
	assert_matches "Max open files +100 +200 "
	assert_matches "Max core file size +0 +0 "
	assert_matches "Max stack size +1048576 +2097152 "
}

@test "rlimits: every type has its name" {
	limits=
	for l in AS CORE CPU DATA FSIZE LOCKS MEMLOCK MSGQUEUE NICE NOFILE NPROC RSS RTPRIO RTTIME SIGPENDING STACK; do
		hard=$(prlimit --noheadings --raw --output HARD "--${l,,}" 2>/dev/null || echo 0)
		[[ $hard != unlimited ]] || hard=4294967296
		limits+="${limits:+,}{\"type\":\"RLIMIT_$l\",\"soft\":0,\"hard\":$hard}"
	done
	# what the program needs
	limits=$(jq -c 'map(if (.type | test("AS|DATA|STACK|NOFILE|FSIZE|CPU|NPROC|RSS|MEMLOCK")) then .soft = .hard else . end)' <<<"[$limits]")
	update_config --argjson l "$(jq -c 'map(select(.hard > 0))' <<<"$limits")" '.process.rlimits = $l'
	set_args grep "Max pending signals" /proc/self/limits
	run_ct
	assert_ok
	assert_matches "Max pending signals +0 "
}

@test "rlimits: not listed, not changed" {
	soft=$(ulimit -Sn)
	update_config 'del(.process.rlimits)'
	set_args grep "open files" /proc/self/limits
	run_ct
	assert_matches "Max open files +$soft +$(ulimit -Hn) "
}

@test "rlimits: an unknown type is refused" {
	update_config '.process.rlimits = [{"type":"RLIMIT_NONSENSE","soft":1,"hard":1}]'
	create_fails
	assert_has RLIMIT_NONSENSE
}

@test "rlimits: soft above hard is refused" {
	update_config '.process.rlimits = [{"type":"RLIMIT_NOFILE","soft":200,"hard":100}]'
	create_fails
}

@test "rlimits: listed twice is refused" {
	lacks runc "takes the last"
	lacks crun "takes the last"
	update_config '.process.rlimits = [{"type":"RLIMIT_NOFILE","soft":10,"hard":100},{"type":"RLIMIT_NOFILE","soft":20,"hard":100}]'
	create_fails
	assert_has RLIMIT_NOFILE
}

@test "rlimits: for exec too" {
	update_config '.process.rlimits = [{"type":"RLIMIT_NOFILE","soft":100,"hard":200}]'
	lacks crun "1.8 starts from an empty process"
	idle_ct
	exec_ct grep "open files" /proc/self/limits
	assert_matches "Max open files +100 +200 "
}

@test "rlimits: raising a hard limit without the capability says which one" {
	lacks crun "names the system call only"
	update_config '.process.rlimits = [{"type":"RLIMIT_NOFILE","soft":4000000000,"hard":4000000000}]'
	create_fails
	[[ $RT != berth ]] || assert_has RLIMIT_NOFILE
}

@test "rlimits: one beyond the caller's says what it takes" {
	needs_berth "its own words"
	update_config '.process.rlimits = [{"type":"RLIMIT_NOFILE","soft":1025,"hard":1025}] | .process.capabilities = {}'
	try prlimit --nofile=1024:1024 setpriv --bounding-set -sys_resource -- "$RUNTIME" --root "$ROOT" create --bundle "$BUNDLE" "$ID" </dev/null
	assert_fails "RLIMIT_NOFILE: "
	assert_has "operation not permitted; hint: raising a hard limit needs CAP_SYS_RESOURCE, and RLIMIT_NOFILE ends at fs.nr_open"
}
