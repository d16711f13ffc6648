// SPDX-License-Identifier: Apache-2.0

package boot

// Arch is an architecture that images are made for, named as GOARCH.
type Arch string

// The architectures that have an interpreter.
const (
	AMD64 Arch = "amd64"
	ARM64 Arch = "arm64"
)

// Call is a system call, independent of its number on an architecture.
type Call uint8

// The system calls that programs are made of. Only those that both
// architectures have: the *at forms, dup3, ppoll and so on.
const (
	NoCall Call = iota
	Capset
	Chdir
	Chroot
	Clone
	Close
	CloseRange
	Dup3
	Execve
	ExitGroup
	Faccessat
	Fchdir
	Fchmodat
	Fchown
	Fchownat
	Fsconfig
	Fsmount
	Fsopen
	Fspick
	Fstatfs
	Getcwd
	Ioctl
	IoprioSet
	Keyctl
	Kill
	Lseek
	MemfdCreate
	Mkdirat
	Mknodat
	Mount
	MountSetattr
	MoveMount
	OpenTree
	Openat
	Openat2
	Personality
	PivotRoot
	Ppoll
	Prctl
	Prlimit64
	Read
	RtSigaction
	RtSigprocmask
	SchedSetaffinity
	SchedSetattr
	Seccomp
	SendMsg
	SetMempolicy
	Setdomainname
	Setgroups
	Sethostname
	Setns
	Setresgid
	Setresuid
	Setsid
	Socket
	Statx
	Symlinkat
	Umask
	Umount2
	Unlinkat
	Unshare
	Wait4
	Write
	callCount
)

// fdResult says how a call that returns a descriptor keeps it from leaking
// into the payload: the index of the argument with the flag, and the flag.
type fdResult struct {
	arg  int
	flag uint64
}

// callInfo describes a call: its name, its numbers, and one letter for each
// argument, which the printer and the verifier read:
//
//	f descriptor    p path or string     b buffer    s structure, or null
//	i number        o number in octal    x flags     d descriptor, AT_FDCWD
type callInfo struct {
	name  string
	amd64 uint16
	arm64 uint16
	args  string
	// fd is set when the result is a new descriptor.
	fd *fdResult
}

// Flags that mark new descriptors close-on-exec; O_CLOEXEC has one value for
// both architectures, include/uapi/asm-generic/fcntl.h.
const (
	oCloexec = 0o2000000
	bit0     = 1 // FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC, FSPICK_CLOEXEC, MFD_CLOEXEC
)

// calls is indexed by Call. Numbers: arch/x86/entry/syscalls/syscall_64.tbl
// and include/uapi/asm-generic/unistd.h.
var calls = [callCount]callInfo{
	Capset:           {name: "capset", amd64: 126, arm64: 91, args: "ss"},
	Chdir:            {name: "chdir", amd64: 80, arm64: 49, args: "p"},
	Chroot:           {name: "chroot", amd64: 161, arm64: 51, args: "p"},
	Clone:            {name: "clone", amd64: 56, arm64: 220, args: "xisss"},
	Close:            {name: "close", amd64: 3, arm64: 57, args: "f"},
	CloseRange:       {name: "close_range", amd64: 436, arm64: 436, args: "iix"},
	Dup3:             {name: "dup3", amd64: 292, arm64: 24, args: "ffx"},
	Execve:           {name: "execve", amd64: 59, arm64: 221, args: "pss"},
	ExitGroup:        {name: "exit_group", amd64: 231, arm64: 94, args: "i"},
	Faccessat:        {name: "faccessat", amd64: 269, arm64: 48, args: "dpi"},
	Fchdir:           {name: "fchdir", amd64: 81, arm64: 50, args: "f"},
	Fchmodat:         {name: "fchmodat", amd64: 268, arm64: 53, args: "dpo"},
	Fchown:           {name: "fchown", amd64: 93, arm64: 55, args: "fii"},
	Fchownat:         {name: "fchownat", amd64: 260, arm64: 54, args: "dpiix"},
	Fsconfig:         {name: "fsconfig", amd64: 431, arm64: 431, args: "fippi"},
	Fsmount:          {name: "fsmount", amd64: 432, arm64: 432, args: "fxx", fd: &fdResult{1, bit0}},
	Fsopen:           {name: "fsopen", amd64: 430, arm64: 430, args: "px", fd: &fdResult{1, bit0}},
	Fspick:           {name: "fspick", amd64: 433, arm64: 433, args: "dpx", fd: &fdResult{2, bit0}},
	Fstatfs:          {name: "fstatfs", amd64: 138, arm64: 44, args: "fs"},
	Getcwd:           {name: "getcwd", amd64: 79, arm64: 17, args: "bi"},
	Ioctl:            {name: "ioctl", amd64: 16, arm64: 29, args: "fxi"},
	IoprioSet:        {name: "ioprio_set", amd64: 251, arm64: 30, args: "iii"},
	Keyctl:           {name: "keyctl", amd64: 250, arm64: 219, args: "ipi"},
	Kill:             {name: "kill", amd64: 62, arm64: 129, args: "ii"},
	Lseek:            {name: "lseek", amd64: 8, arm64: 62, args: "fii"},
	MemfdCreate:      {name: "memfd_create", amd64: 319, arm64: 279, args: "px", fd: &fdResult{1, bit0}},
	Mkdirat:          {name: "mkdirat", amd64: 258, arm64: 34, args: "dpo"},
	Mknodat:          {name: "mknodat", amd64: 259, arm64: 33, args: "dpox"},
	Mount:            {name: "mount", amd64: 165, arm64: 40, args: "pppxp"},
	MountSetattr:     {name: "mount_setattr", amd64: 442, arm64: 442, args: "dpxsi"},
	MoveMount:        {name: "move_mount", amd64: 429, arm64: 429, args: "dpdpx"},
	OpenTree:         {name: "open_tree", amd64: 428, arm64: 428, args: "dpx", fd: &fdResult{2, oCloexec}},
	Openat:           {name: "openat", amd64: 257, arm64: 56, args: "dpxo", fd: &fdResult{2, oCloexec}},
	Openat2:          {name: "openat2", amd64: 437, arm64: 437, args: "dpsi", fd: &fdResult{-1, oCloexec}},
	Personality:      {name: "personality", amd64: 135, arm64: 92, args: "x"},
	PivotRoot:        {name: "pivot_root", amd64: 155, arm64: 41, args: "pp"},
	Ppoll:            {name: "ppoll", amd64: 271, arm64: 73, args: "sisii"},
	Prctl:            {name: "prctl", amd64: 157, arm64: 167, args: "ixxxx"},
	Prlimit64:        {name: "prlimit64", amd64: 302, arm64: 261, args: "iiss"},
	Read:             {name: "read", amd64: 0, arm64: 63, args: "fbi"},
	RtSigaction:      {name: "rt_sigaction", amd64: 13, arm64: 134, args: "issi"},
	RtSigprocmask:    {name: "rt_sigprocmask", amd64: 14, arm64: 135, args: "issi"},
	SchedSetaffinity: {name: "sched_setaffinity", amd64: 203, arm64: 122, args: "iis"},
	SchedSetattr:     {name: "sched_setattr", amd64: 314, arm64: 274, args: "isi"},
	Seccomp:          {name: "seccomp", amd64: 317, arm64: 277, args: "ixs"},
	SendMsg:          {name: "sendmsg", amd64: 46, arm64: 211, args: "fsx"},
	SetMempolicy:     {name: "set_mempolicy", amd64: 238, arm64: 237, args: "isi"},
	Setdomainname:    {name: "setdomainname", amd64: 171, arm64: 162, args: "pi"},
	Setgroups:        {name: "setgroups", amd64: 116, arm64: 159, args: "is"},
	Sethostname:      {name: "sethostname", amd64: 170, arm64: 161, args: "pi"},
	Setns:            {name: "setns", amd64: 308, arm64: 268, args: "fx"},
	Setresgid:        {name: "setresgid", amd64: 119, arm64: 149, args: "iii"},
	Setresuid:        {name: "setresuid", amd64: 117, arm64: 147, args: "iii"},
	Setsid:           {name: "setsid", amd64: 112, arm64: 157, args: ""},
	Socket:           {name: "socket", amd64: 41, arm64: 198, args: "ixi", fd: &fdResult{1, oCloexec}},
	Statx:            {name: "statx", amd64: 332, arm64: 291, args: "dpxxs"},
	Symlinkat:        {name: "symlinkat", amd64: 266, arm64: 36, args: "pdp"},
	Umask:            {name: "umask", amd64: 95, arm64: 166, args: "o"},
	Umount2:          {name: "umount2", amd64: 166, arm64: 39, args: "px"},
	Unlinkat:         {name: "unlinkat", amd64: 263, arm64: 35, args: "dpx"},
	Unshare:          {name: "unshare", amd64: 272, arm64: 97, args: "x"},
	Wait4:            {name: "wait4", amd64: 61, arm64: 260, args: "isis"},
	Write:            {name: "write", amd64: 1, arm64: 64, args: "fbi"},
}

// String returns the call's name in the kernel.
func (c Call) String() string {
	if c == NoCall || c >= callCount {
		return "?"
	}
	return calls[c].name
}

// Number returns the call's number on an architecture.
func (c Call) Number(a Arch) uint16 {
	if a == ARM64 {
		return calls[c].arm64
	}
	return calls[c].amd64
}
