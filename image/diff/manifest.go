// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"berth/internal/atomicfile"
)

// Sum is a sha256; the zero value says that none was made.
type Sum [sha256.Size]byte

// Entry is one name of a tree as it was. What its file says now is the same as
// long as inode, size and ctime are, which no system call can set: of the ones
// that have changed, the rest is compared. CTime 0 stands for unknown.
//
// Ids and xattrs are the host's, as they are in the file system. Inode.Dev is 0:
// after the machine was started again it may be another.
type Entry struct {
	Path string
	Meta
	CTime    unix.Timespec
	Xattrs   Sum // of all that a layer could have
	Contents Sum // of a regular file, if it was read
}

// xattrSum is Entry.Xattrs for extended attributes by name. The ones that
// overlayfs and the host's policy use do not count.
func xattrSum(xattrs map[string]string) Sum {
	h, some := sha256.New(), false
	for _, name := range slices.Sorted(maps.Keys(xattrs)) {
		own, _ := place(name, noMarks, xattrs, nil)
		if own == nil {
			continue
		}
		some = true
		_, _ = fmt.Fprintf(h, "%q=%q\n", name, xattrs[name]) // a hash takes all
	}
	if !some {
		return Sum{}
	}
	return Sum(h.Sum(nil))
}

// The manifest's file: the magic line, then entries in the order of a walk, then
// an entry with the name length maxPath+1 and how many there were. Numbers are
// varints. Of a path, what it has in common with the one before is a length.
const (
	magic     = "berth manifest 1\n"
	endMark   = maxPath + 1
	hasXattrs = 1 << 0
	hasSum    = 1 << 1
)

// WriteManifest writes entries, which are in the order of Walk.
func WriteManifest(w io.Writer, entries iter.Seq2[Entry, error]) error {
	b := bufio.NewWriter(w)
	_, _ = b.WriteString(magic) // errors stay, and Flush tells
	var record []byte
	last, n := "", uint64(0)
	for e, err := range entries {
		if err != nil {
			return err
		}
		if n > 0 && order(last, e.Path) >= 0 || len(e.Path) > maxPath {
			return fmt.Errorf("cannot write a manifest: %s after %s", show(e.Path), show(last))
		}
		record = e.append(record[:0], last)
		_, _ = b.Write(record)
		last = e.Path
		n++
	}
	record = binary.AppendUvarint(binary.AppendUvarint(record[:0], endMark), n)
	_, _ = b.Write(record)
	if err := b.Flush(); err != nil {
		return fmt.Errorf("cannot write a manifest: %w", err)
	}
	return nil
}

// SaveManifest replaces the file called name in dir, which no container can
// reach: what it says is believed.
func SaveManifest(dir *os.File, name string, entries iter.Seq2[Entry, error]) error {
	var b bytes.Buffer // some 50 bytes an entry
	if err := WriteManifest(&b, entries); err != nil {
		return err
	}
	return atomicfile.WriteAt(dir, name, b.Bytes(), 0o600)
}

func (e *Entry) append(b []byte, last string) []byte {
	shared := 0
	for shared < min(len(last), len(e.Path)) && last[shared] == e.Path[shared] {
		shared++
	}
	flags := uint64(0)
	if e.Xattrs != (Sum{}) {
		flags |= hasXattrs
	}
	if e.Contents != (Sum{}) {
		flags |= hasSum
	}
	for _, n := range []uint64{uint64(len(e.Path) - shared), uint64(shared), flags, uint64(e.Mode), uint64(e.UID), uint64(e.GID),
		e.Rdev, uint64(e.Size), e.Links, e.Inode.Ino, uint64(len(e.Target))} {
		b = binary.AppendUvarint(b, n)
	}
	for _, t := range []unix.Timespec{e.MTime, e.CTime} {
		b = binary.AppendVarint(b, int64(t.Sec))
		b = binary.AppendUvarint(b, uint64(t.Nsec))
	}
	b = append(b, e.Path[shared:]...)
	b = append(b, e.Target...)
	if flags&hasXattrs != 0 {
		b = append(b, e.Xattrs[:]...)
	}
	if flags&hasSum != 0 {
		b = append(b, e.Contents[:]...)
	}
	return b
}

// ReadManifest reads what WriteManifest wrote, as far as it is asked. It takes
// its own buffer and does not close r. An error is the last that it gives.
func ReadManifest(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		d := decoder{r: bufio.NewReader(r)}
		head := make([]byte, len(magic))
		if d.read(head); d.err == nil && string(head) != magic {
			d.err = errors.New("not a manifest, or one of another version of this program")
		}
		for n := uint64(0); d.err == nil; n++ {
			e, end := d.entry(n)
			if end {
				return
			}
			if d.err == nil && !yield(e, nil) {
				return
			}
		}
		if errors.Is(d.err, io.EOF) {
			d.err = io.ErrUnexpectedEOF
		}
		yield(Entry{}, fmt.Errorf("cannot read the manifest after %s: %w", show(d.last), d.err))
	}
}

// decoder reads fields until the first error.
type decoder struct {
	r    *bufio.Reader
	last string
	err  error
}

func (d *decoder) read(b []byte) {
	if d.err == nil {
		_, d.err = io.ReadFull(d.r, b)
	}
}

// uint reads a number that is not above limit.
func (d *decoder) uint(limit uint64) uint64 {
	if d.err != nil {
		return 0
	}
	n, err := binary.ReadUvarint(d.r)
	if err == nil && n > limit {
		err = fmt.Errorf("number %d, and at most %d is possible", n, limit)
	}
	if d.err = err; err != nil {
		return 0
	}
	return n
}

func (d *decoder) time() (t unix.Timespec) {
	if d.err == nil {
		t.Sec, d.err = binary.ReadVarint(d.r)
	}
	t.Nsec = int64(d.uint(999_999_999))
	return t
}

const (
	max32 = 1<<32 - 1
	max63 = 1<<63 - 1
	max64 = 1<<64 - 1
)

func (d *decoder) entry(n uint64) (e Entry, end bool) {
	fresh := d.uint(endMark)
	if fresh == endMark {
		if count := d.uint(max64); d.err == nil && count != n {
			d.err = fmt.Errorf("%d entries, and it should have %d", n, count)
		}
		return e, d.err == nil
	}
	shared := d.uint(uint64(len(d.last)))
	flags := d.uint(hasXattrs | hasSum)
	e.Mode, e.UID, e.GID = uint32(d.uint(max32)), uint32(d.uint(max32)), uint32(d.uint(max32))
	e.Rdev, e.Size, e.Links = d.uint(max64), int64(d.uint(max63)), d.uint(max64)
	e.Inode.Ino = d.uint(max64)
	target := make([]byte, d.uint(maxPath))
	e.MTime, e.CTime = d.time(), d.time()
	if d.err == nil && shared+fresh > maxPath {
		d.err = fmt.Errorf("a path of %d bytes", shared+fresh)
		return e, false
	}
	p := make([]byte, shared+fresh)
	copy(p, d.last[:shared])
	d.read(p[shared:])
	d.read(target)
	if flags&hasXattrs != 0 {
		d.read(e.Xattrs[:])
	}
	if flags&hasSum != 0 {
		d.read(e.Contents[:])
	}
	e.Path, e.Target = string(p), string(target)
	switch {
	case d.err != nil:
	case n > 0 && order(d.last, e.Path) >= 0:
		d.err = fmt.Errorf("%s is not in order", show(e.Path))
	case path.Clean("/"+e.Path) != "/"+e.Path || strings.Contains(e.Path, "\x00"):
		d.err = fmt.Errorf("%s is no path in a tree", show(e.Path))
	default:
		d.last = e.Path
	}
	return e, false
}
