// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// defaultProfile is what Docker 29 lets a container call (its profile of module
// github.com/moby/profiles/seccomp v0.2.3). All else is EPERM; what a
// capability opens is allowed with that capability alone.
func defaultProfile() *profile {
	p := &profile{DefaultAction: specs.ActErrno, DefaultErrnoRet: errno(unix.EPERM), ArchMap: foreignArchs}
	add := func(names string, s syscalls) {
		s.Names = strings.Fields(names)
		if s.Action == "" {
			s.Action = specs.ActAllow
		}
		p.Syscalls = append(p.Syscalls, s)
	}
	add(ordinaryCalls, syscalls{})
	add("process_vm_readv process_vm_writev ptrace", syscalls{})
	// Families 38 and 40 are left out: AF_ALG (CVE-2026-31431) and AF_VSOCK,
	// which has no namespace.
	add("socket", argument(specs.OpLessThan, unix.AF_ALG))
	add("socket", argument(specs.OpEqualTo, unix.AF_ALG+1))
	add("socket", argument(specs.OpGreaterThan, unix.AF_VSOCK))
	// PER_LINUX, PER_LINUX32, UNAME26 with either, and the query.
	for _, persona := range []uint64{0, 0x8, 0x20000, 0x20008, 0xffffffff} {
		add("personality", argument(specs.OpEqualTo, persona))
	}

	for _, a := range archCalls {
		add(a.names, syscalls{Includes: condition{Arches: strings.Fields(a.archs)}})
	}
	for _, c := range capabilityCalls {
		add(c.names, syscalls{Includes: condition{Caps: []string{c.capability}}})
	}

	// Without CAP_SYS_ADMIN no new namespace. The flags of clone3 are behind a
	// pointer: ENOSYS makes C libraries take clone.
	unprivileged := condition{Caps: []string{"CAP_SYS_ADMIN"}}
	s390 := []string{"s390", "s390x"}
	flags := syscalls{
		Args:     []specs.LinuxSeccompArg{{Index: 0, Value: namespaceFlags, Op: specs.OpMaskedEqual}},
		Excludes: condition{Caps: unprivileged.Caps, Arches: s390},
	}
	add("clone", flags)
	flags.Args = []specs.LinuxSeccompArg{{Index: 1, Value: namespaceFlags, Op: specs.OpMaskedEqual}}
	flags.Includes, flags.Excludes = condition{Arches: s390}, unprivileged
	add("clone", flags) // clone(2): its first two arguments are reversed there
	add("clone3", syscalls{Action: specs.ActErrno, ErrnoRet: errno(unix.ENOSYS), Excludes: unprivileged})
	return p
}

const namespaceFlags = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

func errno(e unix.Errno) *uint {
	n := uint(e)
	return &n
}

// argument is a condition on the first argument of a call.
func argument(op specs.LinuxSeccompOperator, value uint64) syscalls {
	return syscalls{Args: []specs.LinuxSeccompArg{{Index: 0, Value: value, Op: op}}}
}

// foreignArchs are the architectures whose programs a kernel runs as well.
var foreignArchs = []archMapping{
	{specs.ArchX86_64, []specs.Arch{specs.ArchX86, specs.ArchX32}},
	{specs.ArchAARCH64, []specs.Arch{specs.ArchARM}},
	{specs.ArchMIPS64, []specs.Arch{specs.ArchMIPS, specs.ArchMIPS64N32}},
	{specs.ArchMIPSEL64, []specs.Arch{specs.ArchMIPSEL, specs.ArchMIPSEL64N32}},
	{specs.ArchS390X, []specs.Arch{specs.ArchS390}},
	{specs.ArchRISCV64, nil},
	{specs.ArchLOONGARCH64, nil},
	{specs.ArchPPC64LE, nil},
}

// archCalls are the calls of some architectures, in Docker's names for these.
var archCalls = []struct{ archs, names string }{
	{"ppc64le", "sync_file_range2 swapcontext"},
	{"arm arm64", "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls"},
	{"amd64 x32", "arch_prctl"},
	{"amd64 x32 x86", "modify_ldt"},
	{"s390 s390x", "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr"},
	{"riscv64", "riscv_flush_icache"},
}

// capabilityCalls are the calls that a capability opens.
var capabilityCalls = []struct{ capability, names string }{
	{"CAP_DAC_READ_SEARCH", "open_by_handle_at"},
	{"CAP_SYS_ADMIN", "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr " +
		"lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd " +
		"setdomainname sethostname setns syslog umount umount2 unshare"},
	{"CAP_SYS_BOOT", "reboot"},
	{"CAP_SYS_CHROOT", "chroot"},
	{"CAP_SYS_MODULE", "delete_module init_module finit_module"},
	{"CAP_SYS_PACCT", "acct"},
	{"CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"},
	{"CAP_SYS_RAWIO", "iopl ioperm"},
	{"CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"},
	{"CAP_SYS_TTY_CONFIG", "vhangup"},
	{"CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
	{"CAP_SYSLOG", "syslog"},
	{"CAP_BPF", "bpf"},
	{"CAP_PERFMON", "perf_event_open"},
}

// ordinaryCalls are allowed to all.
const ordinaryCalls = `
accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime clock_adjtime64
clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect
copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate
fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork
fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64
futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid getegid32
geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom
getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32
getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset
landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr _llseek
lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat
mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64
mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap
name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc
pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64
pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages
removexattr removexattrat rename renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending
rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list
set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid
setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid
setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall
socketpair splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill
time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink
unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
`
