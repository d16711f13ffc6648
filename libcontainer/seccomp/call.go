// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package seccomp

import (
	"fmt"

	libseccomp "github.com/seccomp/libseccomp-golang"
)

// call is a system call that a profile names.
type call struct {
	name string
	// lib is libseccomp's number: native, or negative for a call that only
	// another architecture has.
	lib libseccomp.ScmpSyscall
	// newer: libseccomp does not know the call, and we do.
	newer bool
	// on is parallel to profile.archs.
	on []number
}

// number is what a call is on one architecture.
type number struct {
	nr  uint32
	has bool // nr is the call's number
	// part: the call is a part of socketcall or ipc there, perhaps with a number
	// of its own beside, which libseccomp knows but does not tell.
	part bool
	// bound is nr, or the last number that the call may have.
	bound uint32
}

// Numbers of libseccomp for the parts of socketcall and ipc are -101 to -120
// and -201 to -224 (__PNR_* in seccomp.h). The calls beside came in Linux 4.3
// and 5.1; the last ones are shutdown and msgctl.
const (
	partOfSocketcall, lastSocketCall = -100, 373
	partOfIPC, lastIPCCall           = -200, 402
	notPart                          = -300
)

// resolve looks up the names of all rules, each once. The result is parallel to
// p.rules and leaves out what a warning is about.
func (p *profile) resolve() (calls [][]*call, warnings []string) {
	known := map[string]*call{}
	calls = make([][]*call, len(p.rules))
	for i, r := range p.rules {
		for j, name := range r.names {
			c, ok := known[name]
			if !ok {
				c = p.lookUp(name)
				known[name] = c
			}
			switch {
			case c == nil:
				warnings = append(warnings, fmt.Sprintf("%s.names[%d]: unknown system call %q is left out", r.field, j, name))
			case c.newer && r.groups != nil:
				// Conditions need libseccomp, which does not know the call.
				warnings = append(warnings, fmt.Sprintf("%s.names[%d]: rule with args for system call %q, which is newer than libseccomp, is left out", r.field, j, name))
			default:
				calls[i] = append(calls[i], c)
			}
		}
	}
	return calls, warnings
}

// lookUp asks libseccomp for a call, and then newer.go; nil if nobody knows.
func (p *profile) lookUp(name string) *call {
	c := &call{name: name, on: make([]number, len(p.archs))}
	nr, err := libseccomp.GetSyscallFromName(name)
	if err != nil {
		newer := findNewer(name)
		if newer == nil {
			return nil
		}
		c.newer = true
		for i, a := range p.archs {
			nr, has := newer.number(a)
			c.on[i] = number{nr: nr, has: has, bound: nr}
		}
		return c
	}
	c.lib = nr
	for i, a := range p.archs {
		if nr, err := libseccomp.GetSyscallFromNameByArch(name, a.lib); err == nil {
			c.on[i] = numberOn(a, nr)
		}
	}
	return c
}

// numberOn reads libseccomp's number of a call for a.
func numberOn(a *arch, nr libseccomp.ScmpSyscall) number {
	switch {
	case nr >= 0:
		return number{nr: uint32(nr), has: true, bound: uint32(nr)}
	case nr >= partOfSocketcall || nr <= notPart:
		return number{} // a has no such call
	case nr > partOfIPC:
		return number{part: true, bound: a.base + lastSocketCall}
	}
	return number{part: true, bound: a.base + lastIPCCall}
}
