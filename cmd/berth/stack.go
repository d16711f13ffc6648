// SPDX-License-Identifier: Apache-2.0

//go:build !reference

package main

// stackSize is a frame for which a stack gets 16 KiB: create, start and delete
// with the config of berth spec need no more.
const stackSize = 12 << 10

// growStack has the runtime make our stack large enough at once, while little is
// on it. By itself it doubles again and again, and each time copies the stack and
// looks up every frame: perf probe -x berth -a 'runtime.copystack newsize=%bx:u64'.
//
//go:noinline
func growStack(really bool) byte {
	if !really { // room was made for the frame, and that is all
		return 0
	}
	var frame [stackSize]byte
	return touch(&frame)
}

//go:noinline
func touch(frame *[stackSize]byte) byte { return frame[0] }
