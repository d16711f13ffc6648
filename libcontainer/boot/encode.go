// SPDX-License-Identifier: Apache-2.0

package boot

import "encoding/binary"

// An encoded operation is a header of 8 bytes, its arguments of 4 bytes each
// (sign-extended by the interpreter), and its rules of 4 bytes each:
//
//	0  u16  system call number, or one of the codes below
//	2  u8   number of arguments
//	3  u8   bit i: argument i is the address of 64 bits to load
//	4  u8   number of rules
//	5  u8   0
//	6  u16  index of the result's word, or noResult
//	8  i32  × arguments
//	…  {u16 errno, u16 target} × rules; errno anyErrno matches all
//
// A target is the offset of an operation from the first, divided by 4; the
// target of a rule may be nextTarget.
const (
	codeSet    = 0xfffc
	codeFail   = 0xfffd
	codeJumpIf = 0xfffe
	codeJump   = 0xffff
	firstCode  = codeSet

	noResult   = 0xffff
	nextTarget = 0xffff
	anyErrno   = 0xffff
)

// encodedSize returns the size of an encoded operation in bytes.
func encodedSize(o *Op) int {
	n := 8 + 4*len(o.Args) + 4*len(o.Rules)
	if o.Kind == Jump {
		n += 4
	}
	return n
}

// opOffsets returns the offset of each encoded operation, and of their end.
func opOffsets(p *Program) []int {
	offsets := make([]int, len(p.Ops)+1)
	size := 0
	for i, o := range p.Ops {
		offsets[i] = size
		size += encodedSize(o)
	}
	offsets[len(p.Ops)] = size
	return offsets
}

// opAt returns the index of the operation at an offset, or -1.
func opAt(p *Program, offset uint64) int {
	for i, o := range opOffsets(p)[:len(p.Ops)] {
		if uint64(o) == offset {
			return i
		}
	}
	return -1
}

func appendOp(v []byte, p *Program, o *Op, offsets []int) []byte {
	le := binary.LittleEndian
	number, args := uint16(0), o.Args
	target := func(l Label) uint16 { return uint16(offsets[l] / 4) }
	switch o.Kind {
	case Syscall:
		number = o.Call.Number(p.Arch)
	case Set:
		number = codeSet
	case Fail:
		number = codeFail
	case Jump:
		number, args = codeJump, []Arg{{Value: int64(target(o.Target))}}
	case JumpIf:
		number = codeJumpIf
		args = []Arg{o.Args[0], o.Args[1], o.Args[2], {Value: int64(target(o.Target))}, o.Args[4]}
	}
	var loads byte
	for i, a := range args {
		if a.Load {
			loads |= 1 << i
		}
	}
	result := uint16(noResult)
	if o.Result != 0 {
		result = uint16(o.Result)
	}
	v = le.AppendUint16(v, number)
	v = append(v, byte(len(args)), loads, byte(len(o.Rules)), 0)
	v = le.AppendUint16(v, result)
	for _, a := range args {
		v = le.AppendUint32(v, uint32(a.Value))
	}
	for _, r := range o.Rules {
		t := uint16(nextTarget)
		if r.Target != Next {
			t = target(r.Target)
		}
		v = le.AppendUint16(le.AppendUint16(v, uint16(r.Errno)), t)
	}
	return v
}
