// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setCapabilities is capset(2) on all threads; unix.Capset changes one only.
//
// Both pointers are to live Go values of the layout that the kernel reads with
// LINUX_CAPABILITY_VERSION_3, converted in the call itself: AllThreadsSyscall
// keeps them alive and in place (uintptrescapes).
func setCapabilities(header *unix.CapUserHeader, sets *[2]unix.CapUserData) error {
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(sets)), 0)
	if errno != 0 {
		return fmt.Errorf("capset: %w", errno)
	}
	return nil
}
