// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package seccomp

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

const (
	amd64 = unix.AUDIT_ARCH_X86_64
	i386  = unix.AUDIT_ARCH_I386

	allow  = unix.SECCOMP_RET_ALLOW
	eperm  = unix.SECCOMP_RET_ERRNO | 1
	enosys = unix.SECCOMP_RET_ERRNO | 38
	kill   = unix.SECCOMP_RET_KILL_THREAD
)

func errno(n uint) *uint { return &n }

// docker is the profile that Docker writes into each config.json on amd64.
func docker(t testing.TB) *specs.LinuxSeccomp {
	t.Helper()
	data, err := os.ReadFile("../../tests/testdata/docker-seccomp.json")
	if err != nil {
		t.Fatal(err)
	}
	s := &specs.LinuxSeccomp{}
	if err := json.Unmarshal(data, s); err != nil {
		t.Fatal(err)
	}
	return s
}

func compile(t testing.TB, s *specs.LinuxSeccomp) *Filter {
	t.Helper()
	f, warnings, err := Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	if warnings != nil {
		t.Errorf("warnings = %q, want none", warnings)
	}
	if err := verify(f.BPF); err != nil {
		t.Fatal(err)
	}
	return f
}

// expect is an outcome that a profile must have.
type expect struct {
	call sysCall
	want uint32
}

func checkCalls(t *testing.T, f *Filter, all []expect) {
	t.Helper()
	for _, e := range all {
		got, err := interpret(f.BPF, e.call)
		if err != nil {
			t.Fatal(err)
		}
		if got != e.want {
			t.Errorf("%+v gives %#x, want %#x", e.call, got, e.want)
		}
	}
}

func needAMD64(t *testing.T) {
	t.Helper()
	if nativeArch().name != specs.ArchX86_64 {
		t.Skip("numbers of amd64")
	}
}

func TestDockerProfile(t *testing.T) {
	needAMD64(t)
	f := compile(t, docker(t))
	if f.Flags != unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW || f.Listener {
		t.Errorf("flags = %#x, listener = %v, want SPEC_ALLOW alone", f.Flags, f.Listener)
	}
	checkCalls(t, f, []expect{
		{sysCall{nr: unix.SYS_READ, arch: amd64}, allow},
		{sysCall{nr: unix.SYS_EXECVE, arch: amd64}, allow},
		{sysCall{nr: unix.SYS_MOUNT, arch: amd64}, eperm},
		{sysCall{nr: unix.SYS_UNSHARE, arch: amd64}, eperm},
		{sysCall{nr: unix.SYS_IO_URING_SETUP, arch: amd64}, eperm},
		{sysCall{nr: unix.SYS_CLONE3, arch: amd64}, enosys},
		{sysCall{nr: unix.SYS_CLONE, arch: amd64, args: [6]uint64{unix.CLONE_VM | unix.CLONE_VFORK}}, allow},
		{sysCall{nr: unix.SYS_CLONE, arch: amd64, args: [6]uint64{unix.CLONE_NEWUSER}}, eperm},
		{sysCall{nr: unix.SYS_CLONE, arch: amd64, args: [6]uint64{unix.CLONE_NEWNS | unix.CLONE_VM}}, eperm},
		{sysCall{nr: unix.SYS_SOCKET, arch: amd64, args: [6]uint64{unix.AF_INET}}, allow},
		{sysCall{nr: unix.SYS_SOCKET, arch: amd64, args: [6]uint64{unix.AF_VSOCK}}, eperm},
		{sysCall{nr: unix.SYS_PERSONALITY, arch: amd64, args: [6]uint64{0}}, allow},
		{sysCall{nr: unix.SYS_PERSONALITY, arch: amd64, args: [6]uint64{0x20008}}, allow},
		{sysCall{nr: unix.SYS_PERSONALITY, arch: amd64, args: [6]uint64{0xffffffff}}, allow},
		{sysCall{nr: unix.SYS_PERSONALITY, arch: amd64, args: [6]uint64{0x40000}}, eperm}, // ADDR_NO_RANDOMIZE
		// libseccomp 2.5.4 ends with 450; the profile goes on to 466.
		{sysCall{nr: unix.SYS_FCHMODAT2, arch: amd64}, allow},
		{sysCall{nr: unix.SYS_REMOVEXATTRAT, arch: amd64}, allow},
		{sysCall{nr: 335, arch: amd64}, allow}, // uretprobe
		{sysCall{nr: 336, arch: amd64}, eperm}, // uprobe, in a hole
		{sysCall{nr: unix.SYS_LSM_LIST_MODULES, arch: amd64}, eperm},
		{sysCall{nr: unix.SYS_OPEN_TREE_ATTR, arch: amd64}, enosys},
		{sysCall{nr: 5000, arch: amd64}, enosys},
		{sysCall{nr: x32Bit - 1, arch: amd64}, enosys},
		{sysCall{nr: 4, arch: i386}, allow},                             // write
		{sysCall{nr: 21, arch: i386}, eperm},                            // mount
		{sysCall{nr: 359, arch: i386, args: [6]uint64{40}}, eperm},      // socket
		{sysCall{nr: 120, arch: i386, args: [6]uint64{1 << 28}}, eperm}, // clone
		{sysCall{nr: 102, arch: i386, args: [6]uint64{1}}, allow},       // socketcall
		{sysCall{nr: 452, arch: i386}, allow},                           // fchmodat2
		{sysCall{nr: 222, arch: i386}, eperm},                           // a hole there
		{sysCall{nr: 467, arch: i386}, enosys},                          // open_tree_attr
		{sysCall{nr: x32Bit | 1, arch: i386}, enosys},                   // no x32 here
		{sysCall{nr: x32Bit | 1, arch: amd64}, allow},                   // write
		{sysCall{nr: x32Bit | 165, arch: amd64}, eperm},                 // mount
		{sysCall{nr: x32Bit | 452, arch: amd64}, allow},                 // fchmodat2
		{sysCall{nr: x32Bit | 467, arch: amd64}, eperm},                 // below x32's own calls from 512 on
		{sysCall{nr: x32Bit | 520, arch: amd64}, allow},                 // execve
		{sysCall{nr: x32Bit | 548, arch: amd64}, enosys},                // after the last one
		{sysCall{nr: noCall, arch: amd64}, eperm},                       // a tracer's "skip"
		{sysCall{nr: noCall, arch: i386}, eperm},                        // a tracer's "skip"
		{sysCall{nr: 63, arch: unix.AUDIT_ARCH_AARCH64}, kill},          // not in the profile
		{sysCall{nr: 5000, arch: unix.AUDIT_ARCH_AARCH64}, kill},        // nor does the stub answer
	})
}

// TestDockerProfileAgainstItsRules compares the program with what the rules say
// for each number that there may be, with arguments that match some of them.
func TestDockerProfileAgainstItsRules(t *testing.T) {
	s := docker(t)
	f := compile(t, s)
	p, err := check(s)
	if err != nil {
		t.Fatal(err)
	}
	calls, _ := p.resolve()
	for _, a := range p.archs {
		for nr := range uint32(620) {
			for _, arg := range []uint64{0, 8, 40, 0x20000000, 0xffffffff, 1 << 40} {
				if a.name != specs.ArchX86_64 && arg > 0xffffffff {
					continue // libseccomp compares 32 bits there
				}
				c := sysCall{nr: a.base&x32Bit + nr, arch: a.audit, args: [6]uint64{arg}}
				got, err := interpret(f.BPF, c)
				if err != nil {
					t.Fatal(err)
				}
				if want := p.reference(calls, a, c); got != want {
					t.Fatalf("%s: %+v gives %#x, want %#x", a.name, c, got, want)
				}
			}
		}
	}
}

// directI386 are calls that libseccomp counts as parts of socketcall and ipc.
var directI386 = map[string]uint32{
	"recvmmsg": 337, "sendmmsg": 345, "socket": 359, "socketpair": 360, "bind": 361, "connect": 362, "listen": 363,
	"accept4": 364, "getsockopt": 365, "setsockopt": 366, "getsockname": 367, "getpeername": 368, "sendto": 369,
	"sendmsg": 370, "recvfrom": 371, "recvmsg": 372, "shutdown": 373, "semget": 393, "semctl": 394, "shmget": 395,
	"shmctl": 396, "shmat": 397, "shmdt": 398, "msgget": 399, "msgsnd": 400, "msgrcv": 401, "msgctl": 402,
}

// TestDirectSocketCallsOf32Bit: libseccomp has no number for them, and they
// must not count as newer than a profile that names them.
func TestDirectSocketCallsOf32Bit(t *testing.T) {
	needAMD64(t)
	for name, c := range map[string]struct{ direct, newer uint32 }{
		"shutdown": {373, 374}, "msgctl": {402, 403},
	} {
		t.Run(name, func(t *testing.T) {
			f := compile(t, &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86},
				Syscalls: []specs.LinuxSyscall{{Names: []string{name, "read"}, Action: specs.ActAllow}}})
			checkCalls(t, f, []expect{
				{sysCall{nr: c.direct, arch: i386}, allow},
				{sysCall{nr: c.newer, arch: i386}, enosys},
			})
		})
	}
}

// reference evaluates a profile as it is written.
func (p *profile) reference(calls [][]*call, a *arch, c sysCall) uint32 {
	highest := uint32(0)
	for i, r := range p.rules {
		for _, one := range calls[i] {
			nr, ok := one.on[slices.Index(p.archs, a)].nr, one.on[slices.Index(p.archs, a)].has
			if direct := directI386[one.name]; a.name == specs.ArchX86 && direct != 0 {
				nr, ok = direct, true
			}
			if !ok {
				continue
			}
			highest = max(highest, nr)
			if nr == c.nr && matches(r.groups, c) {
				return r.verdict.ret()
			}
		}
	}
	if !p.def.permissive && c.nr > highest {
		return enosys
	}
	return p.def.ret()
}

func matches(groups [][]libseccomp.ScmpCondition, c sysCall) bool {
	for _, group := range groups {
		all := true
		for _, cond := range group {
			all = all && holds(cond, c.args[cond.Argument])
		}
		if all {
			return true
		}
	}
	return groups == nil
}

func holds(cond libseccomp.ScmpCondition, arg uint64) bool {
	switch v := cond.Operand1; cond.Op {
	case libseccomp.CompareNotEqual:
		return arg != v
	case libseccomp.CompareLess:
		return arg < v
	case libseccomp.CompareLessOrEqual:
		return arg <= v
	case libseccomp.CompareEqual:
		return arg == v
	case libseccomp.CompareGreaterEqual:
		return arg >= v
	case libseccomp.CompareGreater:
		return arg > v
	default:
		return arg&v == cond.Operand2
	}
}

func TestEachAction(t *testing.T) {
	for _, c := range []struct {
		action specs.LinuxSeccompAction
		errno  *uint
		want   uint32
	}{
		{specs.ActErrno, nil, eperm},
		{specs.ActErrno, errno(0), unix.SECCOMP_RET_ERRNO},
		{specs.ActErrno, errno(4094), unix.SECCOMP_RET_ERRNO | 4094},
		{specs.ActTrace, nil, unix.SECCOMP_RET_TRACE | 1},
		{specs.ActTrace, errno(0xffff), unix.SECCOMP_RET_TRACE | 0xffff},
		{specs.ActKill, nil, kill},
		{specs.ActKillThread, nil, kill},
		{specs.ActKillProcess, nil, unix.SECCOMP_RET_KILL_PROCESS},
		{specs.ActTrap, nil, unix.SECCOMP_RET_TRAP},
		{specs.ActLog, nil, unix.SECCOMP_RET_LOG},
		{specs.ActNotify, nil, unix.SECCOMP_RET_USER_NOTIF},
	} {
		name := string(c.action)
		if c.errno != nil {
			name = fmt.Sprint(name, *c.errno)
		}
		t.Run(name, func(t *testing.T) {
			needAMD64(t)
			s := &specs.LinuxSeccomp{
				DefaultAction: specs.ActAllow, ListenerPath: "/run/agent",
				Syscalls: []specs.LinuxSyscall{{Names: []string{"getcwd", "mseal"}, Action: c.action, ErrnoRet: c.errno}},
			}
			f := compile(t, s)
			checkCalls(t, f, []expect{
				{sysCall{nr: unix.SYS_GETCWD, arch: amd64}, c.want},
				{sysCall{nr: unix.SYS_MSEAL, arch: amd64}, c.want},
				{sysCall{nr: unix.SYS_READ, arch: amd64}, allow},
				{sysCall{nr: 5000, arch: amd64}, allow},
				{sysCall{nr: x32Bit | 79, arch: amd64}, kill},
			})
			if want := c.action == specs.ActNotify; f.Listener != want || f.Flags&unix.SECCOMP_FILTER_FLAG_NEW_LISTENER != 0 != want {
				t.Errorf("listener = %v, flags = %#x, want a listener: %v", f.Listener, f.Flags, want)
			}
		})
	}
}

func TestEachDefaultAction(t *testing.T) {
	needAMD64(t)
	for _, c := range []struct {
		action specs.LinuxSeccompAction
		errno  *uint
		// other is what a call gets that the profile does not name, newer what
		// one gets that is newer than all it names.
		other, newer uint32
	}{
		{specs.ActErrno, nil, eperm, enosys},
		{specs.ActErrno, errno(13), unix.SECCOMP_RET_ERRNO | 13, enosys},
		{specs.ActKill, nil, kill, enosys},
		{specs.ActKillProcess, nil, unix.SECCOMP_RET_KILL_PROCESS, enosys},
		{specs.ActTrap, nil, unix.SECCOMP_RET_TRAP, enosys},
		{specs.ActLog, nil, unix.SECCOMP_RET_LOG, unix.SECCOMP_RET_LOG},
		{specs.ActTrace, nil, unix.SECCOMP_RET_TRACE | 1, unix.SECCOMP_RET_TRACE | 1},
		{specs.ActAllow, nil, allow, allow},
	} {
		t.Run(string(c.action), func(t *testing.T) {
			f := compile(t, &specs.LinuxSeccomp{DefaultAction: c.action, DefaultErrnoRet: c.errno, Syscalls: []specs.LinuxSyscall{
				{Names: []string{"read", "openat2"}, Action: specs.ActAllow},
				{Names: []string{"getcwd"}, Action: c.action, ErrnoRet: c.errno}, // changes nothing
			}})
			checkCalls(t, f, []expect{
				{sysCall{nr: unix.SYS_READ, arch: amd64}, allow},
				{sysCall{nr: unix.SYS_OPENAT2, arch: amd64}, allow},
				{sysCall{nr: unix.SYS_GETCWD, arch: amd64}, c.other},
				{sysCall{nr: unix.SYS_OPENAT2 - 1, arch: amd64}, c.other},
				{sysCall{nr: unix.SYS_OPENAT2 + 1, arch: amd64}, c.newer},
			})
		})
	}
}

func TestProfileWithoutRulesIsItsDefault(t *testing.T) {
	needAMD64(t)
	f := compile(t, &specs.LinuxSeccomp{DefaultAction: specs.ActErrno})
	checkCalls(t, f, []expect{
		{sysCall{nr: unix.SYS_READ, arch: amd64}, eperm},
		{sysCall{nr: 5000, arch: amd64}, eperm},
	})
}

func TestEachOperator(t *testing.T) {
	needAMD64(t)
	const big = 1<<32 + 5
	for _, c := range []struct {
		op      specs.LinuxSeccompOperator
		two     uint64
		yes, no []uint64
	}{
		{specs.OpEqualTo, 0, []uint64{big}, []uint64{5, big + 1, 2<<32 + 5}},
		{specs.OpNotEqual, 0, []uint64{5, big - 1, 0}, []uint64{big}},
		{specs.OpLessThan, 0, []uint64{0, 6, big - 1}, []uint64{big, big + 1, 2 << 32}},
		{specs.OpLessEqual, 0, []uint64{0, 6, big}, []uint64{big + 1, 2 << 32}},
		{specs.OpGreaterThan, 0, []uint64{big + 1, 2 << 32}, []uint64{0, 6, big}},
		{specs.OpGreaterEqual, 0, []uint64{big, 2 << 32}, []uint64{0, 6, big - 1}},
		{specs.OpMaskedEqual, 4, []uint64{4, 6}, []uint64{5, big, 0}},
	} {
		t.Run(string(c.op), func(t *testing.T) {
			f := compile(t, &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{
				Names: []string{"dup3"}, Action: specs.ActErrno,
				Args: []specs.LinuxSeccompArg{{Index: 2, Value: big, ValueTwo: c.two, Op: c.op}},
			}}})
			var all []expect
			for _, v := range c.yes {
				all = append(all, expect{sysCall{unix.SYS_DUP3, amd64, [6]uint64{2: v}}, eperm})
			}
			for _, v := range c.no {
				all = append(all, expect{sysCall{unix.SYS_DUP3, amd64, [6]uint64{2: v}}, allow})
			}
			checkCalls(t, f, all)
		})
	}
}

func TestConditions(t *testing.T) {
	needAMD64(t)
	arg := func(index uint, value uint64) specs.LinuxSeccompArg {
		return specs.LinuxSeccompArg{Index: index, Value: value, Op: specs.OpEqualTo}
	}
	for _, c := range []struct {
		name string
		args []specs.LinuxSeccompArg
		want map[[6]uint64]uint32
	}{
		{"all must hold", []specs.LinuxSeccompArg{arg(0, 1), arg(1, 2)},
			map[[6]uint64]uint32{{1, 2}: eperm, {1, 3}: allow, {0, 2}: allow}},
		{"alternatives of one argument", []specs.LinuxSeccompArg{arg(0, 1), arg(0, 2)},
			map[[6]uint64]uint32{{1}: eperm, {2}: eperm, {3}: allow}},
		{"alternatives beside another argument", []specs.LinuxSeccompArg{arg(0, 1), arg(0, 2), arg(1, 9)},
			map[[6]uint64]uint32{{1}: eperm, {2}: eperm, {3, 9}: eperm, {3}: allow}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := compile(t, &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
				{Names: []string{"dup3"}, Action: specs.ActErrno, Args: c.args}}})
			for args, want := range c.want {
				checkCalls(t, f, []expect{{sysCall{unix.SYS_DUP3, amd64, args}, want}})
			}
		})
	}
}

func TestNativeArchitectureNeedNotBeNamed(t *testing.T) {
	needAMD64(t)
	for _, archs := range [][]specs.Arch{nil, {specs.ArchX86}, {specs.ArchX86, specs.ArchX86_64, specs.ArchX86}} {
		f := compile(t, &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: archs,
			Syscalls: []specs.LinuxSyscall{{Names: []string{"write"}, Action: specs.ActAllow}}})
		foreign := uint32(kill)
		if archs != nil {
			foreign = allow
		}
		checkCalls(t, f, []expect{
			{sysCall{nr: unix.SYS_WRITE, arch: amd64}, allow},
			{sysCall{nr: 4, arch: i386}, foreign},
			{sysCall{nr: x32Bit | 1, arch: amd64}, kill},
		})
	}
}

// TestPrivateCallsOfARM: set_tls is number 0xf0005, and must not make all
// numbers below it known.
func TestPrivateCallsOfARM(t *testing.T) {
	f := compile(t, &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchARM},
		Syscalls: []specs.LinuxSyscall{{Names: []string{"read", "openat2", "set_tls"}, Action: specs.ActAllow}}})
	checkCalls(t, f, []expect{
		{sysCall{nr: 3, arch: unix.AUDIT_ARCH_ARM}, allow},
		{sysCall{nr: 436, arch: unix.AUDIT_ARCH_ARM}, eperm},
		{sysCall{nr: 438, arch: unix.AUDIT_ARCH_ARM}, enosys},
		{sysCall{nr: 0xf0005, arch: unix.AUDIT_ARCH_ARM}, allow},
		{sysCall{nr: 0xf0002, arch: unix.AUDIT_ARCH_ARM}, eperm},
	})
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags []specs.LinuxSeccompFlag
		want  uint
	}{
		{"absent", nil, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW},
		{"empty", []specs.LinuxSeccompFlag{}, 0},
		{"tsync is implied", []specs.LinuxSeccompFlag{flagTSYNC}, 0},
		{"two", []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow}, unix.SECCOMP_FILTER_FLAG_LOG | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW},
	} {
		t.Run(c.name, func(t *testing.T) {
			if f := compile(t, &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: c.flags}); f.Flags != c.want {
				t.Errorf("flags = %#x, want %#x", f.Flags, c.want)
			}
		})
	}
}

func TestWaitKillableRecv(t *testing.T) {
	if !slices.Contains(Support().SupportedFlags, specs.LinuxSeccompFlagWaitKillableRecv) {
		t.Skip("needs Linux 5.19")
	}
	f := compile(t, &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/run/agent", Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv},
		Syscalls: []specs.LinuxSyscall{{Names: []string{"mknodat"}, Action: specs.ActNotify}}})
	if want := uint(unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV | unix.SECCOMP_FILTER_FLAG_NEW_LISTENER); f.Flags != want {
		t.Errorf("flags = %#x, want %#x", f.Flags, want)
	}
}

func TestUnknownSystemCallsAreLeftOut(t *testing.T) {
	f, warnings, err := Compile(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"getcwd", "no_such_call"}, Action: specs.ActErrno},
		{Names: []string{"mseal"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Index: 1, Op: specs.OpEqualTo}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(f.BPF); err != nil {
		t.Error(err)
	}
	want := `linux.seccomp.syscalls[0].names[1]: unknown system call "no_such_call" is left out`
	if len(warnings) == 0 || warnings[0] != want {
		t.Errorf("warnings = %q, want first %q", warnings, want)
	}
}

func TestTooManyRulesIsAnError(t *testing.T) {
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	for i := range 1500 {
		s.Syscalls = append(s.Syscalls, specs.LinuxSyscall{Names: []string{"dup3"}, Action: specs.ActErrno,
			Args: []specs.LinuxSeccompArg{{Index: 0, Value: uint64(i), Op: specs.OpEqualTo}, {Index: 1, Value: uint64(i) << 33, Op: specs.OpEqualTo}}})
	}
	_, _, err := Compile(s)
	if err == nil || !strings.HasPrefix(err.Error(), "linux.seccomp: the profile makes ") {
		t.Errorf("error = %v, want one about the number of instructions", err)
	}
}

func TestLibseccompMayNotHangUs(t *testing.T) {
	forever := make(chan int)
	defer close(forever)
	_, err := within(0, func() ([]byte, error) { <-forever; return nil, nil })
	if err == nil || !strings.Contains(err.Error(), "does not finish within 0s") {
		t.Errorf("error = %v, want one about the time", err)
	}
}

func TestNothingFromNothing(t *testing.T) {
	if f, warnings, err := Compile(nil); f != nil || warnings != nil || err != nil {
		t.Errorf("Compile(nil) = %v, %v, %v", f, warnings, err)
	}
	if err := Validate(nil); err != nil {
		t.Error(err)
	}
}

func TestSupport(t *testing.T) {
	f := Support()
	if len(f.Actions) != 9 || len(f.Operators) != 7 || len(f.KnownFlags) != 4 || f.Version == "0.0.0" {
		t.Errorf("Support() = %+v", f)
	}
	if native := nativeArch().name; !slices.Contains(f.Archs, native) {
		t.Errorf("archs = %v, want %s among them", f.Archs, native)
	}
	if native, err := libseccomp.GetNativeArch(); err != nil || native != nativeArch().lib {
		t.Errorf("libseccomp's native architecture is %v, %v, ours %v", native, err, nativeArch().lib)
	}
}

// TestNumbersAgree: once libseccomp knows a call of our table, it must have the
// same numbers.
func TestNumbersAgree(t *testing.T) {
	for _, newer := range newerCalls {
		if _, err := libseccomp.GetSyscallFromName(newer.name); errors.Is(err, libseccomp.ErrSyscallDoesNotExist) {
			continue
		}
		for i := range archs {
			nr, err := libseccomp.GetSyscallFromNameByArch(newer.name, archs[i].lib)
			want, has := newer.number(&archs[i])
			if err == nil && (nr >= 0 && has && uint32(nr) != want || nr < 0 && has && newer.only != "") {
				t.Errorf("%s on %s is %d, we have %d", newer.name, archs[i].name, nr, want)
			}
		}
	}
}

// Podman's profile without CAP_AUDIT_WRITE, as Debian's defaults have it:
// libseccomp cannot tell these rules apart for 32-bit programs' socketcall.
func TestConditionsOfSocketThatDiffer(t *testing.T) {
	arg := func(index uint, op specs.LinuxSeccompOperator, value uint64) specs.LinuxSeccompArg {
		return specs.LinuxSeccompArg{Index: index, Value: value, Op: op}
	}
	socket := func(action specs.LinuxSeccompAction, code *uint, args ...specs.LinuxSeccompArg) specs.LinuxSyscall {
		return specs.LinuxSyscall{Names: []string{"socket"}, Action: action, ErrnoRet: code, Args: args}
	}
	f := compile(t, &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno, DefaultErrnoRet: errno(38),
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32},
		Syscalls: []specs.LinuxSyscall{
			{Names: []string{"read", "socketcall"}, Action: specs.ActAllow},
			socket(specs.ActErrno, errno(22), arg(0, specs.OpEqualTo, 16), arg(2, specs.OpEqualTo, 9)),
			socket(specs.ActAllow, nil, arg(2, specs.OpNotEqual, 9)),
			socket(specs.ActAllow, nil, arg(0, specs.OpNotEqual, 16)),
			socket(specs.ActAllow, nil, arg(2, specs.OpNotEqual, 9)),
		},
	})
	if f == nil {
		t.Fatal("no filter")
	}
}
