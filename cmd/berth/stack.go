// SPDX-License-Identifier: Apache-2.0

//go:build !reference

package main

// stackSize is what create needs at its deepest, in bytes.
const stackSize = 60 << 10

// growStack has the runtime make our stack large enough at once. It begins with
// a few KiB and would double five times, each time copying it and looking up
// every frame that is on it: a twentieth of a life cycle.
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
