// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"runtime"
	"unsafe"
)

// interp is the interpreter; its code is data to this process.
func interp()
func interpEnd()

// Addresses of interp's first byte and of the byte behind its last.
var interpStart, interpStop uintptr

// Interpreter returns this architecture and the code of its interpreter.
func Interpreter() (Arch, []byte) {
	// Both addresses lie in one text section, and the linker keeps the order
	// of one file's functions; TestInterpreterBounds checks it.
	n := interpStop - interpStart
	code := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(nil), interpStart)), n)
	return Arch(runtime.GOARCH), code
}
