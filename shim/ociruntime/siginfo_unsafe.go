// SPDX-License-Identifier: Apache-2.0

package ociruntime

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// siginfoPid is si_pid of a SIGCHLD: after three ints and, on 64-bit machines,
// padding. x/sys has no field for it.
func siginfoPid(info *unix.Siginfo) int {
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), 16)))
}
