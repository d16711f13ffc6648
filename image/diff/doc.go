// SPDX-License-Identifier: Apache-2.0

// Package diff finds what changed in a bundle's root file system and writes it
// as a layer; image-spec layer.md. The changes come from the upper directory of
// an overlay, or from comparing a tree with its manifest, a record of how it was
// when it was unpacked:
//
//	changes, err := diff.Upper(upper, lowers, o)              // --mode overlay
//	changes, err := diff.Tree(root, diff.ReadManifest(f), o)  // --mode copy
//	desc, diffID, err := diff.Layer(blob, document.Gzip, func(w io.Writer) error {
//		return diff.Write(w, upper, changes, o)
//	})
//	image, err := diff.Commit(base, diff.Step{Layer: &desc, DiffID: diffID})
//
// The trees are hostile, and a container may be changing them: files are reached
// by descriptor, one name at a time or below the root without links, and only
// regular files and directories are ever opened for reading. What changes so
// that no true entry can be written is ErrChanged, and the caller may try again.
package diff

import (
	"errors"
	"path"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ErrChanged is for a tree that something else writes to while it is read.
var ErrChanged = errors.New("changed while it was read (hint: stop or pause the container)")

// Options say how a tree is read and what a layer made of it has.
type Options struct {
	// UserXattr says that the overlay was mounted with userxattr: its marks are
	// user.overlay.* instead of trusted.overlay.*.
	UserXattr bool
	// UIDs and GIDs translate the host's ids to the container's, which layers
	// have; none means that they are the same. An id that is in none of them is
	// an error.
	UIDs, GIDs []specs.LinuxIDMapping
	// Rootless takes owners from the xattr user.rootlesscontainers.
	Rootless bool
	// Exclude are paths whose subtrees are left out, themselves included: mount
	// points and volumes. They are compared by name, so links in them have to be
	// resolved before.
	Exclude []string
	// Epoch is the latest time that a layer has: SOURCE_DATE_EPOCH.
	Epoch *time.Time
	// Paranoid reads every file instead of trusting inode, size and ctime.
	Paranoid bool
	// Warn is told, in one line each, what is left out of a layer.
	Warn func(string)
}

func (o Options) warn(path, what string) {
	if o.Warn != nil {
		o.Warn(show(path) + ": " + what)
	}
}

// scope is what of a tree counts, prepared for many questions.
type scope struct {
	Options
	excluded map[string]bool
	above    map[string]bool // directories with an excluded name in them
}

func (o Options) scope() *scope {
	s := &scope{o, map[string]bool{}, map[string]bool{}}
	for _, p := range o.Exclude {
		if p = strings.TrimPrefix(path.Clean("/"+p), "/"); p != "" {
			s.excluded[p] = true
			s.above[parent(p)] = true
		}
	}
	return s
}

// covers says whether p is at or below an excluded path.
func (s *scope) covers(p string) bool {
	for ; p != "" && len(s.excluded) > 0; p = parent(p) {
		if s.excluded[p] {
			return true
		}
	}
	return false
}

// ignoresTime says whether the mtime of the directory p means nothing: the
// runtime makes mount points, and whoever makes a bundle makes its root.
func (s *scope) ignoresTime(p string) bool { return p == "" || s.above[p] }

// parent is the directory of a path in a tree; the root is "".
func parent(p string) string { return p[:max(strings.LastIndexByte(p, '/'), 0)] }

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
