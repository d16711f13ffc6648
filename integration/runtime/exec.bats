#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

@test "exec: output, and nothing else" {
	idle_ct
	exec_ct echo hello there
	assert_ok
	assert_output "hello there"
}

@test "exec: exit status of the program" {
	idle_ct
	for n in 0 3 42 255; do
		exec_ct sh -c "exit $n"
		assert_status "$n"
	done
}

@test "exec: 128 + n for signal n" {
	idle_ct
	exec_ct sh -c 'kill -KILL $$'
	assert_status 137
	exec_ct sh -c 'kill -TERM $$'
	assert_status 143
}

@test "exec: standard input" {
	idle_ct
	try rt exec "$ID" cat <<<"typed"
	assert_output typed
}

@test "exec: joins all namespaces of the container" {
	links='for n in pid net ipc uts cgroup user mnt; do readlink /proc/self/ns/$n; done'
	set_script "$links; sleep 1000"
	detach_ct
	wait_output mnt
	exec_ct sh -c "$links"
	assert_output "$(cat "$T/out")"
}

@test "exec: joins the container's cgroups" {
	update_config '.linux.namespaces |= map(select(.type != "cgroup"))'
	idle_ct
	exec_ct cat /proc/self/cgroup
	if has_cgroupv1; then
		assert_matches ":pids:[^ ]*/berth-it/$ID"
		assert_matches ":memory:[^ ]*/berth-it/$ID"
	else
		assert_matches "0::/berth-it/$ID"
	fi
}

@test "exec: in a created container" {
	set_args sleep 1000
	create_ct
	exec_ct echo early
	assert_output early
	assert_eq "$(status_of)" created
}

@test "exec: in a stopped container" {
	set_args true
	detach_ct
	wait_status stopped
	exec_ct true
	case $RT in
	crun) assert_fails ;;
	*) assert_fails "cannot exec in a stopped container" ;;
	esac
}

@test "exec: unknown container" {
	try rt exec "$ID-unknown" true
	assert_unknown
}

@test "exec: a missing program gives 255 and the text engines look for" {
	idle_ct
	exec_ct no-such-program
	assert_error "executable file not found in \$PATH" 'executable file `no-such-program` not found in $PATH'
	[[ $RT == crun ]] || assert_status 255
	exec_ct /no/such/program
	assert_error "no such file or directory" "No such file or directory"
	[[ $RT == crun ]] || assert_status 255
}

@test "exec: a file that may not be executed" {
	idle_ct
	exec_ct /etc/passwd
	assert_error "permission denied" "Permission denied"
}

@test "exec --env" {
	idle_ct
	try rt exec --env A=1 --env "B=two words" --env PATH=/bin "$ID" env
	assert_has "A=1"
	assert_has "B=two words"
	assert_has "PATH=/bin"
	assert_eq "$(grep -c '^PATH=' <<<"$output")" 1
}

@test "exec: -e and --env in one call" {
	lacks runc 1.4 "its flag parser wants one form"
	idle_ct
	try rt exec --env A=1 -e B=2 --env PATH=/bin "$ID" env
	assert_has "A=1"
	assert_has "B=2"
}

@test "exec --env overrides the config's and keeps the others" {
	lacks crun "1.8 starts from an empty process"
	update_config '.process.env += ["KEEP=yes","A=old"]'
	idle_ct
	try rt exec --env A=new "$ID" env
	assert_has "KEEP=yes"
	assert_has "A=new"
	assert_lacks "A=old"
}

@test "exec --cwd" {
	idle_ct
	try rt exec --cwd /etc "$ID" pwd
	assert_output /etc
}

@test "exec: cwd and user default to the config's" {
	lacks crun "1.8 starts from an empty process"
	update_config '.process.cwd = "/home" | .process.user = {"uid":1000,"gid":1000}'
	idle_ct
	exec_ct sh -c 'pwd; id -u; id -g'
	assert_output $'/home\n1000\n1000'
}

@test "exec --user uid, uid:gid" {
	add_caps CAP_SETUID CAP_SETGID
	idle_ct
	try rt exec --user 1000:2000 "$ID" sh -c 'id -u; id -g'
	assert_output $'1000\n2000'
	try rt exec -u 1000 "$ID" sh -c 'id -u; id -g'
	assert_output $'1000\n0'
}

@test "exec --user: what is not a number is refused" {
	lacks crun "reads it with strtol"
	idle_ct
	for user in 1x x 1:y :1x; do
		try rt exec --user "$user" "$ID" id -u
		assert_fails
	done
}

@test "exec --user: numbers outside of 32 bits are refused" {
	lacks crun "reads it with strtol"
	lacks runc "they wrap around, to 0"
	idle_ct
	for user in -1 4294967296 4294967295 0:-1; do
		try rt exec --user="$user" "$ID" id -u
		assert_fails
	done
}

@test "exec: a numeric uid is never looked up as a name" {
	own_rootfs etc/passwd
	echo '1000:x:0:0::/:/bin/sh' >>"$ROOTFS/etc/passwd"
	idle_ct
	try rt exec --user 1000 "$ID" sh -c 'id -u'
	assert_output 1000
}

@test "exec --additional-gids" {
	lacks crun 1.26 "no such flag"
	idle_ct
	try rt exec --additional-gids 2000 --additional-gids 3000 "$ID" sh -c 'id -G'
	assert_has 2000
	assert_has 3000
}

@test "exec --cap adds to bounding, effective and permitted, not to inheritable" {
	lacks crun "1.8 starts from an empty process"
	idle_ct
	exec_ct grep ^Cap /proc/self/status
	assert_matches $'CapEff:\t0*20000420'
	try rt exec --cap CAP_SYS_CHROOT "$ID" grep ^Cap /proc/self/status
	assert_matches $'CapBnd:\t0*20040420'
	assert_matches $'CapEff:\t0*20040420'
	assert_matches $'CapPrm:\t0*20040420'
	[[ $RT == crun ]] || assert_matches $'CapInh:\t0+\n'
}

@test "exec: CapInh and CapAmb are empty unless asked for" {
	idle_ct
	exec_ct grep -E '^Cap(Inh|Amb)' /proc/self/status
	assert_matches $'CapInh:\t0+\n'
	assert_matches $'CapAmb:\t0+$'
}

@test "exec --no-new-privs" {
	update_config '.process.noNewPrivileges = false'
	idle_ct
	exec_ct grep NoNewPrivs /proc/self/status
	assert_output $'NoNewPrivs:\t0'
	try rt exec --no-new-privs "$ID" grep NoNewPrivs /proc/self/status
	assert_output $'NoNewPrivs:\t1'
}

@test "exec --process: everything comes from the file" {
	idle_ct
	jq '.process | .args=["sh","-c","pwd; id -u; echo $V; grep NoNewPrivs /proc/self/status"]
		| .cwd="/tmp" | .user={"uid":7,"gid":8} | .env=["PATH=/bin","V=file"]' "$CONFIG" >"$T/process.json"
	try rt exec --process "$T/process.json" "$ID"
	assert_ok
	assert_output $'/tmp\n7\nfile\nNoNewPrivs:\t1'
	try rt exec -p "$T/process.json" "$ID"
	assert_ok
}

@test "exec --process: does not read the bundle's config" {
	idle_ct
	jq '.process | .args=["echo","fine"]' "$CONFIG" >"$T/process.json"
	echo garbage >"$CONFIG"
	try rt exec --process "$T/process.json" "$ID"
	assert_ok
	assert_output fine
}

@test "exec --process: malformed or missing file" {
	idle_ct
	echo '{' >"$T/process.json"
	try rt exec --process "$T/process.json" "$ID"
	assert_fails
	try rt exec --process "$T/missing.json" "$ID"
	assert_fails
}

@test "exec --process: rlimits" {
	idle_ct
	jq '.process | .args=["grep","open files","/proc/self/limits"]
		| .rlimits=[{"type":"RLIMIT_NOFILE","soft":123,"hard":234}]' "$CONFIG" >"$T/process.json"
	try rt exec --process "$T/process.json" "$ID"
	assert_ok
	assert_matches "Max open files +123 +234"
}

@test "exec --process: umask" {
	lacks runc "1.1 sets it at create only"
	idle_ct
	jq '.process | .args=["sh","-c","umask"] | .user.umask=63' "$CONFIG" >"$T/process.json"
	try rt exec --process "$T/process.json" "$ID"
	assert_output 0077
}

@test "exec --process: oomScoreAdj" {
	lacks runc "1.1 sets it at create only"
	lacks crun "sets it at create only"
	idle_ct
	jq '.process | .args=["cat","/proc/self/oom_score_adj"] | .oomScoreAdj=77' "$CONFIG" >"$T/process.json"
	try rt exec --process "$T/process.json" "$ID"
	assert_output 77
}

@test "exec --detach --pid-file: the pid is the program's" {
	idle_ct
	rt exec --detach --pid-file "$T/pid" "$ID" sleep 2000 </dev/null >"$T/eout" 2>&1
	grep -qz 2000 "/proc/$(cat "$T/pid")/cmdline"
	assert_eq "$(wc -l <"$T/pid")" 0
}

@test "exec --detach: the program outlives the runtime as another's child" {
	idle_ct
	rt exec -d --pid-file "$T/pid" "$ID" sleep 2000 </dev/null >"$T/eout" 2>&1
	sleep 0.1
	[[ -d /proc/$(cat "$T/pid") ]]
	kill -9 "$(cat "$T/pid")"
	wait_gone "$(cat "$T/pid")"
	assert_eq "$(status_of)" running
}

@test "exec: options of the program are not the runtime's" {
	idle_ct
	exec_ct sh -c 'echo "$0" "$@"' -x --detach -t
	assert_output "-x --detach -t"
}

@test "exec: without a program" {
	idle_ct
	exec_ct
	assert_fails
}

@test "exec: a program in the background does not keep exec waiting" {
	idle_ct
	SECONDS=0
	exec_ct sh -c 'sleep 30 >/dev/null 2>&1 & echo done'
	assert_ok
	assert_output "done"
	((SECONDS < 10))
}

@test "exec: in a paused container is refused unless --ignore-paused" {
	lacks crun "waits for the thaw"
	idle_ct
	freeze_ct
	wait_status paused
	exec_ct true
	thaw_ct
	assert_fails "cannot exec in a paused container"
}

@test "exec --cgroup: a cgroup below the container's" {
	only_v1 "a hierarchy per controller"
	lacks crun "1.8 wants the path of a unified hierarchy"
	idle_ct
	for c in /sys/fs/cgroup/*/berth-it/"$ID"; do
		mkdir "$c/sub"
		case $c in */cpuset/*)
			cat "$c/cpuset.cpus" >"$c/sub/cpuset.cpus"
			cat "$c/cpuset.mems" >"$c/sub/cpuset.mems" ;;
		esac
	done
	try rt exec --cgroup sub "$ID" cat /proc/self/cgroup
	assert_ok
	assert_matches ":pids:[^ ]*/berth-it/$ID/sub"
	assert_matches ":memory:[^ ]*/berth-it/$ID/sub"
	try rt exec --cgroup pids:sub "$ID" cat /proc/self/cgroup
	assert_matches ":pids:[^ ]*/berth-it/$ID/sub"
	assert_matches ":memory:[^ ]*/berth-it/$ID"$'(\n|$)'
}

@test "exec --cgroup: outside of the container's cgroup is refused" {
	only_v1 "a hierarchy per controller"
	lacks crun "1.8 wants the path of a unified hierarchy"
	idle_ct
	try rt exec --cgroup ../.. "$ID" true
	assert_fails
	try rt exec --cgroup no-such-cgroup "$ID" true
	assert_fails
	assert_status 255
}

@test "exec: HOME comes from the container's passwd" {
	idle_ct
	try rt exec --user 1000:1000 "$ID" sh -c 'echo $HOME'
	assert_output /home/user
}

@test "exec: SIGTERM to the runtime reaches the program" {
	idle_ct
	"$RUNTIME" --root "$ROOT" exec "$ID" sh -c 'trap "exit 9" TERM; echo ready; while :; do sleep 0.05; done' \
		</dev/null >"$T/eout" 2>&1 3>&- &
	runtime=$!
	wait_output ready "$T/eout"
	kill -TERM $runtime
	code=0
	wait $runtime || code=$?
	assert_eq $code 9
}

@test "exec: three at the same time" {
	idle_ct
	for i in 1 2 3; do
		rt exec "$ID" sh -c "sleep 0.1; echo $i" </dev/null >"$T/e$i" 2>&1 3>&- &
		pids[i]=$!
	done
	for i in 1 2 3; do
		wait "${pids[i]}"
		assert_eq "$(cat "$T/e$i")" $i
	done
}
