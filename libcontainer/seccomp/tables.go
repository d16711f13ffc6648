// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package seccomp

import (
	"runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"

	"berth/libcontainer/host"
)

// The tables are slices of constants, which the linker lays out: a map would
// be filled whenever any verb starts. They are short enough to be searched.

// action is a value of defaultAction and syscalls[].action.
type action struct {
	name specs.LinuxSeccompAction
	lib  libseccomp.ScmpAction
	ret  uint32 // SECCOMP_RET_*
	// data says that the value carries an errno or a number for a tracer in its
	// low 16 bits; max is the largest one.
	data bool
	max  uint
	// permissive actions let the call happen, or leave that to a tracer that
	// can be expected to know newer calls than the profile.
	permissive bool
	since      host.Version
}

var actions = []action{
	{name: specs.ActAllow, lib: libseccomp.ActAllow, ret: unix.SECCOMP_RET_ALLOW, permissive: true, since: host.Version{Major: 3, Minor: 5}},
	// The kernel cuts an errno at MAX_ERRNO (4095), and libseccomp takes less than that.
	{name: specs.ActErrno, lib: libseccomp.ActErrno, ret: unix.SECCOMP_RET_ERRNO, data: true, max: 4094, since: host.Version{Major: 3, Minor: 5}},
	{name: specs.ActKill, lib: libseccomp.ActKillThread, ret: unix.SECCOMP_RET_KILL_THREAD, since: host.Version{Major: 3, Minor: 5}},
	{name: specs.ActKillProcess, lib: libseccomp.ActKillProcess, ret: unix.SECCOMP_RET_KILL_PROCESS, since: host.Version{Major: 4, Minor: 14}},
	{name: specs.ActKillThread, lib: libseccomp.ActKillThread, ret: unix.SECCOMP_RET_KILL_THREAD, since: host.Version{Major: 3, Minor: 5}},
	{name: specs.ActLog, lib: libseccomp.ActLog, ret: unix.SECCOMP_RET_LOG, permissive: true, since: host.Version{Major: 4, Minor: 14}},
	{name: specs.ActNotify, lib: libseccomp.ActNotify, ret: unix.SECCOMP_RET_USER_NOTIF, since: host.Version{Major: 5, Minor: 0}},
	{name: specs.ActTrace, lib: libseccomp.ActTrace, ret: unix.SECCOMP_RET_TRACE, data: true, max: 0xffff, permissive: true, since: host.Version{Major: 3, Minor: 5}},
	{name: specs.ActTrap, lib: libseccomp.ActTrap, ret: unix.SECCOMP_RET_TRAP, since: host.Version{Major: 3, Minor: 5}},
}

// operator is a value of syscalls[].args[].op.
type operator struct {
	name specs.LinuxSeccompOperator
	lib  libseccomp.ScmpCompareOp
}

var operators = []operator{
	{specs.OpEqualTo, libseccomp.CompareEqual},
	{specs.OpGreaterEqual, libseccomp.CompareGreaterEqual},
	{specs.OpGreaterThan, libseccomp.CompareGreater},
	{specs.OpLessEqual, libseccomp.CompareLessOrEqual},
	{specs.OpLessThan, libseccomp.CompareLess},
	{specs.OpMaskedEqual, libseccomp.CompareMaskedEqual},
	{specs.OpNotEqual, libseccomp.CompareNotEqual},
}

// x32Bit marks the numbers of x32, which shares its audit value with x86_64.
const x32Bit = 0x4000_0000

// arch is a value of architectures.
type arch struct {
	name specs.Arch
	lib  libseccomp.ScmpArch
	// audit is seccomp_data.arch, AUDIT_ARCH_*.
	audit uint32
	// base is added to the numbers that all architectures share (newer.go).
	base uint32
	// private is where the architecture's own calls begin, far above the
	// ordinary ones: __ARM_NR_BASE. 0: there are none.
	private uint32
	// goarch is what Go calls it, when Go runs there.
	goarch string
}

var archs = []arch{
	{name: specs.ArchAARCH64, goarch: "arm64", lib: libseccomp.ArchARM64, audit: unix.AUDIT_ARCH_AARCH64},
	{name: specs.ArchARM, goarch: "arm", lib: libseccomp.ArchARM, audit: unix.AUDIT_ARCH_ARM, private: 0xf_0000},
	{name: specs.ArchLOONGARCH64, goarch: "loong64", lib: libseccomp.ArchLOONGARCH64, audit: unix.AUDIT_ARCH_LOONGARCH64},
	{name: specs.ArchM68K, lib: libseccomp.ArchM68K, audit: unix.AUDIT_ARCH_M68K},
	{name: specs.ArchMIPS, goarch: "mips", lib: libseccomp.ArchMIPS, audit: unix.AUDIT_ARCH_MIPS, base: 4000},
	{name: specs.ArchMIPS64, goarch: "mips64", lib: libseccomp.ArchMIPS64, audit: unix.AUDIT_ARCH_MIPS64, base: 5000},
	{name: specs.ArchMIPS64N32, lib: libseccomp.ArchMIPS64N32, audit: unix.AUDIT_ARCH_MIPS64N32, base: 6000},
	{name: specs.ArchMIPSEL, goarch: "mipsle", lib: libseccomp.ArchMIPSEL, audit: unix.AUDIT_ARCH_MIPSEL, base: 4000},
	{name: specs.ArchMIPSEL64, goarch: "mips64le", lib: libseccomp.ArchMIPSEL64, audit: unix.AUDIT_ARCH_MIPSEL64, base: 5000},
	{name: specs.ArchMIPSEL64N32, lib: libseccomp.ArchMIPSEL64N32, audit: unix.AUDIT_ARCH_MIPSEL64N32, base: 6000},
	{name: specs.ArchPARISC, lib: libseccomp.ArchPARISC, audit: unix.AUDIT_ARCH_PARISC},
	{name: specs.ArchPARISC64, lib: libseccomp.ArchPARISC64, audit: unix.AUDIT_ARCH_PARISC64},
	{name: specs.ArchPPC, lib: libseccomp.ArchPPC, audit: unix.AUDIT_ARCH_PPC},
	{name: specs.ArchPPC64, goarch: "ppc64", lib: libseccomp.ArchPPC64, audit: unix.AUDIT_ARCH_PPC64},
	{name: specs.ArchPPC64LE, goarch: "ppc64le", lib: libseccomp.ArchPPC64LE, audit: unix.AUDIT_ARCH_PPC64LE},
	{name: specs.ArchRISCV64, goarch: "riscv64", lib: libseccomp.ArchRISCV64, audit: unix.AUDIT_ARCH_RISCV64},
	{name: specs.ArchS390, lib: libseccomp.ArchS390, audit: unix.AUDIT_ARCH_S390},
	{name: specs.ArchS390X, goarch: "s390x", lib: libseccomp.ArchS390X, audit: unix.AUDIT_ARCH_S390X},
	{name: specs.ArchSH, lib: libseccomp.ArchSH, audit: unix.AUDIT_ARCH_SHEL},
	{name: specs.ArchSHEB, lib: libseccomp.ArchSHEB, audit: unix.AUDIT_ARCH_SH},
	{name: specs.ArchX32, lib: libseccomp.ArchX32, audit: unix.AUDIT_ARCH_X86_64, base: x32Bit},
	{name: specs.ArchX86, goarch: "386", lib: libseccomp.ArchX86, audit: unix.AUDIT_ARCH_I386},
	{name: specs.ArchX86_64, goarch: "amd64", lib: libseccomp.ArchAMD64, audit: unix.AUDIT_ARCH_X86_64},
}

// filterFlag is a value of flags.
type filterFlag struct {
	name  specs.LinuxSeccompFlag
	bit   uint
	since host.Version
}

// flagTSYNC has no constant in the specification's Go package.
const flagTSYNC specs.LinuxSeccompFlag = "SECCOMP_FILTER_FLAG_TSYNC"

var flags = []filterFlag{
	// Accepted and not passed on: a filter is loaded by a process of one thread.
	{flagTSYNC, 0, host.Version{Major: 3, Minor: 17}},
	{specs.LinuxSeccompFlagSpecAllow, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, host.Version{Major: 4, Minor: 17}},
	{specs.LinuxSeccompFlagLog, unix.SECCOMP_FILTER_FLAG_LOG, host.Version{Major: 4, Minor: 14}},
	{specs.LinuxSeccompFlagWaitKillableRecv, unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, host.Version{Major: 5, Minor: 19}},
}

func findAction(name specs.LinuxSeccompAction) *action {
	for i := range actions {
		if actions[i].name == name {
			return &actions[i]
		}
	}
	return nil
}

func findOperator(name specs.LinuxSeccompOperator) *operator {
	for i := range operators {
		if operators[i].name == name {
			return &operators[i]
		}
	}
	return nil
}

func findArch(name specs.Arch) *arch {
	for i := range archs {
		if archs[i].name == name {
			return &archs[i]
		}
	}
	return nil
}

func findFlag(name specs.LinuxSeccompFlag) *filterFlag {
	for i := range flags {
		if flags[i].name == name {
			return &flags[i]
		}
	}
	return nil
}

// nativeArch is this machine's architecture, nil for one that libseccomp does
// not know.
func nativeArch() *arch {
	for i := range archs {
		if archs[i].goarch == runtime.GOARCH {
			return &archs[i]
		}
	}
	return nil
}
