// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package seccomp

import (
	"fmt"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/libcontainer/host"
)

// kernelActions says which action of the profile this kernel lacks.
func (p *profile) kernelActions() error {
	asked := map[uint32]bool{}
	check := func(v verdict) error {
		if asked[v.action.ret] || hasAction(v.action.ret) {
			asked[v.action.ret] = true
			return nil
		}
		return fmt.Errorf("%s: %w", v.field, &host.Unsupported{What: string(v.action.name), Since: v.action.since})
	}
	if err := check(p.def); err != nil {
		return err
	}
	for _, r := range p.rules {
		if err := check(r.verdict); err != nil {
			return err
		}
	}
	return nil
}

// hasAction asks the kernel for an action, SECCOMP_RET_*; Linux 4.14. Where the
// question itself is filtered (EPERM, ENOSYS: a nested container), loading the
// filter will tell.
func hasAction(ret uint32) bool {
	// ret lives on this stack until the call returns, which reads four bytes.
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&ret)))
	return errno != unix.EOPNOTSUPP && errno != unix.EINVAL
}

// hasFlag asks the kernel for a flag: a program at address 0 is EFAULT, but an
// unknown flag is EINVAL before that.
func hasFlag(bit uint) bool {
	if bit == unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV {
		bit |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(bit), 0)
	return errno == unix.EFAULT
}

// kernelFlags are the flags for seccomp(2), or the first one that it lacks.
func (p *profile) kernelFlags() (uint, error) {
	var bits uint
	for i, f := range p.flags {
		if !hasFlag(f.bit) {
			return 0, fmt.Errorf("linux.seccomp.flags[%d]: %w", i, &host.Unsupported{What: string(f.name), Since: f.since})
		}
		bits |= f.bit
	}
	// Before Linux 5.16 a filter switches the costly mitigation of Speculative
	// Store Bypass on, unless told otherwise. A config without flags, other than
	// one with an empty list, does not ask for that.
	if f := findFlag(specs.LinuxSeccompFlagSpecAllow); p.specAllow && hasFlag(f.bit) {
		bits |= f.bit
	}
	if p.notify {
		bits |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	}
	return bits, nil
}
