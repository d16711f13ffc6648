// SPDX-License-Identifier: Apache-2.0

package selfpipe

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// action is the kernel's struct sigaction, rt_sigaction(2).
type action struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

const (
	saOnStack = 0x08000000 // Go's stacks are too small for a signal's frame
	saRestart = 0x10000000
)

// catch makes s end in the handler. The kernel reads the action during the call
// only; the handler is code, which does not move.
func catch(s unix.Signal) error {
	a := action{handler: handlerPC(), flags: saOnStack | saRestart | restorerFlag, restorer: restorerPC(), mask: ^uint64(0)}
	if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&a)), 0, unsafe.Sizeof(a.mask), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// handlerPC is the address of the handler, in assembly: it may run between any
// two instructions of any thread, on its signal stack.
func handlerPC() uintptr

// restorerPC is the address of what the handler returns to, or 0.
func restorerPC() uintptr
