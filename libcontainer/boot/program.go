// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

// Program is a finished list of operations with its constants and cells.
type Program struct {
	Arch Arch
	Ops  []*Op
	// Const is the read-only area, at constBase.
	Const []byte
	// Words are the initial values of the cells, at wordBase.
	Words []uint64
	// BufferSize is the size of the zeroed area at bufferBase, in bytes.
	BufferSize int

	wordNames   []string
	bufferNames map[Addr]string
	// flags are the words that may be read before they are written.
	flags []Word
}

// Fixed addresses. Every area has its own base, so that a program's addresses
// are known while it is built. All lie above vm.mmap_min_addr and below 2 GiB.
const (
	codeBase   = 0x10000000
	constBase  = 0x20000000
	wordBase   = 0x30000000
	wordLimit  = 4096
	bufferBase = wordBase + 8*wordLimit
)

// The first words are the interpreter's own.
const (
	scratchWord = 0 // six arguments of the current call
	reportWord  = 6 // two words: the failure report
	controlWord = 8 // descriptor of the control socket
	opsWord     = 9 // address of the first operation
	firstWord   = 10
)

// Config says what a program is made for.
type Config struct {
	Arch Arch
	// Control is the number of the control socket in the child.
	Control int
}

// Builder makes a Program. Its methods panic on what only a bug can cause;
// Finish returns errors for what input can cause (sizes).
type Builder struct {
	p       Program
	interns map[string]Addr
	origin  string
	phase   string
	labels  []int // label → op index, -1 while open
	free    map[string][]Word
	err     error

	// Operations and arguments come by the hundred: what is left of the last lot.
	spareOps  []Op
	spareArgs []Arg
}

// New returns an empty builder.
func New(c Config) *Builder {
	b := &Builder{p: Program{Arch: c.Arch, bufferNames: map[Addr]string{}}, interns: make(map[string]Addr, 256), free: map[string][]Word{}}
	b.p.Words = make([]uint64, firstWord, 64)
	b.p.wordNames = make([]string, firstWord, 64)
	b.p.Words[controlWord] = uint64(c.Control)
	b.p.wordNames[controlWord] = "control"
	b.p.Const = make([]byte, 8, 8<<10)
	b.p.Ops = make([]*Op, 0, 1<<10)
	return b
}

// Control is the word that holds the control socket's descriptor.
func (b *Builder) Control() Word { return controlWord }

// Phase names the phase that the next operations belong to.
func (b *Builder) Phase(name string) { b.phase = name }

// At names the place in the config that the next operations come from.
func (b *Builder) At(origin string) { b.origin = origin }

// Len returns the number of operations so far: the next one's index.
func (b *Builder) Len() int { return len(b.p.Ops) }

// Origin returns the name last given to At.
func (b *Builder) Origin() string { return b.origin }

// Word allocates a cell, or takes one of the same name that was released.
func (b *Builder) Word(name string) Word {
	if list := b.free[name]; len(list) > 0 {
		b.free[name] = list[:len(list)-1]
		return list[len(list)-1]
	}
	return b.fresh(name)
}

// Flag allocates a cell of its own that starts as zero whatever ran before.
func (b *Builder) Flag(name string) Word {
	w := b.fresh(name)
	b.p.flags = append(b.p.flags, w)
	return w
}

// Constant allocates a cell of its own with an initial value. Cells allocated
// one after the other are adjacent.
func (b *Builder) Constant(name string, v uint64) Word {
	w := b.Flag(name)
	b.p.Words[w] = v
	return w
}

func (b *Builder) fresh(name string) Word {
	w := len(b.p.Words)
	if w >= wordLimit {
		b.fail(errors.New("program needs too many words"))
		return firstWord
	}
	b.p.Words = append(b.p.Words, 0)
	b.p.wordNames = append(b.p.wordNames, name)
	return Word(w)
}

// Release lets the cell be used again under its name.
func (b *Builder) Release(w Word) {
	name := b.p.wordNames[w]
	b.free[name] = append(b.free[name], w)
}

// Buffer allocates n zeroed bytes, aligned to 8.
func (b *Builder) Buffer(name string, n int) Addr {
	a := Addr(bufferBase + b.p.BufferSize)
	b.p.BufferSize += (n + 7) &^ 7
	b.p.bufferNames[a] = name
	return a
}

// Str places a NUL-terminated string among the constants. A NUL within it is
// an error of Finish: the kernel would see another string.
func (b *Builder) Str(s string) Addr {
	if strings.IndexByte(s, 0) >= 0 {
		b.fail(fmt.Errorf("%s: %q contains a NUL byte", b.origin, s))
	}
	return b.place(s+"\x00", 1)
}

// Bytes places a structure among the constants, aligned to 8.
func (b *Builder) Bytes(v []byte) Addr { return b.place(string(v), 8) }

// Strings places a NULL-terminated array of strings, as execve(2) wants it.
func (b *Builder) Strings(list []string) Addr {
	v := make([]byte, 0, 8*len(list)+8)
	for _, s := range list {
		v = binary.LittleEndian.AppendUint64(v, uint64(b.Str(s)))
	}
	return b.place(string(binary.LittleEndian.AppendUint64(v, 0)), 8)
}

func (b *Builder) place(s string, align int) Addr {
	key := s
	if align == 8 {
		key = "\x08" + s // an 8-aligned copy is not the string's
	}
	if a, ok := b.interns[key]; ok {
		return a
	}
	for len(b.p.Const)%align != 0 {
		b.p.Const = append(b.p.Const, 0)
	}
	a := Addr(constBase + len(b.p.Const))
	b.p.Const = append(b.p.Const, s...)
	b.interns[key] = a
	return a
}

// Do appends a call. An argument is an integer (immediate), a string (the
// address of its NUL-terminated copy), []byte (the address of its copy), an
// Addr, a Word (its value when the operation runs), or a Loaded.
func (b *Builder) Do(c Call, args ...any) *Op {
	if len(args) > 6 || len(args) != len(calls[c].args) {
		panic(fmt.Sprintf("BUG: %v takes %d arguments, not %d", c, len(calls[c].args), len(args)))
	}
	return b.add(Op{Kind: Syscall, Call: c, Args: b.args(args)})
}

// Set stores v (as for Do) in w.
func (b *Builder) Set(w Word, v any) *Op {
	return b.add(Op{Kind: Set, Args: b.args([]any{v}), Result: w})
}

// Jump goes to l.
func (b *Builder) Jump(l Label) *Op { return b.add(Op{Kind: Jump, Target: l}) }

// JumpIfEqual goes to l if the 32 bits at a, masked, equal v.
func (b *Builder) JumpIfEqual(a Addr, mask, v uint32, l Label) *Op {
	return b.jumpIf(a, mask, v, 0, l)
}

// JumpUnlessEqual goes to l if the 32 bits at a, masked, differ from v.
func (b *Builder) JumpUnlessEqual(a Addr, mask, v uint32, l Label) *Op {
	return b.jumpIf(a, mask, v, 1, l)
}

func (b *Builder) jumpIf(a Addr, mask, v uint32, differ int, l Label) *Op {
	return b.add(Op{Kind: JumpIf, Args: b.args([]any{a, mask, v, 0, differ}), Target: l})
}

// Fail reports errno e for this operation and ends the process.
func (b *Builder) Fail(e int) *Op { return b.add(Op{Kind: Fail, Args: b.args([]any{e})}) }

// Label returns a new label, to be placed with Place.
func (b *Builder) Label() Label {
	b.labels = append(b.labels, -1)
	return Label(len(b.labels) - 1)
}

// Place puts a label before the next operation.
func (b *Builder) Place(l Label) { b.labels[l] = len(b.p.Ops) }

func (b *Builder) add(o Op) *Op {
	if len(b.spareOps) == 0 {
		b.spareOps = make([]Op, 128)
	}
	added := &b.spareOps[0]
	b.spareOps = b.spareOps[1:]
	o.Origin, o.Phase = b.origin, b.phase
	*added = o
	b.p.Ops = append(b.p.Ops, added)
	return added
}

func (b *Builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

func (b *Builder) args(list []any) []Arg {
	if len(b.spareArgs) < len(list) {
		b.spareArgs = make([]Arg, 512)
	}
	out := b.spareArgs[:len(list):len(list)]
	b.spareArgs = b.spareArgs[len(list):]
	for i, v := range list {
		switch v := v.(type) {
		case string:
			out[i].Value = int64(b.Str(v))
		case []byte:
			out[i].Value = int64(b.Bytes(v))
		case Addr:
			out[i].Value = int64(v)
		case Word:
			out[i] = Arg{Value: int64(v.Addr()), Load: true}
		case Loaded:
			out[i] = Arg{Value: int64(v), Load: true}
		case int:
			out[i].Value = int64(v)
		case uint32:
			out[i].Value = int64(v)
		case uint64:
			out[i].Value = int64(v)
		case int64:
			out[i].Value = v
		default:
			panic(fmt.Sprintf("BUG: argument of type %T", v))
		}
		if out[i].Value < math.MinInt32 || out[i].Value > math.MaxUint32 {
			b.fail(fmt.Errorf("%s: argument %#x does not fit into 32 bits", b.origin, out[i].Value))
		}
	}
	return out
}

// Finish resolves the labels, verifies the program, and returns it.
func (b *Builder) Finish() (*Program, error) {
	if b.err != nil {
		return nil, b.err
	}
	p := &b.p
	for _, op := range p.Ops {
		if op.Kind == Jump || op.Kind == JumpIf {
			op.Target = b.resolve(op.Target)
		}
		for j, r := range op.Rules {
			if r.Target != Next {
				op.Rules[j].Target = b.resolve(r.Target)
			}
		}
	}
	if err := Verify(p); err != nil {
		return nil, err
	}
	return p, nil
}

func (b *Builder) resolve(l Label) Label {
	if l < 0 || int(l) >= len(b.labels) || b.labels[l] < 0 {
		panic(fmt.Sprintf("BUG: label %d was never placed", l))
	}
	return Label(b.labels[l])
}
