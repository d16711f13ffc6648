// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// whiteout begins the names with which a layer removes others. No file of an
// image can have such a name, image-spec layer.md#whiteouts.
const whiteout = ".wh."

// errStop ends a walk whose consumer has enough.
var errStop = errors.New("stop")

// Walk gives the entries of a tree in order: a directory before what is in it,
// names by their bytes. With Paranoid files are read, and entries have the sums
// of their contents. An error is the last that it gives. root stays the
// caller's and may be an O_PATH descriptor.
func Walk(root *os.File, o Options) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		w := &walk{o.scope(), root, yield}
		f, err := look(int(root.Fd()), noMarks)
		if err == nil {
			err = w.entry("", f)
		}
		if err == nil {
			err = w.directory(root, ".", "")
		}
		if err != nil && err != errStop {
			yield(Entry{}, err)
		}
	}
}

type walk struct {
	*scope
	root  *os.File
	yield func(Entry, error) bool
}

func (w *walk) directory(at *os.File, name, p string) error {
	dir, list, err := w.list(at, name, p)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, name := range list {
		q := join(p, name)
		f, err := lookAt(dir, name, noMarks)
		if gone(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", show(q), err)
		}
		if err = w.entry(q, f); err == nil && f.IsDir() {
			err = w.directory(dir, name, q)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) entry(p string, f *file) error {
	e := Entry{Path: p, Meta: f.Meta, CTime: f.ctime, Xattrs: xattrSum(f.xattrs)}
	e.Inode.Dev = 0
	if w.Paranoid && f.isRegular() {
		var err error
		if e.Contents, err = sum(w.root, p); err != nil {
			return fmt.Errorf("cannot read %s: %w", show(p), err)
		}
	}
	if !w.yield(e, nil) {
		return errStop
	}
	return nil
}

// list opens the directory called name in at, which is p in the tree, and gives
// the names in it that count. Close the directory.
func (s *scope) list(at *os.File, name, p string) (*os.File, []string, error) {
	dir, err := openDir(at, name)
	if gone(err) {
		err = ErrChanged
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot open %s: %w", show(p), err)
	}
	all, err := names(dir)
	if err == nil {
		all, err = s.counting(p, all)
	}
	if err != nil {
		_ = dir.Close() // only read
		return nil, nil, fmt.Errorf("cannot list %s: %w", show(p), err)
	}
	return dir, all, nil
}

// counting leaves out what is excluded; the slice is used again.
func (s *scope) counting(p string, all []string) ([]string, error) {
	list := all[:0]
	for _, name := range all {
		q := join(p, name)
		switch {
		case s.excluded[q]:
			continue
		case strings.HasPrefix(name, whiteout):
			return nil, fmt.Errorf("%q: layers cannot have names that begin with %q (hint: remove or rename it)", name, whiteout)
		case len(q) > maxPath:
			return nil, fmt.Errorf("%.40q…: %w", name, unix.ENAMETOOLONG)
		}
		list = append(list, name)
	}
	return list, nil
}

// Tree gives what differs between a tree as it was and as it is now, in the
// order of a layer. before is in the order of Walk, and of the same root. root
// stays the caller's and may be an O_PATH descriptor.
func Tree(root *os.File, before iter.Seq2[Entry, error], o Options) ([]Change, error) {
	next, stop := iter.Pull2(before)
	defer stop()
	t := &comparison{collector: collector{scope: o.scope(), root: root}, next: next}
	err := t.advance()
	if err == nil {
		err = t.top()
	}
	if err == nil {
		err = t.directory(root, ".", "")
	}
	for err == nil && t.more {
		err = t.missing()
	}
	if err != nil {
		return nil, err
	}
	return t.layer()
}

// comparison goes through a tree and its manifest side by side: both have the
// same order, and neither is ever in memory.
type comparison struct {
	collector
	next  func() (Entry, error, bool)
	entry Entry // of the manifest, the first that was not compared yet
	more  bool  // entry is one
}

func (t *comparison) advance() (err error) {
	t.entry, err, t.more = t.next()
	return err
}

// missing notes that the entry at hand is not in the tree any more, and goes to
// the next that is not below it.
func (t *comparison) missing() error {
	p := t.entry.Path
	if !t.covers(p) {
		t.remove(p)
	}
	if err := t.advance(); err != nil {
		return err
	}
	return t.skipBelow(p)
}

func (t *comparison) skipBelow(p string) error {
	for t.more && below(t.entry.Path, p) {
		if err := t.advance(); err != nil {
			return err
		}
	}
	return nil
}

// find is the entry of p, if it has one; what is left of those before p is
// missing.
func (t *comparison) find(p string) (before *Entry, err error) {
	for t.more && order(t.entry.Path, p) < 0 {
		if err := t.missing(); err != nil {
			return nil, err
		}
	}
	if !t.more || t.entry.Path != p {
		return nil, nil
	}
	e := t.entry
	return &e, t.advance()
}

// top compares the root directory.
func (t *comparison) top() error {
	f, err := look(int(t.root.Fd()), noMarks)
	if err != nil {
		return fmt.Errorf("cannot read the root directory: %w", err)
	}
	before, err := t.find("")
	if err != nil || before == nil {
		return err
	}
	return t.compare("", before, f)
}

func (t *comparison) directory(at *os.File, name, p string) error {
	dir, list, err := t.list(at, name, p)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, name := range list {
		q := join(p, name)
		now, err := t.name(dir, name, q)
		switch {
		case err != nil:
			return fmt.Errorf("cannot compare %s: %w", show(q), err)
		case now.IsDir():
			err = t.directory(dir, name, q)
		default: // what was below it went with it
			err = t.skipBelow(q)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// name compares one name, and says what it is now. That it is not there, or is
// nothing for a layer, shows when its entry is found missing.
func (t *comparison) name(dir *os.File, name, p string) (Meta, error) {
	var st unix.Stat_t
	err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if gone(err) {
		return Meta{}, nil
	}
	if err != nil {
		return Meta{}, os.NewSyscallError("fstatat", err)
	}
	now := meta(&st)
	if why := now.unfit(); why != "" {
		t.warn(p, why+" is left out")
		return Meta{}, nil
	}
	before, err := t.find(p)
	if err != nil {
		return now, err
	}
	if before != nil && !t.Paranoid && before.untouched(&st) && now.Links == 1 {
		return now, nil
	}
	f, err := lookAt(dir, name, noMarks)
	if gone(err) || err == nil && f.Mode&unix.S_IFMT != now.Mode&unix.S_IFMT {
		err = ErrChanged
	}
	if err != nil {
		return now, err
	}
	if before == nil {
		return now, t.add(p, Add, f)
	}
	return now, t.compare(p, before, f)
}

// untouched says that nothing at all was done to a file since its entry was
// made. The container began to run long after that: a tick of the clock that
// gives ctimes is at most 10 ms.
func (e *Entry) untouched(st *unix.Stat_t) bool {
	return e.CTime != (unix.Timespec{}) && e.CTime == st.Ctim && e.Inode.Ino == st.Ino &&
		e.Mode == st.Mode && e.MTime == st.Mtim && (!e.isRegular() || e.Size == st.Size)
}

// compare notes in what a name that was there before differs.
func (t *comparison) compare(p string, before *Entry, f *file) error {
	ignoreTime := f.IsDir() && t.ignoresTime(p)
	if !f.Meta.equal(before.Meta, ignoreTime) || xattrSum(f.xattrs) != before.Xattrs {
		return t.add(p, Modify, f)
	}
	if !f.isRegular() {
		return t.same(p, f)
	}
	touched := before.CTime == (unix.Timespec{}) || before.CTime != f.ctime || before.Inode.Ino != f.Inode.Ino
	if !touched && !t.Paranoid {
		return t.same(p, f)
	}
	if before.Contents == (Sum{}) {
		if t.Paranoid {
			return errors.New("the manifest has no sums of contents (hint: unpack with --paranoid, or commit without)")
		}
		return t.add(p, Modify, f) // nobody knows
	}
	now, err := sum(t.root, p)
	if err != nil {
		return err
	}
	if now != before.Contents {
		return t.add(p, Modify, f)
	}
	return t.same(p, f)
}
