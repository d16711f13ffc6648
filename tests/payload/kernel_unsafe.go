// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// deathSignal reads the parent-death signal. prctl(2) writes one int to the
// address, which is of a local that outlives the call.
func deathSignal() int {
	var sig int32
	_, _, errno := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&sig)), 0)
	if errno != 0 {
		return -1
	}
	return int(sig)
}

func ioPriority() string {
	const whoProcess = 1 // IOPRIO_WHO_PROCESS, ioprio_set(2)
	prio, _, errno := unix.RawSyscall(unix.SYS_IOPRIO_GET, whoProcess, 0, 0)
	if errno != 0 {
		return errno.Error()
	}
	return fmt.Sprintf("class %d level %d", prio>>13, prio&0x1fff)
}

// keyring describes the session keyring: its owner, permissions and name.
func keyring() string {
	buf := make([]byte, 256)
	n, err := unix.KeyctlBuffer(unix.KEYCTL_DESCRIBE, unix.KEY_SPEC_SESSION_KEYRING, buf, len(buf))
	if err != nil {
		return reason(err)
	}
	if n > len(buf) {
		n = len(buf)
	}
	return strings.TrimRight(string(buf[:n]), "\x00")
}
