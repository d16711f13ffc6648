// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"encoding/binary"
	"fmt"
)

// An image is an ELF executable of three segments, each at its own fixed
// address, and a header that keeps the stack from being executable:
//
//	codeBase    R-X  ELF header, program headers, interpreter
//	constBase   R--  constants, then the encoded operations
//	wordBase    RW-  words, then (at bufferBase) zeroed buffers
//
// File offsets are multiples of the page size, 4 KiB on amd64 and 64 KiB on
// arm64, whose kernels may use any of three page sizes.
const (
	elfHeaderSize     = 64
	programHeaderSize = 56
	segments          = 4
	codeOffset        = elfHeaderSize + segments*programHeaderSize
)

// pageSize is the alignment of an architecture's segments, in bytes.
func pageSize(a Arch) int {
	if a == ARM64 {
		return 64 << 10
	}
	return 4 << 10
}

// Image returns the ELF executable for a verified program, with the
// interpreter's code for the program's architecture.
func Image(p *Program, interpreter []byte) ([]byte, error) {
	offsets := opOffsets(p)
	page := pageSize(p.Arch)
	round := func(n int) int { return (n + page - 1) &^ (page - 1) }

	opsStart := (len(p.Const) + 7) &^ 7
	constOffset := round(codeOffset + len(interpreter))
	constSize := opsStart + offsets[len(p.Ops)]
	wordOffset := constOffset + round(constSize)
	wordSize := 8 * len(p.Words)
	if codeOffset+len(interpreter) > page {
		return nil, fmt.Errorf("interpreter of %d bytes does not fit into one page", len(interpreter))
	}

	image := make([]byte, wordOffset+wordSize)
	copy(image[codeOffset:], interpreter)
	copy(image[constOffset:], p.Const)
	ops := image[constOffset+opsStart:][:0]
	for _, o := range p.Ops {
		ops = appendOp(ops, p, o, offsets)
	}
	le := binary.LittleEndian
	for i, w := range p.Words {
		le.PutUint64(image[wordOffset+8*i:], w)
	}
	le.PutUint64(image[wordOffset+8*opsWord:], uint64(constBase+opsStart))

	putELFHeader(image, p.Arch)
	ph := image[elfHeaderSize:]
	const load, gnuStack, r, w, x = 1, 0x6474e551, 4, 2, 1
	putSegment(ph[0*programHeaderSize:], load, r|x, 0, codeBase, codeOffset+len(interpreter), codeOffset+len(interpreter), page)
	putSegment(ph[1*programHeaderSize:], load, r, constOffset, constBase, constSize, constSize, page)
	putSegment(ph[2*programHeaderSize:], load, r|w, wordOffset, wordBase, wordSize, max(wordSize, bufferBase-wordBase+p.BufferSize), page)
	putSegment(ph[3*programHeaderSize:], gnuStack, r|w, 0, 0, 0, 0, 16)
	return image, nil
}

// putELFHeader writes the file header, elf(5).
func putELFHeader(v []byte, a Arch) {
	le := binary.LittleEndian
	machine := uint16(62) // EM_X86_64
	if a == ARM64 {
		machine = 183 // EM_AARCH64
	}
	copy(v, "\x7fELF\x02\x01\x01") // 64 bits, little-endian, version 1
	le.PutUint16(v[16:], 2)        // ET_EXEC
	le.PutUint16(v[18:], machine)
	le.PutUint32(v[20:], 1)
	le.PutUint64(v[24:], codeBase+codeOffset) // entry
	le.PutUint64(v[32:], elfHeaderSize)       // program headers
	le.PutUint16(v[52:], elfHeaderSize)
	le.PutUint16(v[54:], programHeaderSize)
	le.PutUint16(v[56:], segments)
	le.PutUint16(v[58:], 64)
}

func putSegment(v []byte, kind, flags uint32, offset, address, fileSize, memSize, align int) {
	le := binary.LittleEndian
	le.PutUint32(v[0:], kind)
	le.PutUint32(v[4:], flags)
	le.PutUint64(v[8:], uint64(offset))
	le.PutUint64(v[16:], uint64(address))
	le.PutUint64(v[24:], uint64(address))
	le.PutUint64(v[32:], uint64(fileSize))
	le.PutUint64(v[40:], uint64(memSize))
	le.PutUint64(v[48:], uint64(align))
}
