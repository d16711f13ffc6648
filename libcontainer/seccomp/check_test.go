// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package seccomp

import (
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestRefusedProfiles(t *testing.T) {
	one := func(call specs.LinuxSyscall) specs.LinuxSeccomp {
		return specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/run/agent", Syscalls: []specs.LinuxSyscall{
			{Names: []string{"getcwd"}, Action: specs.ActErrno}, call}}
	}
	errnoWithArgs := func(arg specs.LinuxSeccompArg) specs.LinuxSeccomp {
		return one(specs.LinuxSyscall{Names: []string{"dup"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Op: specs.OpEqualTo}, arg}})
	}
	for _, c := range []struct {
		name    string
		profile specs.LinuxSeccomp
		want    string
	}{
		{"no default action", specs.LinuxSeccomp{}, `linux.seccomp.defaultAction: unknown action ""`},
		{"unknown default action", specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_MAYBE"}, `linux.seccomp.defaultAction: unknown action "SCMP_ACT_MAYBE"`},
		{"notify by default", specs.LinuxSeccomp{DefaultAction: specs.ActNotify, ListenerPath: "/run/agent"},
			"linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be the default: the agent would be asked about the calls that reach it"},
		{"errno for allow by default", specs.LinuxSeccomp{DefaultAction: specs.ActAllow, DefaultErrnoRet: errno(1)}, "linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW takes no errno"},
		{"large errno", specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: errno(4095)}, "linux.seccomp.defaultErrnoRet: 4095 is more than 4094, the largest value for SCMP_ACT_ERRNO"},
		{"errno for kill", one(specs.LinuxSyscall{Names: []string{"dup"}, Action: specs.ActKill, ErrnoRet: errno(1)}), "linux.seccomp.syscalls[1].errnoRet: SCMP_ACT_KILL takes no errno"},
		{"large trace number", one(specs.LinuxSyscall{Names: []string{"dup"}, Action: specs.ActTrace, ErrnoRet: errno(65536)}), "linux.seccomp.syscalls[1].errnoRet: 65536 is more than 65535, the largest value for SCMP_ACT_TRACE"},
		{"unknown action", one(specs.LinuxSyscall{Names: []string{"dup"}, Action: "SCMP_ACT_MAYBE"}), `linux.seccomp.syscalls[1].action: unknown action "SCMP_ACT_MAYBE"`},
		{"no names", one(specs.LinuxSyscall{Action: specs.ActErrno}), "linux.seccomp.syscalls[1].names: must name at least one system call"},
		{"empty name", one(specs.LinuxSyscall{Names: []string{"dup", ""}, Action: specs.ActErrno}), `linux.seccomp.syscalls[1].names[1]: "" is no name of a system call`},
		{"hidden write", one(specs.LinuxSyscall{Names: []string{"write\x00x"}, Action: specs.ActNotify}), `linux.seccomp.syscalls[1].names[0]: "write\x00x" is no name of a system call`},
		{"notify for write", one(specs.LinuxSyscall{Names: []string{"dup", "write"}, Action: specs.ActNotify}),
			"linux.seccomp.syscalls[1].names[1]: SCMP_ACT_NOTIFY cannot be used for write: it is needed before the agent can answer"},
		{"unknown operator", errnoWithArgs(specs.LinuxSeccompArg{Op: "SCMP_CMP_ALMOST"}), `linux.seccomp.syscalls[1].args[1].op: unknown operator "SCMP_CMP_ALMOST"`},
		{"seventh argument", errnoWithArgs(specs.LinuxSeccompArg{Index: 6, Op: specs.OpEqualTo}), "linux.seccomp.syscalls[1].args[1].index: 6 is more than 5, the last argument of a system call"},
		{"unknown architecture", specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{"SCMP_ARCH_Z80"}}, `linux.seccomp.architectures[0]: unknown architecture "SCMP_ARCH_Z80"`},
		{"unknown flag", specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{flagTSYNC, "X"}}, `linux.seccomp.flags[1]: unknown flag "X"`},
		{"killable wait without listener", specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}},
			"linux.seccomp.flags[0]: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY"},
		{"notify without agent", specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"dup"}, Action: specs.ActNotify}}},
			"linux.seccomp.listenerPath: must be set, a rule has SCMP_ACT_NOTIFY"},
		{"metadata for nobody", specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerMetadata: "x"}, "linux.seccomp.listenerMetadata: must not be set without listenerPath"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := Validate(&c.profile); err == nil || err.Error() != c.want {
				t.Errorf("Validate: %v\nwant %s", err, c.want)
			}
			if _, _, err := Compile(&c.profile); err == nil || err.Error() != c.want {
				t.Errorf("Compile: %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestForeignByteOrderIsAnError(t *testing.T) {
	needAMD64(t)
	_, _, err := Compile(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchS390X}})
	if want := "linux.seccomp.architectures: cannot add SCMP_ARCH_S390X: its byte order is not this machine's"; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}
