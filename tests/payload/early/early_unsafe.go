// SPDX-License-Identifier: Apache-2.0

// Package early reads what Go's own start changes: package syscall raises the
// soft limit of open files, and files bring an epoll descriptor. It imports
// nothing but unsafe, so its variables are set before any of that (packages
// are initialised in the order of their import paths, as soon as their imports
// are); hence the assembly.
package early

import "unsafe"

// Limit is struct rlimit64, getrlimit(2).
type Limit struct{ Soft, Hard uint64 }

// NoFile is the limit of open files that the process was started with.
var NoFile = limit()

// Descriptors are the numbers of the descriptors the process was started with.
var Descriptors = descriptors()

const (
	rlimitNoFile = 7
	fGetFD       = 1
)

// rawcall makes a system call; the result is negative on errors.
func rawcall(nr, a, b, c, d uintptr) int64

// limit passes the address of a local, which stays where it is during the
// call: rawcall neither grows the stack nor lets the scheduler in.
func limit() Limit {
	var l Limit
	rawcall(sysPrlimit64, 0, rlimitNoFile, 0, uintptr(unsafe.Pointer(&l)))
	return l
}

func descriptors() []int {
	var open []int
	for fd := range 256 {
		if rawcall(sysFcntl, uintptr(fd), fGetFD, 0, 0) >= 0 {
			open = append(open, fd)
		}
	}
	return open
}
