// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Upper gives what the upper directory of an overlay says over its lowers, which
// are topmost first, in the order of a layer. The overlay was mounted without
// redirects and metadata-only copies; marks of these are refused. Without lowers
// an opaque directory has Opaque instead of a Remove for each name below, and
// what was only copied up counts as changed. All descriptors stay the caller's
// and may be O_PATH ones.
func Upper(upper *os.File, lowers []*os.File, o Options) ([]Change, error) {
	u := &union{collector: collector{scope: o.scope(), root: upper, marks: trustedMarks}, lowers: lowers}
	if o.UserXattr {
		u.marks = userMarks
	}
	f, err := look(int(upper.Fd()), u.marks)
	if err == nil {
		err = u.top(f)
	}
	if err == nil {
		all := make([]int, len(lowers))
		for i := range all {
			all[i] = i
		}
		err = u.directory(upper, ".", "", branch{below: all, whiteouts: f.marks[markOpaque] == "x"})
	}
	if err != nil {
		return nil, err
	}
	return u.layer()
}

// union is an overlay as the kernel puts it together,
// Documentation/filesystems/overlayfs.rst.
type union struct {
	collector
	lowers []*os.File
	buf    []byte // to compare contents
}

// branch is what a directory of the upper one stands on.
type branch struct {
	below     []int // the lowers with a directory that is merged into it
	hidden    bool  // it or one above is opaque: what is below is not seen
	whiteouts bool  // files in it may be whiteouts by xattr
}

// isWhiteout knows both kinds. The one by xattr means something only in a
// directory that says so.
func isWhiteout(f *file, byXattr func() bool) bool {
	if f.Mode&unix.S_IFMT == unix.S_IFCHR && f.Rdev == 0 {
		return true
	}
	_, marked := f.marks[markWhiteout]
	return marked && f.isRegular() && f.Size == 0 && byXattr()
}

// top compares the root directory with the one of the topmost lower.
func (u *union) top(f *file) error {
	if len(u.lowers) == 0 {
		return nil
	}
	before, err := look(int(u.lowers[0].Fd()), u.marks)
	if err != nil {
		return fmt.Errorf("cannot read the root directory of a layer: %w", err)
	}
	if same(f, before, true) {
		return nil
	}
	return u.add("", Modify, f)
}

func same(a, b *file, ignoreTime bool) bool {
	return a.Meta.equal(b.Meta, ignoreTime) && xattrSum(a.xattrs) == xattrSum(b.xattrs)
}

func (u *union) directory(at *os.File, name, p string, b branch) error {
	dir, list, err := u.list(at, name, p)
	if err != nil {
		return err
	}
	defer dir.Close()
	var there []string // names that the merged directory has from the upper one
	for _, name := range list {
		q := join(p, name)
		f, err := lookAt(dir, name, u.marks)
		if gone(err) {
			continue
		}
		var stays bool
		var on branch
		if err == nil {
			stays, on, err = u.name(q, f, b)
		}
		if err != nil {
			return fmt.Errorf("cannot compare %s: %w", show(q), err)
		}
		if !stays {
			continue
		}
		there = append(there, name)
		if f.IsDir() {
			if err := u.directory(dir, name, q, on); err != nil {
				return err
			}
		}
	}
	if !b.hidden {
		return nil
	}
	return u.hide(p, b.below, there)
}

// name compares one name of the upper directory. It does not stay if it is a
// whiteout, or nothing for a layer.
func (u *union) name(p string, f *file, b branch) (stays bool, on branch, err error) {
	if _, ok := f.marks[markRedirect]; ok {
		return false, on, errors.New("it has another name below: mounted with redirect_dir, which cannot become a layer")
	}
	if _, ok := f.marks[markMetacopy]; ok {
		return false, on, errors.New("its contents are below: mounted with metacopy, which cannot become a layer")
	}
	before, under, err := u.find(p, b.below)
	if err != nil {
		return false, on, err
	}
	stays = !isWhiteout(f, func() bool { return b.whiteouts })
	if why := f.unfit(); stays && why != "" {
		u.warn(p, why+" is left out")
		stays = false
	}
	if !stays {
		if !b.hidden && (before != nil || len(u.lowers) == 0) {
			u.remove(p)
		}
		return false, on, nil
	}
	opaque := f.marks[markOpaque]
	on = branch{hidden: b.hidden || opaque == "y", whiteouts: opaque == "x"}
	if before != nil && before.IsDir() {
		on.below = under
	}
	if f.IsDir() && opaque == "y" && !b.hidden && len(u.lowers) == 0 {
		u.changes = append(u.changes, Change{Path: p, Kind: Opaque})
	}
	if before == nil {
		return true, on, u.add(p, Add, f)
	}
	unchanged := same(f, before, f.IsDir() && u.ignoresTime(p))
	if unchanged && f.isRegular() {
		unchanged, err = u.equalContents(p, under[0])
	}
	switch {
	case err != nil:
		return true, on, err
	case unchanged:
		return true, on, u.same(p, f)
	}
	return true, on, u.add(p, Modify, f)
}

// find is what the lowers have at p, of whose directory they all have a part. A
// directory is merged from all of under; another file is in under[0].
func (u *union) find(p string, candidates []int) (before *file, under []int, err error) {
	for _, i := range candidates {
		f, err := lookBelow(u.lowers[i], p, u.marks)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("in a layer below: %w", err)
		}
		hidden := isWhiteout(f, func() bool { return u.marked(i, parent(p)) })
		if hidden || before != nil && !f.IsDir() {
			break
		}
		if before == nil {
			before = f
		}
		under = append(under, i)
		if !f.IsDir() || f.marks[markOpaque] == "y" {
			break
		}
	}
	return before, under, nil
}

// marked says whether a directory of a lower may have whiteouts by xattr.
func (u *union) marked(i int, p string) bool {
	f, err := lookBelow(u.lowers[i], p, u.marks)
	return err == nil && f.marks[markOpaque] == "x"
}

// hide removes what the lowers have in the opaque directory p, but for names
// that are there again.
func (u *union) hide(p string, lowers []int, there []string) error {
	seen := map[string]bool{}
	for _, name := range there {
		seen[name] = true
	}
	for _, i := range lowers {
		list, err := u.children(i, p)
		if err != nil {
			return fmt.Errorf("cannot list %s of a layer below: %w", show(p), err)
		}
		for _, name := range list {
			q := join(p, name)
			if seen[name] || u.excluded[q] {
				continue
			}
			seen[name] = true
			before, _, err := u.find(q, lowers)
			if err != nil {
				return err
			}
			if before != nil {
				u.remove(q)
			}
		}
	}
	return nil
}

func (u *union) children(lower int, p string) ([]string, error) {
	fd, err := openBelow(u.lowers[lower], p)
	if err != nil {
		return nil, err
	}
	at := os.NewFile(uintptr(fd), p)
	defer at.Close()
	dir, err := openDir(at, ".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return names(dir)
}

// equalContents compares a file with the one of a lower that has its size.
func (u *union) equalContents(p string, lower int) (bool, error) {
	a, m, err := openContents(u.root, p)
	if err != nil {
		return false, err
	}
	defer a.Close()
	b, n, err := openContents(u.lowers[lower], p)
	if err != nil {
		return false, err
	}
	defer b.Close()
	if m.Size != n.Size {
		return false, nil
	}
	if u.buf == nil {
		u.buf = make([]byte, 128<<10)
	}
	x, y := u.buf[:64<<10], u.buf[64<<10:]
	for {
		k, err := io.ReadFull(a, x)
		l, err2 := io.ReadFull(b, y)
		switch {
		case k != l || !bytes.Equal(x[:k], y[:l]):
			return false, nil
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return true, nil
		case err != nil || err2 != nil:
			return false, errors.Join(err, err2)
		}
	}
}
