// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// Kind says what happened to a name.
type Kind uint8

// The kinds of changes.
const (
	Add    Kind = iota // it is new
	Modify             // it is another file, or one with other contents or metadata
	Remove             // it is gone, with all below it: .wh.NAME
	Parent             // a directory that is as before, above a change
	Opaque             // what layers below have in this directory is gone: .wh..wh..opq
)

var kinds = [...]string{Add: "A", Modify: "M", Remove: "D", Parent: "P", Opaque: "O"}

func (k Kind) String() string { return kinds[k] }

// Change is one name of a layer. Paths have no slash in front, and that of the
// root directory is "". Of a removed name only Path and Kind are set. The
// contents are those of Path in the tree that was looked at, if Inode still says
// that this is the file.
type Change struct {
	Path string
	Kind Kind
	Meta
	// Xattrs are those that the layer has.
	Xattrs map[string]string
}

// String is one line: kind, mode, owner, size or device or target, and path.
func (c Change) String() string {
	if c.Kind == Remove || c.Kind == Opaque {
		return c.Kind.String() + " " + show(c.Path)
	}
	s := fmt.Sprintf("%s %s %s", c.Kind, c.Meta, show(c.Path))
	for _, name := range slices.Sorted(maps.Keys(c.Xattrs)) {
		s += fmt.Sprintf(" %s=%q", name, c.Xattrs[name])
	}
	return s
}

// show is a path for people: quoted if it would break a line or a terminal.
func show(p string) string {
	if p == "" {
		return "/"
	}
	if q := fmt.Sprintf("%q", p); q != `"`+p+`"` {
		return q
	}
	return p
}

// order sorts the names of a tree in the way that a walk meets them: a directory
// stands before all below it, and "a.b" after "a/c".
func order(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] == b[i] {
			continue
		}
		switch {
		case a[i] == '/':
			return -1
		case b[i] == '/':
			return 1
		}
		return cmp.Compare(a[i], b[i])
	}
	return cmp.Compare(len(a), len(b))
}

// inLayer is order for changes: among the names of one directory the removed
// ones come first, as image-spec layer.md wants, and before them its opaque mark.
func inLayer(a, b Change) int {
	if a.Path == b.Path {
		return cmp.Compare(a.Kind, b.Kind)
	}
	if below(b.Path, a.Path) {
		return -1
	}
	if below(a.Path, b.Path) {
		return 1
	}
	if x, y := a.goesFirst(b.Path), b.goesFirst(a.Path); x != y {
		if x {
			return -1
		}
		return 1
	}
	return order(a.Path, b.Path)
}

// goesFirst says whether c removes a name of a directory that other is in.
func (c Change) goesFirst(other string) bool {
	return c.Kind == Remove && below(other, parent(c.Path))
}

// below says whether p is in the subtree of dir, and not dir itself.
func below(p, dir string) bool {
	if dir == "" {
		return p != ""
	}
	return len(p) > len(dir) && p[len(dir)] == '/' && strings.HasPrefix(p, dir)
}

// collector gathers the changes of a tree.
type collector struct {
	*scope
	root    *os.File
	marks   marks
	changes []Change
	linked  []Change // files that are as before and have other names
}

func (c *collector) add(p string, k Kind, f *file) error {
	change, err := c.change(p, k, f)
	if err == nil {
		c.changes = append(c.changes, change)
	}
	return err
}

func (c *collector) remove(p string) {
	c.changes = append(c.changes, Change{Path: p, Kind: Remove})
}

// same keeps in mind an unchanged file that has other names.
func (c *collector) same(p string, f *file) error {
	if f.IsDir() || f.Links < 2 {
		return nil
	}
	change, err := c.change(p, Modify, f)
	if err == nil {
		c.linked = append(c.linked, change)
	}
	return err
}

// layer is all that was gathered, complete and in order. Of a file with several
// names all are in the layer or none is: a link to a file of a layer below is
// not possible, and a second copy would not be the same file any more.
func (c *collector) layer() ([]Change, error) {
	changed := map[FileID]bool{}
	for _, x := range c.changes {
		if x.Links > 1 {
			changed[x.Inode] = true
		}
	}
	for _, x := range c.linked {
		if changed[x.Inode] {
			c.changes = append(c.changes, x)
		}
	}
	if err := c.addParents(); err != nil {
		return nil, err
	}
	slices.SortFunc(c.changes, inLayer)
	return c.changes, nil
}

// addParents adds the directories above each change, which readers need that
// make directories only from entries, and which give a merged view its metadata.
func (c *collector) addParents() error {
	have := map[string]bool{"": true}
	for _, x := range c.changes {
		if x.IsDir() {
			have[x.Path] = true
		}
	}
	for _, x := range slices.Clone(c.changes) {
		p := parent(x.Path)
		if x.Kind == Opaque {
			p = x.Path
		}
		for ; !have[p]; p = parent(p) {
			have[p] = true
			f, err := lookBelow(c.root, p, c.marks)
			if gone(err) || err == nil && !f.IsDir() {
				err = ErrChanged
			}
			if err == nil {
				err = c.add(p, Parent, f)
			}
			if err != nil {
				return fmt.Errorf("cannot read %s: %w", show(p), err)
			}
		}
	}
	return nil
}
