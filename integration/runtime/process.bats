#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

@test "process.cwd" {
	update_config '.process.cwd = "/etc"'
	set_args pwd
	run_ct
	assert_output /etc
}

@test "process.cwd: made when missing" {
	update_config '.process.cwd = "/made/for/you"'
	set_script 'pwd; stat -c %a /made/for/you'
	run_ct
	assert_matches $'^/made/for/you\n1?755$'
}

@test "process.cwd: made when missing, with a read-only root" {
	update_config '.process.cwd = "/made/for/you" | .root.readonly = true'
	set_script 'pwd; touch /x 2>/dev/null || echo read-only'
	run_ct
	assert_output $'/made/for/you\nread-only'
}

@test "process.cwd: relative is refused" {
	lacks crun "takes it"
	update_config '.process.cwd = "etc"'
	create_fails
	assert_has "wd"
}

@test "process.cwd: that the user may enter and root may not" {
	mkdir "$ROOTFS/private"
	chown 1000:1000 "$ROOTFS/private"
	chmod 700 "$ROOTFS/private"
	update_config '.process.cwd = "/private" | .process.user = {"uid":1000,"gid":1000}'
	set_args pwd
	run_ct
	assert_output /private
}

@test "process.cwd: that the user may not enter is entered as root" {
	mkdir "$ROOTFS/private"
	chmod 700 "$ROOTFS/private"
	update_config '.process.cwd = "/private" | .process.user = {"uid":1000,"gid":1000}'
	create_ct
}

@test "process.env: exactly what is listed, and HOME" {
	update_config '.process.env = ["PATH=/bin","A=1","EMPTY=","SPACE=a b","EQ=a=b"]'
	export NOT_LISTED=leak
	set_args env
	run_ct
	assert_has "A=1"
	assert_has "EMPTY="
	assert_has "SPACE=a b"
	assert_has "EQ=a=b"
	assert_lacks NOT_LISTED
	assert_lacks _LIBCONTAINER
	assert_eq "$(wc -l <<<"$output")" 6
}

@test "process.env: the last of two wins" {
	lacks crun "passes both"
	lacks runc 1.2 "passes both"
	update_config '.process.env += ["A=first","A=second"]'
	set_args env
	run_ct
	assert_has A=second
	assert_lacks A=first
}

@test "HOME: of a user who is not in passwd" {
	lacks crun "leaves it unset"
	update_config '.process.user = {"uid":4242,"gid":0}'
	set_script 'echo $HOME'
	run_ct
	assert_output /
}

@test "HOME: of root and of a user" {
	for u in 0:/root 1000:/home/user; do
		update_config ".process.user = {\"uid\":${u%%:*},\"gid\":0}"
		set_script 'echo $HOME'
		run_ct
		assert_output "${u#*:}"
	done
}

@test "HOME: given in env is kept" {
	update_config '.process.env += ["HOME=/given"]'
	set_script 'echo $HOME'
	run_ct
	assert_output /given
}

@test "HOME: empty in env is looked up" {
	lacks crun "keeps it empty"
	lacks runc 1.2 "keeps it empty"
	update_config '.process.env += ["HOME="]'
	set_script 'echo $HOME'
	run_ct
	assert_output /root
}

@test "PATH: looked up in the container's env and root" {
	mkdir -p "$ROOTFS/own/bin"
	ln "$ROOTFS/bin/busybox" "$ROOTFS/own/bin/hostname"
	update_config '.process.env = ["PATH=/nowhere:/own/bin"]'
	set_args hostname
	run_ct
	assert_output inside
}

@test "process.user: ids and groups" {
	update_config '.process.user = {"uid":1000,"gid":1001,"additionalGids":[5,2000]}'
	set_script 'id -u; id -g; id -G'
	run_ct
	assert_output $'1000\n1001\n1001 5 2000'
}

@test "process.user: no groups but the listed ones" {
	set_script 'grep Groups: /proc/self/status'
	run_ct
	assert_matches $'^Groups:[\t 0]*$'
}

@test "process.user: groups of the image's /etc/group are not added" {
	update_config '.process.user = {"uid":1000,"gid":1000}'
	set_args id -G
	run_ct
	assert_output 1000
}

@test "process.user.umask, and 0022 without it" {
	set_script umask
	(
		umask 077
		run_ct
		assert_output 0022
	)
	update_config '.process.user.umask = 63'
	run_ct
	assert_output 0077
}

@test "process.oomScoreAdj" {
	update_config '.process.oomScoreAdj = 321'
	set_args cat /proc/self/oom_score_adj
	run_ct
	assert_output 321
	update_config 'del(.process.oomScoreAdj)'
	run_ct
	assert_output "$(cat /proc/self/oom_score_adj)"
}

@test "process.scheduler: batch and nice" {
	lacks runc 1.2 "scheduler came with 1.2"
	lacks crun 1.9 "scheduler came later"
	update_config '.process.scheduler = {"policy":"SCHED_BATCH","nice":7}'
	set_script 'awk "{print \$19, \$41}" /proc/self/stat'
	run_ct
	assert_output "7 3"
}

@test "process.scheduler: nonsense is refused" {
	lacks runc 1.2 "scheduler came with 1.2"
	lacks crun 1.9 "scheduler came later"
	update_config '.process.scheduler = {"policy":"SCHED_NONSENSE"}'
	create_fails
	update_config '.process.scheduler = {"policy":"SCHED_OTHER","nice":40}'
	create_fails
}

@test "process.ioPriority" {
	lacks runc 1.2 "ioPriority came with 1.2"
	lacks crun 1.9 "ioPriority came later"
	update_config '.process.ioPriority = {"class":"IOPRIO_CLASS_BE","priority":6}'
	set_args ionice
	run_ct
	assert_has "best-effort: prio 6"
}

@test "process.execCPUAffinity" {
	lacks runc 1.3 "came with 1.3"
	lacks crun 1.20 "came later"
	[[ $(nproc) -ge 2 ]] || skip "one CPU"
	update_config '.process.execCPUAffinity = {"initial":"0","final":"1"}'
	idle_ct
	exec_ct grep Cpus_allowed_list /proc/self/status
	assert_output $'Cpus_allowed_list:\t1'
}

@test "process.execCPUAffinity: also for a process.json that says nothing" {
	lacks runc 1.3 "came with 1.3"
	lacks crun 1.20 "came later"
	[[ $(nproc) -ge 2 ]] || skip "one CPU"
	update_config '.process.execCPUAffinity = {"initial":"0","final":"1"}'
	idle_ct
	echo '{"args":["grep","Cpus_allowed_list","/proc/self/status"],"cwd":"/","env":["PATH=/bin"]}' >"$T/process.json"
	try rt exec --process "$T/process.json" "$ID"
	assert_output $'Cpus_allowed_list:\t1'
}

@test "CPU affinity: that of the caller does not stick" {
	lacks runc 1.2 "inherits it"
	lacks crun 1.9 "inherits it"
	[[ $(nproc) -ge 2 ]] || skip "one CPU"
	set_args grep Cpus_allowed_list /proc/self/status
	try taskset -c 0 "$RUNTIME" --root "$ROOT" run --bundle "$BUNDLE" "$ID" </dev/null
	assert_output "Cpus_allowed_list:"$'\t'"$(cat /sys/fs/cgroup/cpuset/cpuset.cpus 2>/dev/null || cat /sys/fs/cgroup/cpuset.cpus.effective)"
}

@test "linux.personality" {
	lacks runc 1.2 "personality came with 1.2"
	update_config '.linux.personality = {"domain":"LINUX32"}'
	set_args uname -m
	run_ct
	assert_output i686
	update_config '.linux.personality = {"domain":"NONSENSE"}'
	create_fails
}

@test "linux.memoryPolicy" {
	lacks runc 1.4 "came later"
	lacks crun 1.24 "came later"
	update_config '.linux.memoryPolicy = {"mode":"MPOL_BIND","nodes":"0"}'
	set_script 'head -n1 /proc/self/numa_maps'
	run_ct
	assert_has "bind:0"
}

@test "keyring: a session keyring of its own, named after the id" {
	requires keyring
	update_config '.linux.maskedPaths = []'
	set_args cat /proc/keys
	run_ct
	assert_has "_ses.$ID" || [[ $RT == crun ]]
}

@test "keyring: --no-new-keyring keeps the caller's" {
	requires keyring
	update_config '.linux.maskedPaths = []'
	set_args cat /proc/keys
	run_ct --no-new-keyring
	assert_ok
	assert_lacks "_ses.$ID"
}

@test "process: is a session leader without a terminal" {
	set_script 'awk "{print \$6, \$7}" /proc/$$/stat'
	run_ct
	assert_output "1 0"
}

@test "process: signals are neither blocked nor ignored" {
	trap '' HUP
	set_args grep -E '^Sig(Blk|Ign)' /proc/self/status
	run_ct
	trap - HUP
	assert_has $'SigBlk:\t0000000000000000'
}

@test "process: args[0] is passed as written" {
	set_args ./bin/busybox echo relative
	run_ct
	assert_output relative
}

@test "apparmorProfile: refused on a kernel without AppArmor" {
	[[ ! -d /sys/kernel/security/apparmor ]] || skip "AppArmor is on"
	lacks crun "ignores it"
	update_config '.process.apparmorProfile = "some-profile"'
	create_fails
	assert_matches "[Aa]pp[Aa]rmor"
}

@test "selinuxLabel: refused on a kernel without SELinux" {
	[[ ! -d /sys/fs/selinux ]] || skip "SELinux is on"
	lacks crun "ignores it"
	update_config '.process.selinuxLabel = "system_u:system_r:svirt_lxc_net_t:s0:c1,c2"'
	create_fails
	assert_matches "(SELinux|selinux)"
}

# load_profile: an AppArmor profile of this test's own; removed with it.
load_profile() {
	[[ -d /sys/kernel/security/apparmor ]] || skip "machine lacks AppArmor"
	command -v apparmor_parser >/dev/null || skip "machine lacks apparmor_parser"
	profile=berth-$ID
	cat >"$T/profile" <<-END
		profile $profile flags=(attach_disconnected) {
		  file,
		  signal,
		  capability,
		  unix,
		  deny /etc/group r,
		}
	END
	apparmor_parser -r "$T/profile"
}

@test "apparmorProfile: create and exec run under it" {
	load_profile
	update_config --arg p "$profile" '.process.apparmorProfile = $p'
	set_script 'cat /proc/self/attr/current; cat /etc/group 2>&1; sleep 1000'
	detach_ct
	wait_output "$profile (enforce)"
	wait_output "Permission denied"
	exec_ct cat /proc/self/attr/current
	assert_has "$profile (enforce)"
	rt delete --force "$ID"
	apparmor_parser -R "$T/profile"
}

@test "apparmorProfile: one that is not loaded is refused" {
	[[ -d /sys/kernel/security/apparmor ]] || skip "machine lacks AppArmor"
	update_config '.process.apparmorProfile = "berth-no-such-profile"'
	create_fails
	assert_has berth-no-such-profile
}
