// SPDX-License-Identifier: Apache-2.0

package device

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Insn is one instruction of eBPF, struct bpf_insn of linux/bpf.h; the kernel's
// Documentation/bpf/standardization/instruction-set.rst describes them.
type Insn struct {
	Op       uint8
	Dst, Src uint8 // registers
	Off      int16 // of a load in bytes, of a jump in instructions
	Imm      int32
	// Comment is for the reader of a listing, not for the kernel.
	Comment string
}

// Program answers requests for devices: it returns 1 to allow one, else 0.
type Program []Insn

// The operations that device programs are made of.
const (
	opLoad  = unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W
	opMov   = unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K
	opCopy  = unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_X
	opAnd   = unix.BPF_ALU64 | unix.BPF_AND | unix.BPF_K
	opShift = unix.BPF_ALU64 | unix.BPF_RSH | unix.BPF_K
	opGoto  = unix.BPF_JMP | unix.BPF_JA
	// 32 bits, so that the immediate is not extended by its sign; Linux 5.1.
	opIfEqual = unix.BPF_JMP32 | unix.BPF_JEQ | unix.BPF_K
	opIfNot   = unix.BPF_JMP32 | unix.BPF_JNE | unix.BPF_K
	opIfAny   = unix.BPF_JMP32 | unix.BPF_JSET | unix.BPF_K
	opExit    = unix.BPF_JMP | unix.BPF_EXIT
)

// text prints an instruction that stands at index i.
func (x Insn) text(i int) string {
	target := i + 1 + int(x.Off)
	switch x.Op {
	case opLoad:
		return fmt.Sprintf("r%d = *(u32 *)(r%d + %d)", x.Dst, x.Src, x.Off)
	case opMov:
		return fmt.Sprintf("r%d = %d", x.Dst, x.Imm)
	case opCopy:
		return fmt.Sprintf("r%d = r%d", x.Dst, x.Src)
	case opAnd:
		return fmt.Sprintf("r%d &= %d", x.Dst, x.Imm)
	case opShift:
		return fmt.Sprintf("r%d >>= %d", x.Dst, x.Imm)
	case opGoto:
		return fmt.Sprintf("goto %d", target)
	case opIfEqual:
		return fmt.Sprintf("if w%d == %d goto %d", x.Dst, uint32(x.Imm), target)
	case opIfNot:
		return fmt.Sprintf("if w%d != %d goto %d", x.Dst, uint32(x.Imm), target)
	case opIfAny:
		return fmt.Sprintf("if w%d & %d goto %d", x.Dst, uint32(x.Imm), target)
	case opExit:
		return "exit"
	}
	return fmt.Sprintf("op %#x", x.Op)
}

// String prints one line per instruction, a rule beside the first of its own.
// Registers are as in the kernel's listings: w4 is the low half of r4.
func (p Program) String() string {
	var b strings.Builder
	for i, x := range p {
		line := fmt.Sprintf("%3d: %s", i, x.text(i))
		if x.Comment != "" {
			line = fmt.Sprintf("%-30s ; %s", line, x.Comment)
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// Bytes is the program as the kernel takes it: 8 bytes an instruction, in the
// byte order of the machine.
func (p Program) Bytes() []byte {
	b := make([]byte, 0, 8*len(p))
	for _, x := range p {
		b = append(b, x.Op, registers(x.Dst, x.Src))
		b = binary.NativeEndian.AppendUint16(b, uint16(x.Off))
		b = binary.NativeEndian.AppendUint32(b, uint32(x.Imm))
	}
	return b
}

// registers packs two bit fields, whose order depends on the machine's.
func registers(dst, src uint8) byte {
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		return dst<<4 | src
	}
	return src<<4 | dst
}

// AllowsAll says that the program changes nothing: a cgroup without one is the
// same. It is false for no program at all, which is a mistake.
func (p Program) AllowsAll() bool {
	return len(p) == 2 && p[0].Op == opMov && p[0].Imm == 1 && p[1].Op == opExit
}
