// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// What a confined applier and its parent say to each other. The parent sends
// one request, in JSON, and closes. The child answers with frames:
//
//	kind (1 byte) │ length (uvarint) │ payload
//	'w'  a warning: text
//	'e'  an entry: its fields in order; integers as varints, strings after their length
//	'r'  the end: a reply, in JSON
//
// The child is as hostile as the layer may have made it.
const (
	frameWarning = 'w'
	frameEntry   = 'e'
	frameReply   = 'r'
	// maxFrame is more than two paths and a message need.
	maxFrame = 64 << 10
)

// request is what a child is to do.
type request struct {
	Form         Form
	Lowers       int
	Limits       Limits
	UIDs, GIDs   []IDMap
	Rootless     bool
	KeepDirlinks bool
	Record       bool
	Namespaces   bool // the child has its own: it may change mounts
	Descriptor   ocispec.Descriptor
	DiffID       digest.Digest
}

// reply is what became of it.
type reply struct {
	Result Result
	Failed *failure `json:",omitempty"`
}

// failure is an Error; bytes that are no UTF-8 survive in Entry.
type failure struct {
	Kind    int // index in kinds, -1 for none
	Entry   []byte
	Message []byte
	Errno   unix.Errno
}

func failureOf(err error) *failure {
	if err == nil {
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Message: err.Error()}
		if errors.As(err, &e.Errno) {
			e.Message = strings.TrimSuffix(e.Message, ": "+e.Errno.Error()) // Error adds it
		}
	}
	f := &failure{Kind: -1, Entry: []byte(e.Entry), Message: []byte(e.Message), Errno: e.Errno}
	for i, kind := range kinds {
		if e.Kind == kind {
			f.Kind = i
		}
	}
	return f
}

func (f *failure) err() error {
	if f == nil {
		return nil
	}
	e := &Error{Entry: string(f.Entry), Message: string(f.Message), Errno: f.Errno}
	if f.Kind >= 0 && f.Kind < len(kinds) {
		e.Kind = kinds[f.Kind]
	}
	return e
}

// frames writes them.
type frames struct {
	w   *bufio.Writer
	buf []byte
}

func (f *frames) send(kind byte, payload []byte) error {
	var head [1 + binary.MaxVarintLen64]byte
	head[0] = kind
	n := binary.PutUvarint(head[1:], uint64(len(payload)))
	if _, err := f.w.Write(head[:1+n]); err != nil {
		return err
	}
	_, err := f.w.Write(payload)
	return err
}

func (f *frames) warn(text string) { _ = f.send(frameWarning, []byte(text[:min(len(text), maxFrame)])) }

func (f *frames) record(e Entry) {
	f.buf = e.append(f.buf[:0])
	_ = f.send(frameEntry, f.buf) // a parent that is gone is noticed by the reply
}

func (f *frames) reply(r reply) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := f.send(frameReply, b); err != nil {
		return err
	}
	return f.w.Flush()
}

// receive reads frames up to the reply.
func receive(r io.Reader, warn func(string), record func(Entry)) (reply, error) {
	in := bufio.NewReaderSize(r, maxFrame)
	payload := make([]byte, 0, 4096)
	for {
		kind, err := in.ReadByte()
		if err != nil {
			return reply{}, err
		}
		size, err := binary.ReadUvarint(in)
		if err != nil {
			return reply{}, err
		}
		if size > maxFrame {
			return reply{}, fmt.Errorf("a frame of %d bytes", size)
		}
		if uint64(cap(payload)) < size {
			payload = make([]byte, 0, maxFrame)
		}
		payload = payload[:size]
		if _, err := io.ReadFull(in, payload); err != nil {
			return reply{}, err
		}
		switch kind {
		case frameWarning:
			if warn != nil {
				warn(string(payload))
			}
		case frameEntry:
			e, err := parseEntry(payload)
			if err != nil {
				return reply{}, err
			}
			if record != nil {
				record(e)
			}
		case frameReply:
			var r reply
			return r, json.Unmarshal(payload, &r)
		default:
			return reply{}, fmt.Errorf("a frame of kind %q", kind)
		}
	}
}

// append encodes an entry.
func (e *Entry) append(b []byte) []byte {
	b = append(b, e.Type)
	for _, s := range []string{e.Path, e.Link} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	for _, n := range []uint64{uint64(e.Mode), uint64(e.UID), uint64(e.GID), e.Device, e.Inode, uint64(e.ModTime.Nanosecond())} {
		b = binary.AppendUvarint(b, n)
	}
	for _, n := range []int64{e.Size, e.Changed, e.ModTime.Unix()} {
		b = binary.AppendVarint(b, n)
	}
	return b
}

var errEntry = errors.New("an entry that cannot be read")

// parseEntry decodes what append made.
func parseEntry(b []byte) (Entry, error) {
	var e Entry
	if len(b) == 0 {
		return e, errEntry
	}
	e.Type, b = b[0], b[1:]
	for _, s := range []*string{&e.Path, &e.Link} {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return e, errEntry
		}
		*s, b = string(b[used:used+int(n)]), b[used+int(n):]
	}
	var unsigned [6]uint64
	for i := range unsigned {
		n, used := binary.Uvarint(b)
		if used <= 0 {
			return e, errEntry
		}
		unsigned[i], b = n, b[used:]
	}
	var signed [3]int64
	for i := range signed {
		n, used := binary.Varint(b)
		if used <= 0 {
			return e, errEntry
		}
		signed[i], b = n, b[used:]
	}
	if len(b) > 0 || unsigned[5] >= uint64(time.Second) {
		return e, errEntry
	}
	e.Mode, e.UID, e.GID, e.Device, e.Inode = uint32(unsigned[0]), uint32(unsigned[1]), uint32(unsigned[2]), unsigned[3], unsigned[4]
	e.Size, e.Changed, e.ModTime = signed[0], signed[1], time.Unix(signed[2], int64(unsigned[5]))
	return e, nil
}
