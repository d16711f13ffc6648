#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

setup() {
	setup_bundle
	requires seccomp
}
# profile JSON: allow all but what is listed.
profile() { update_config --argjson s "$1" '.linux.seccomp = ({"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_AARCH64"]} + $s)'; }
rule() { profile '{"syscalls":['"$1"']}'; }

# The names a Go program and the runtimes use, up to faccessat2 (439).
needed_calls() {
	echo '["read","write","open","openat","close","close_range","execve","exit","exit_group","brk","mmap","munmap","mprotect","arch_prctl","set_tid_address","set_robust_list","rseq","prlimit64","getrandom","uname","readlink","readlinkat","newfstatat","fstat","stat","lstat","rt_sigaction","rt_sigprocmask","rt_sigreturn","getuid","geteuid","getgid","getegid","setuid","setgid","setgroups","prctl","capset","capget","futex","fcntl","getppid","getpid","gettid","tgkill","fstatfs","statfs","getdents64","epoll_ctl","epoll_pwait","epoll_create1","nanosleep","sched_yield","sigaltstack","clone","clone3","wait4","getcwd","chdir","faccessat2","access","pipe2","ppoll","poll","dup2","dup3","lseek","sendmsg","recvmsg","sendto","recvfrom","umask","seccomp","eventfd2","madvise","sched_getaffinity","timer_create","timer_settime","timer_delete","pselect6"]'
}

@test "seccomp: a filter that denies execve is refused" {
	needs_berth "its own check"
	for p in '{"defaultAction":"SCMP_ACT_ERRNO"}' \
		'{"defaultAction":"SCMP_ACT_KILL_PROCESS","syscalls":[{"names":["read","write"],"action":"SCMP_ACT_ALLOW"}]}' \
		'{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["execve"],"action":"SCMP_ACT_TRAP"}]}'; do
		profile "$p"
		create_fails
		assert_has "linux.seccomp: no rule allows execve"
	done
}

@test "seccomp: none, then none" {
	set_args grep Seccomp: /proc/self/status
	run_ct
	assert_output $'Seccomp:\t0'
}

@test "seccomp: ERRNO with the default errno, EPERM" {
	rule '{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}'
	set_script 'grep Seccomp: /proc/self/status; mkdir /tmp/x'
	run_ct
	assert_has $'Seccomp:\t2'
	assert_has "Operation not permitted"
}

@test "seccomp: errnoRet" {
	rule '{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28}'
	set_args mkdir /tmp/x
	run_ct
	assert_has "No space left on device"
}

@test "seccomp: defaultErrnoRet" {
	profile '{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":28,"syscalls":[{"names":'"$(needed_calls)"',"action":"SCMP_ACT_ALLOW"}]}'
	set_args mkdir /tmp/x
	run_ct
	assert_has "No space left on device"
}

@test "seccomp: KILL_PROCESS and KILL are signal 31" {
	for a in SCMP_ACT_KILL_PROCESS SCMP_ACT_KILL; do
		rule '{"names":["mkdir","mkdirat"],"action":"'$a'"}'
		set_args mkdir /tmp/x
		run_ct
		assert_status 159
	done
}

@test "seccomp: TRAP is signal 31, LOG lets through" {
	rule '{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_TRAP"}'
	set_args mkdir /tmp/x
	run_ct
	assert_status 159
	rule '{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_LOG"}'
	set_script 'mkdir /tmp/x && echo made'
	run_ct
	assert_output made
}

@test "seccomp: TRACE without a tracer is ENOSYS" {
	rule '{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_TRACE","errnoRet":5}'
	set_args mkdir /tmp/x
	run_ct
	assert_has "Function not implemented"
}

@test "seccomp: conditions on arguments" {
	# kill(pid, 10) fails, kill(pid, 12) does not
	rule '{"names":["kill"],"action":"SCMP_ACT_ERRNO","args":[{"index":1,"value":10,"op":"SCMP_CMP_EQ"}]}'
	set_script 'trap "echo ten" USR1; trap "echo twelve" USR2; kill -10 $$; kill -12 $$'
	run_ct
	assert_has "not permitted"
	assert_has twelve
	assert_lacks ten
}

@test "seccomp: operators" {
	for c in '10 SCMP_CMP_NE 12 0' '10 SCMP_CMP_EQ 10 0' '12 SCMP_CMP_GT 11 0' '12 SCMP_CMP_GE 12 0' '10 SCMP_CMP_LT 11 0' '10 SCMP_CMP_LE 10 0' '12 SCMP_CMP_MASKED_EQ 4 4'; do
		read -r hit op value two <<<"$c"
		rule '{"names":["kill"],"action":"SCMP_ACT_ERRNO","args":[{"index":1,"value":'"$value"',"valueTwo":'"$two"',"op":"'"$op"'"}]}'
		set_script "trap : USR1 USR2; kill -10 \$\$ 2>/dev/null || echo 10; kill -12 \$\$ 2>/dev/null || echo 12"
		run_ct
		assert_output "$hit"
	done
}

@test "seccomp: several conditions on one call must all hold" {
	rule '{"names":["kill"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":1,"value":10,"op":"SCMP_CMP_EQ"}]}'
	set_script 'trap : USR1; kill -10 1 || echo both; sleep 100 & kill -10 $! && echo one'
	run_ct
	assert_has both
	assert_has one
}

@test "seccomp: with and without no_new_privs" {
	for nnp in true false; do
		rule '{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}'
		update_config ".process.noNewPrivileges = $nnp"
		set_script 'mkdir /tmp/x 2>/dev/null || echo refused'
		run_ct
		assert_output refused
	done
}

@test "seccomp: as another user without no_new_privs" {
	rule '{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}'
	update_config '.process.noNewPrivileges = false | .process.user = {"uid":1000,"gid":1000}'
	set_script 'mkdir /tmp/x 2>/dev/null || echo refused; id -u'
	run_ct
	assert_output $'refused\n1000'
}

@test "seccomp: exec is filtered like init" {
	rule '{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}'
	idle_ct
	exec_ct mkdir /tmp/x
	assert_has "not permitted"
	exec_ct grep Seccomp: /proc/self/status
	assert_output $'Seccomp:\t2'
}

@test "seccomp: unknown names of system calls are ignored" {
	rule '{"names":["mkdir","mkdirat","no_such_call_at_all"],"action":"SCMP_ACT_ERRNO"}'
	set_script 'mkdir /tmp/x 2>/dev/null || echo refused'
	run_ct
	assert_output refused
}

@test "seccomp: unknown actions and operators are refused" {
	rule '{"names":["mkdir"],"action":"SCMP_ACT_NONSENSE"}'
	create_fails
	rule '{"names":["kill"],"action":"SCMP_ACT_ERRNO","args":[{"index":1,"value":1,"op":"SCMP_CMP_NONSENSE"}]}'
	create_fails
}

@test "seccomp: argument index above 5 is refused" {
	rule '{"names":["kill"],"action":"SCMP_ACT_ERRNO","args":[{"index":6,"value":1,"op":"SCMP_CMP_EQ"}]}'
	create_fails
}

@test "seccomp: a call newer than the profile is ENOSYS, not EPERM" {
	lacks crun "answers EPERM"
	# everything up to statx is named, so 463 is beyond what the profile knows
	profile '{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":'"$(needed_calls)"',"action":"SCMP_ACT_ALLOW"}]}'
	set_args recvtty syscall 463
	run_ct
	assert_output errno=38
}

@test "seccomp: a call that the profile could have known is EPERM" {
	rule '{"names":["acct"],"action":"SCMP_ACT_ERRNO"}'
	set_args recvtty syscall 163 0
	run_ct
	assert_output errno=1
}

@test "seccomp: an unknown flag is refused" {
	lacks crun "ignores it"
	profile '{"flags":["SECCOMP_FILTER_FLAG_NONSENSE"],"syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO"}]}'
	create_fails
}

@test "seccomp: flags" {
	lacks runc 1.2 "no flags before"
	profile '{"flags":["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_SPEC_ALLOW"],"syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}'
	set_script 'mkdir /tmp/x 2>/dev/null || echo refused; grep Speculation_Store /proc/self/status'
	run_ct
	assert_has refused
}

@test "seccomp: notify hands the listener over with the state and metadata" {
	"$RECVTTY" seccomp "$T/agent" 28 >"$T/agent.out" 2>&1 3>&- &
	agent=$!
	wait_for test -S "$T/agent"
	profile '{"listenerPath":"'"$T/agent"'","listenerMetadata":"meta data","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_NOTIFY"}]}'
	set_args mkdir /tmp/x
	run_ct
	kill $agent 2>/dev/null || true
	assert_has "No space left on device"
	sed '/^nr=/,$d' "$T/agent.out" | jq -e --arg id "$ID" --arg b "$BUNDLE" '
		.fds == ["seccompFd"] and .metadata == "meta data" and .pid > 0
		and .state.id == $id and .state.bundle == $b and .state.status == "creating"'
	grep -q "nr=" "$T/agent.out"
}

@test "seccomp: notify without an agent that listens" {
	profile '{"listenerPath":"'"$T/nobody"'","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]}'
	create_fails
}

@test "seccomp: notify needs a listenerPath" {
	lacks crun "starts the program"
	rule '{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}'
	create_fails
}

@test "seccomp: notify is refused for write and as the default" {
	lacks crun "does not check"
	profile '{"listenerPath":"'"$T/nobody"'","syscalls":[{"names":["write"],"action":"SCMP_ACT_NOTIFY"}]}'
	create_fails
	profile '{"listenerPath":"'"$T/nobody"'","defaultAction":"SCMP_ACT_NOTIFY","syscalls":[]}'
	create_fails
}
