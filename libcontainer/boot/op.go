// SPDX-License-Identifier: Apache-2.0

package boot

import "golang.org/x/sys/unix"

// Kind is what an operation does.
type Kind uint8

// The kinds of operation.
const (
	Syscall Kind = iota
	// Set stores Args[0] in Result.
	Set
	// Jump goes to Target.
	Jump
	// JumpIf compares the 32 bits at Args[0], masked with Args[1], with
	// Args[2], and goes to Target if they are equal (Args[4] == 0) or differ
	// (Args[4] == 1). Args[3] is the encoded target.
	JumpIf
	// Fail reports errno Args[0] for this operation and ends the process.
	Fail
)

// Label is a place in a program: an operation's index once the program is
// finished. Next goes on with the following operation.
type Label int

// Next, as a rule's target, means: ignore the error.
const Next Label = -1

// AnyErrno matches every error in a rule.
const AnyErrno = unix.Errno(0xffff)

// maxRules bounds the rules of one operation.
const maxRules = 12

// Rule says where to go on when a call fails with Errno.
type Rule struct {
	Errno  unix.Errno
	Target Label
}

// Addr is an address in the image: fixed when the program is built, since
// every area of an image has a fixed base.
type Addr uint32

// Loaded is an argument that is loaded from 64 bits at an address in a buffer.
type Loaded Addr

// Word is a 64-bit cell of the image, by its index; the zero Word is none.
type Word uint16

// Addr returns the word's address, for calls that write or read through it.
func (w Word) Addr() Addr { return Addr(wordBase + 8*uint32(w)) }

// Arg is an argument: an immediate or address, or a word whose value is
// loaded when the operation runs.
type Arg struct {
	Value int64
	// Load: Value is the address of the 64 bits to load.
	Load bool
}

// Op is one operation. Origin and Phase are for people: the place in the
// config that the operation comes from, and the phase of the plan.
type Op struct {
	Kind   Kind
	Call   Call
	Args   []Arg
	Result Word
	Rules  []Rule
	Target Label

	Origin string
	Phase  string
}

// Into stores the call's result in w.
func (o *Op) Into(w Word) *Op {
	o.Result = w
	return o
}

// Skip ignores the given errors.
func (o *Op) Skip(errs ...unix.Errno) *Op { return o.On(Next, errs...) }

// On goes to a label for the given errors.
func (o *Op) On(l Label, errs ...unix.Errno) *Op {
	for _, e := range errs {
		o.Rules = append(o.Rules, Rule{e, l})
	}
	return o
}
