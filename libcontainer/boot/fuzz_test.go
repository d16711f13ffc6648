// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bytes"
	"debug/elf"
	"testing"

	"golang.org/x/sys/unix"
)

// program makes any program whatever out of bytes.
func program(data []byte) *Program {
	next := func() byte {
		if len(data) == 0 {
			return 0
		}
		v := data[0]
		data = data[1:]
		return v
	}
	p := &Program{Arch: AMD64, Words: make([]uint64, firstWord+int(next())%8), Const: []byte("\x00string\x00struct\x00\x00\x00"), BufferSize: 64}
	p.wordNames = make([]string, len(p.Words))
	areas := []int64{0, 1, -1, constBase, constBase + 1, wordBase, wordBase + 8*firstWord, bufferBase, 1 << 31}
	for range int(next()) % 12 {
		o := &Op{Kind: Kind(next() % 7), Call: Call(next()), Result: Word(next() % 24), Target: Label(int(next()%16) - 2)}
		for range int(next()) % 8 {
			o.Args = append(o.Args, Arg{Value: areas[int(next())%len(areas)] + int64(next()%16), Load: next()%3 == 0})
		}
		for range int(next()) % 3 {
			o.Rules = append(o.Rules, Rule{unix.Errno(next()), Label(int(next()%16) - 2)})
		}
		p.Ops = append(p.Ops, o)
	}
	return p
}

// FuzzVerify: no program makes the verifier panic, and what it accepts can be
// printed and written.
func FuzzVerify(f *testing.F) {
	f.Add([]byte{0, 1, 0, byte(ExitGroup), 0, 2, 1, 0, 42, 1, 0})
	f.Add([]byte{3, 2, 1, 0, 10, 2, 1, 1, 0, 1, 0, 4, 0, 0, 0, 1, 0, 2, 1, 0})
	_, code := Interpreter()
	f.Fuzz(func(t *testing.T, data []byte) {
		p := program(data)
		if Verify(p) != nil {
			return
		}
		for i := range p.Ops {
			_ = p.FormatOp(i)
		}
		checkImage(t, p, code)
	})
}

// FuzzImage: every image is an ELF file whose segments lie where the
// interpreter looks for them, do not overlap, and are never both writable and
// executable.
func FuzzImage(f *testing.F) {
	f.Add([]byte("constants"), uint16(3), uint16(100), false)
	f.Add([]byte{}, uint16(4000), uint16(60000), true)
	_, code := Interpreter()
	f.Fuzz(func(t *testing.T, data []byte, words, buffers uint16, arm bool) {
		b := New(Config{Arch: AMD64, Control: 3})
		if arm {
			b.p.Arch = ARM64
		}
		b.Bytes(data)
		b.Buffer("buffer", int(buffers))
		for range words % (wordLimit - firstWord) {
			b.Flag("word")
		}
		b.Do(ExitGroup, 0)
		p, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		checkImage(t, p, code)
	})
}

func checkImage(t *testing.T, p *Program, code []byte) {
	t.Helper()
	image, err := Image(p, code)
	if err != nil {
		t.Fatal(err)
	}
	file, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	end := uint64(0)
	for _, s := range file.Progs {
		if s.Flags&(elf.PF_W|elf.PF_X) == elf.PF_W|elf.PF_X {
			t.Errorf("segment %v is writable and executable", s)
		}
		if s.Type != elf.PT_LOAD {
			continue
		}
		if s.Vaddr < end || s.Off%s.Align != s.Vaddr%s.Align || s.Off+s.Filesz > uint64(len(image)) || s.Filesz > s.Memsz {
			t.Errorf("segment %v is misplaced", s)
		}
		end = s.Vaddr + s.Memsz
	}
	if file.Entry != codeBase+codeOffset {
		t.Errorf("entry = %#x", file.Entry)
	}
}
