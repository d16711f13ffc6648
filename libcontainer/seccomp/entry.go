// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
)

// An entry of the cache is
//
//	magic, key, SHA-256 of what follows,
//	flags, listener (0 or 1), program, number of warnings, warnings
//
// with numbers as 64-bit little-endian words, and the program and each warning
// after their length as a 32-bit word.
const magic = "berthbpf"

// errEntry says that a file of the cache is not what we wrote.
var errEntry = errors.New("not a valid entry")

func encodeEntry(k key, f *Filter, warnings []string) []byte {
	var body encoder
	listener := uint64(0)
	if f.Listener {
		listener = 1
	}
	body.number(uint64(f.Flags), listener)
	body.text(string(f.BPF))
	body.number(uint64(len(warnings)))
	for _, w := range warnings {
		body.text(w)
	}
	sum := sha256.Sum256(body)
	return slices.Concat([]byte(magic), k[:], sum[:], body)
}

// decodeEntry takes an entry apart. The filter shares data's memory.
func decodeEntry(k key, data []byte) (*Filter, []string, error) {
	d := decoder{data: data}
	head, sum := d.take(len(magic)+len(k)), d.take(sha256.Size)
	if d.bad || string(head) != magic+string(k[:]) {
		return nil, nil, errEntry
	}
	if got := sha256.Sum256(d.data); !bytes.Equal(got[:], sum) {
		return nil, nil, errEntry
	}
	f := &Filter{Flags: uint(d.number())}
	listener := d.number()
	f.Listener = listener == 1
	f.BPF = d.bytes()
	var warnings []string
	for n := d.number(); n > 0 && !d.bad; n-- {
		warnings = append(warnings, string(d.bytes()))
	}
	size := len(f.BPF)
	if d.bad || len(d.data) > 0 || listener > 1 || size == 0 || size%sizeofInstruction != 0 || size > maxInstructions*sizeofInstruction {
		return nil, nil, errEntry
	}
	return f, warnings, nil
}

// decoder reads what encoder wrote. It becomes bad at the first value that is
// not there, and returns zeros then.
type decoder struct {
	data []byte
	bad  bool
}

func (d *decoder) take(n int) []byte {
	if d.bad || n < 0 || n > len(d.data) {
		d.bad = true
		return nil
	}
	part := d.data[:n:n]
	d.data = d.data[n:]
	return part
}

func (d *decoder) number() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) bytes() []byte {
	if b := d.take(4); b != nil {
		return d.take(int(binary.LittleEndian.Uint32(b)))
	}
	return nil
}
