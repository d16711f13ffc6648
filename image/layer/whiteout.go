// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"errors"
	"hash/maphash"
	"slices"

	"golang.org/x/sys/unix"
)

// ownership remembers what this layer wrote into a tree that has lower layers'
// files: a whiteout hides those only, wherever in the archive it stands. A path
// is kept as its hash, with a seed that no layer can know.
type ownership struct {
	seed    maphash.Seed
	names   map[uint64]struct{} // of all but directories
	cleared map[uint64]struct{} // directories without anything of lower layers: each is walked once
}

func newOwnership() *ownership {
	return &ownership{maphash.MakeSeed(), map[uint64]struct{}{}, map[uint64]struct{}{}}
}

func (o *ownership) add(real string) { o.names[maphash.String(o.seed, real)] = struct{}{} }

func (o *ownership) has(real string) bool {
	_, ok := o.names[maphash.String(o.seed, real)]
	return ok
}

// clear says whether a directory is to be walked, which is true once.
func (o *ownership) clear(real string) bool {
	h := maphash.String(o.seed, real)
	_, done := o.cleared[h]
	o.cleared[h] = struct{}{}
	return !done
}

// lowest: there is nothing below that could be hidden.
func (a *applier) lowest() bool { return a.own == nil && len(a.layers) == 1 }

// whiteout hides a name of lower layers.
func (a *applier) whiteout(name string) error {
	if name == "" {
		return refuse("a whiteout of the root")
	}
	if a.lowest() {
		return nil
	}
	up, base := split(name)
	p, err := a.hiddenParent(up)
	if p == nil || err != nil {
		return err
	}
	if a.o.Form == Plain {
		return a.remove(p, base)
	}
	real := join(p.real, base)
	if below, err := a.hasBelow(p.real, base); !below || err != nil {
		return err
	}
	err = unix.Mknodat(p.fd, base, unix.S_IFCHR, 0)
	if err == nil {
		a.whiteouts = append(a.whiteouts, real)
		a.record(Entry{Path: real}, nil)
		return nil
	}
	if !errors.Is(err, unix.EEXIST) {
		return failed("mknod", real, err)
	}
	st, err := lstatAt(p.fd, base)
	if err != nil {
		return failed("fstatat", real, err)
	}
	if kindOf(&st) == unix.S_IFDIR {
		return a.bare(p.fd, base, real)
	}
	return nil // this layer's own file hides the name already
}

// hasBelow says whether the layers below show a name. readdir(2) of a directory
// that is not merged would list a whiteout.
func (a *applier) hasBelow(up, base string) (bool, error) {
	at, err := a.find(up)
	if err != nil {
		return false, err
	}
	at.layers = slices.DeleteFunc(at.layers, func(i int) bool { return i == 0 })
	f, err := a.lookup(at, base)
	return f.first > 0, err
}

// pruneWhiteouts removes those below directories that became opaque: nothing is
// merged there, see hasBelow.
func (a *applier) pruneWhiteouts() error {
	for _, real := range a.whiteouts {
		up, base := split(real)
		if !a.isBare(up) {
			continue
		}
		fd, err := openBelow(a.top.fd, up, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			continue // replaced since
		}
		st, err := lstatAt(fd, base)
		if err == nil && isWhiteout(&st) {
			err = unix.Unlinkat(fd, base, 0)
		}
		_ = unix.Close(fd) // O_PATH
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return failed("unlink", real, err)
		}
	}
	return nil
}

// dropHidden removes directories that were only made on the way to whiteouts,
// once they are empty and what they were made from is hidden itself. names are
// those of all directories that were touched, the ones below others first.
func (a *applier) dropHidden(names []string) error {
	for _, real := range names {
		up, base := split(real)
		if real == "" || a.late[real].explicit || !a.hidden[real] && !a.isBare(up) {
			continue
		}
		fd, err := openBelow(a.top.fd, up, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			continue // replaced since
		}
		err = unix.Unlinkat(fd, base, unix.AT_REMOVEDIR)
		_ = unix.Close(fd) // O_PATH
		if err != nil {
			continue // it has something, or is none any more
		}
		delete(a.opaque, real)
		if a.hidden[real] {
			if err := a.whiteout(real); err != nil {
				return err
			}
		}
	}
	return nil
}

// isBare: it, or a directory above it, is opaque.
func (a *applier) isBare(real string) bool {
	for len(a.opaque) > 0 {
		if a.opaque[real] {
			return true
		}
		if real == "" {
			return false
		}
		real, _ = split(real)
	}
	return false
}

// opaqueDirectory hides all that lower layers have in a directory.
func (a *applier) opaqueDirectory(name string) error {
	if a.lowest() {
		return nil
	}
	p, err := a.hiddenParent(name)
	if p == nil || err != nil {
		return err
	}
	if a.o.Form == Plain {
		return a.removeBelow(p.fd, ".", p.real, p)
	}
	if p.real == "" {
		a.bareRoot = true
		return nil
	}
	if a.opaque[p.real] {
		return nil
	}
	return a.setOpaque(p.fd, ".", p.real)
}

// hideBelowRoot: overlayfs merges the roots of all layers whatever their
// xattrs, so that an opaque one has to name what it hides.
func (a *applier) hideBelowRoot() error {
	if !a.bareRoot {
		return nil
	}
	for _, lower := range a.layers[1:] {
		if err := eachName(lower, a.whiteout); err != nil {
			return err
		}
	}
	return nil
}

// hiddenParent is the directory of a whiteout, nil if there is none: then
// nothing is hidden.
func (a *applier) hiddenParent(name string) (*dir, error) {
	p, err := a.parent(name, false)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	return p, err
}

// bare makes a directory of this layer hide the one below, whose attributes it
// has no more unless the layer itself gives them.
func (a *applier) bare(up int, base, real string) error {
	if !a.late[real].explicit {
		if err := a.impliedAttributes(up, base, real); err != nil {
			return err
		}
	}
	a.hidden[real] = true
	return a.setOpaque(up, base, real)
}

// setOpaque marks a directory in the overlay forms.
func (a *applier) setOpaque(up int, base, real string) error {
	if a.o.Form == Plain {
		return nil
	}
	fd, err := openDirAt(up, base)
	if err != nil {
		return failed("openat", real, err)
	}
	defer unix.Close(fd)
	name := a.o.Form.overlayPrefix() + opaqueXattr
	if err := unix.Fsetxattr(fd, name, []byte("y"), 0); err != nil {
		return failed("setxattr "+name, real, err)
	}
	a.opaque[real] = true
	return nil
}

// remove takes away what lower layers have under a name, and leaves what this
// layer wrote.
func (a *applier) remove(p *dir, base string) error {
	real := join(p.real, base)
	if a.own.has(real) {
		return nil
	}
	err := unix.Unlinkat(p.fd, base, 0)
	if errors.Is(err, unix.EISDIR) {
		return a.removeLower(p.fd, base, real, p)
	}
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return failed("unlink", real, err)
	}
	a.forget(p)
	a.record(Entry{Path: real}, nil)
	return nil
}

// removeLower removes a directory, but not what this layer wrote below it.
func (a *applier) removeLower(up int, base, real string, keep *dir) error {
	if err := a.removeBelow(up, base, real, keep); err != nil {
		return err
	}
	if a.late[real].explicit {
		return nil
	}
	err := unix.Unlinkat(up, base, unix.AT_REMOVEDIR)
	switch {
	case err == nil:
		a.forget(keep)
		a.record(Entry{Path: real}, nil)
		return nil
	case errors.Is(err, unix.ENOTEMPTY):
		return a.impliedAttributes(up, base, real)
	}
	return failed("rmdir", real, err)
}

func (a *applier) removeBelow(up int, base, real string, keep *dir) error {
	if !a.own.clear(real) {
		return nil
	}
	fd, err := a.openForRemoval(up, base)
	if err != nil {
		return failed("openat", real, err)
	}
	defer unix.Close(fd)
	if err := a.keepTimes(fd, real); err != nil {
		return err
	}
	return eachName(fd, func(name string) error {
		child := join(real, name)
		if a.own.has(child) {
			return nil
		}
		err := unix.Unlinkat(fd, name, 0)
		if errors.Is(err, unix.EISDIR) {
			return a.removeLower(fd, name, child, keep)
		}
		if err != nil {
			return failed("unlink", child, err)
		}
		a.forget(keep)
		a.record(Entry{Path: child}, nil)
		return nil
	})
}
