// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package seccomp

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// assembler makes classic BPF with jumps to labels.
type assembler struct {
	code   []instruction
	labels []int // the place of each label, in instructions
}

type instruction struct {
	op     uint16
	k      uint32
	yes    label
	no     label
	always label
}

// label is a place in the program; jumps only go forward.
type label int

// next is the label of the following instruction.
const next label = 0

func (b *assembler) label() label {
	b.labels = append(b.labels, -1)
	return label(len(b.labels)) // from 1 on
}

// mark puts l before the instruction that comes next.
func (b *assembler) mark(l label) { b.labels[l-1] = len(b.code) }

// load reads a word of struct seccomp_data into the accumulator.
func (b *assembler) load(offset uint32) {
	b.code = append(b.code, instruction{op: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, k: offset})
}

// ret ends the program with an action.
func (b *assembler) ret(action uint32) {
	b.code = append(b.code, instruction{op: unix.BPF_RET | unix.BPF_K, k: action})
}

// skip goes to l, however far away.
func (b *assembler) skip(l label) {
	b.code = append(b.code, instruction{op: unix.BPF_JMP | unix.BPF_JA, always: l})
}

// jump compares the accumulator with k.
func (b *assembler) jump(test uint16, k uint32, yes, no label) {
	b.code = append(b.code, instruction{op: unix.BPF_JMP | test | unix.BPF_K, k: k, yes: yes, no: no})
}

// bytes is the program as an array of struct sock_filter.
func (b *assembler) bytes() ([]byte, error) {
	out := make([]byte, 0, len(b.code)*sizeofInstruction)
	for i, in := range b.code {
		yes, no, always := b.distance(i, in.yes), b.distance(i, in.no), b.distance(i, in.always)
		if yes|no|always < 0 || yes > 0xff || no > 0xff {
			return nil, fmt.Errorf("BUG: linux.seccomp: a jump from instruction %d reaches %d or %d", i, yes, no)
		}
		out = binary.NativeEndian.AppendUint16(out, in.op)
		out = append(out, byte(yes), byte(no))
		out = binary.NativeEndian.AppendUint32(out, in.k+uint32(always))
	}
	return out, nil
}

// distance is how many instructions a jump at i leaves out to come to l.
func (b *assembler) distance(i int, l label) int {
	if l == next {
		return 0
	}
	return b.labels[l-1] - i - 1
}
