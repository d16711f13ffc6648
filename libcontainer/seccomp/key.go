// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// generation is part of each key. Raise it with any change to what Compile
// makes of the same profile.
const generation = 1

// key names a compiled profile by all that it depends on.
type key [sha256.Size]byte

// keyOf hashes an encoding that is made for it: encoding/json would take longer
// than all the rest of a hit, and does not tell no flags from an empty list.
func keyOf(s *specs.LinuxSeccomp, kernel []byte) key {
	e := make(encoder, 0, 16<<10)
	e.text(runtime.GOARCH)
	e.number(generation)
	e.text(Version())
	e.text(string(kernel))
	e.profile(s)
	return sha256.Sum256(e)
}

// kernelRelease is what uname -r prints: flags and actions depend on it.
func kernelRelease() []byte {
	var name unix.Utsname
	_ = unix.Uname(&name) // fails for a bad address only
	release, _, _ := bytes.Cut(name.Release[:], []byte{0})
	return release
}

// encoder writes values so that different ones never have the same encoding:
// each is of fixed size, or follows its length.
type encoder []byte

func (e *encoder) number(numbers ...uint64) {
	for _, n := range numbers {
		*e = binary.LittleEndian.AppendUint64(*e, n)
	}
}

func (e *encoder) text(s string) {
	*e = binary.LittleEndian.AppendUint32(*e, uint32(len(s)))
	*e = append(*e, s...)
}

func (e *encoder) errno(n *uint) {
	if n == nil {
		e.number(0, 0)
	} else {
		e.number(1, uint64(*n))
	}
}

// profile encodes every field; TestKeyCoversTheWholeProfile watches that.
func (e *encoder) profile(s *specs.LinuxSeccomp) {
	e.text(string(s.DefaultAction))
	e.errno(s.DefaultErrnoRet)
	e.number(uint64(len(s.Architectures)))
	for _, a := range s.Architectures {
		e.text(string(a))
	}
	if s.Flags == nil {
		e.number(0)
	} else {
		e.number(1 + uint64(len(s.Flags)))
	}
	for _, f := range s.Flags {
		e.text(string(f))
	}
	e.text(s.ListenerPath)
	e.text(s.ListenerMetadata)
	e.number(uint64(len(s.Syscalls)))
	for i := range s.Syscalls {
		e.rule(&s.Syscalls[i])
	}
}

func (e *encoder) rule(r *specs.LinuxSyscall) {
	e.number(uint64(len(r.Names)))
	for _, name := range r.Names {
		e.text(name)
	}
	e.text(string(r.Action))
	e.errno(r.ErrnoRet)
	e.number(uint64(len(r.Args)))
	for _, arg := range r.Args {
		e.number(uint64(arg.Index), arg.Value, arg.ValueTwo)
		e.text(string(arg.Op))
	}
}
