// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// cachedDirs bounds the descriptors of parents that are kept: an archive
	// goes through a tree in order, so that few are in use.
	cachedDirs = 64
	// maxLinks is the kernel's MAXSYMLINKS.
	maxLinks = 40
	// maxSteps bounds the work for one path, whose links may lead through long
	// paths again and again.
	maxSteps = 512
)

// dir is a directory of the tree that is written to; the cache owns it.
type dir struct {
	fd   int    // O_PATH
	real string // its path, links resolved
	used uint64
}

// place is a path without links in the merged view: the layers that have a
// directory there, 0 for the one that is written to. None: there is nothing.
type place struct {
	real   string
	layers []int
}

// found is what lookup saw.
type found struct {
	place
	upper uint32 // file type in the layer that is written to, 0 for nothing
	white bool   // a whiteout is there
	first int    // the layer that has it, -1 for none
	link  string // where a symbolic link leads
}

// parent returns the directory with this clean path. What is missing is made if
// create says so, else the error is ENOENT. The next but one call of parent may
// close what this one returned.
func (a *applier) parent(name string, create bool) (*dir, error) {
	a.clock++
	if d, ok := a.cache[name]; ok {
		d.used = a.clock
		return d, nil
	}
	if name == "" {
		return a.top, nil
	}
	real := name
	fd, err := a.openDir(name)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		var exists bool
		if real, exists, err = a.resolve(name); err != nil {
			return nil, err
		}
		if !exists && !create {
			return nil, failed("openat2", name, unix.ENOENT)
		}
		if err = a.mkdirAll(real); err != nil {
			return nil, err
		}
		fd, err = a.openDir(real)
	}
	if err != nil {
		return nil, failed("openat2", name, err)
	}
	if err := a.keepTimes(fd, real); err != nil {
		_ = unix.Close(fd) // only looked at
		return nil, err
	}
	a.evict()
	d := &dir{fd: fd, real: real, used: a.clock}
	a.cache[name] = d
	return d, nil
}

// evict closes the directory that was not used for longest, if there are many.
func (a *applier) evict() {
	if len(a.cache) < cachedDirs {
		return
	}
	var oldest string
	age := ^uint64(0)
	for name, d := range a.cache {
		if d.used < age {
			oldest, age = name, d.used
		}
	}
	_ = unix.Close(a.cache[oldest].fd) // O_PATH: nothing to lose
	delete(a.cache, oldest)
}

// forget drops all directories but one from the cache: a directory or link was
// removed, and paths may lead elsewhere now.
func (a *applier) forget(keep *dir) {
	for name, d := range a.cache {
		if d != keep {
			_ = unix.Close(d.fd) // O_PATH: nothing to lose
			delete(a.cache, name)
		}
	}
}

// open opens a path without links in one of the layers. A rootless owner may
// have taken its own permissions away in an earlier layer.
func (a *applier) open(layer int, real string, flags int) (int, error) {
	fd, err := openBelow(a.layers[layer], real, flags)
	if layer == 0 && a.o.Rootless && errors.Is(err, unix.EACCES) {
		if err = a.unlock(real); err == nil {
			fd, err = openBelow(a.layers[0], real, flags)
		}
	}
	return fd, err
}

// openDir opens a directory of the tree to make entries in it.
func (a *applier) openDir(real string) (int, error) {
	fd, err := a.open(0, real, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil || !a.o.Rootless || real == "" {
		return fd, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&0o700 != 0o700 {
		err = a.unlock(real)
	}
	if err != nil {
		_ = unix.Close(fd) // O_PATH
		return -1, err
	}
	return fd, nil
}

// unlock gives us the permissions on all directories of a path, until the end.
func (a *applier) unlock(real string) error {
	at := ""
	for part := range strings.SplitSeq(real, "/") {
		up, err := openBelow(a.layers[0], at, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return err
		}
		at = join(at, part)
		st, err := lstatAt(up, part)
		if err == nil && kindOf(&st) == unix.S_IFDIR && st.Mode&0o700 != 0o700 {
			a.keep(at, &st)
			err = chmodAt(up, part, st.Mode&0o7777|0o700)
		}
		_ = unix.Close(up) // O_PATH
		if err != nil || kindOf(&st) != unix.S_IFDIR {
			return err
		}
	}
	return nil
}

// resolve expands the links in a path in the merged view. Like a look-up after
// a chroot it never leaves the root; unlike one it goes on where something is
// missing, or is no directory: that is to be made.
func (a *applier) resolve(name string) (real string, exists bool, err error) {
	stack := []place{a.root()}
	links := 0
	for steps, rest := 0, name; rest != ""; steps++ {
		if steps > maxSteps {
			return "", false, overLimit("more than %d steps to the parent directory", maxSteps)
		}
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		switch part {
		case "", ".":
			continue
		case "..":
			stack = stack[:max(len(stack)-1, 1)]
			continue
		}
		f, err := a.lookup(stack[len(stack)-1], part)
		if err != nil {
			return "", false, err
		}
		if f.link == "" {
			stack = append(stack, f.place)
			continue
		}
		if links++; links > maxLinks {
			return "", false, refuse("too many links on the way")
		}
		if f.link[0] == '/' {
			stack = stack[:1]
		}
		rest = f.link + "/" + rest
	}
	end := stack[len(stack)-1]
	return end.real, end.layers != nil, nil
}

func (a *applier) root() place {
	all := make([]int, len(a.layers))
	for i := range all {
		all[i] = i
	}
	return place{layers: all}
}

// lookup finds a name in a directory as overlayfs would: the first layer that
// has it decides, and directories are merged down to a whiteout, an opaque one
// or something that is none.
func (a *applier) lookup(at place, name string) (found, error) {
	f := found{place: place{real: join(at.real, name)}, first: -1}
	for _, i := range at.layers {
		st, link, err := a.look(i, f.real)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return f, failed("openat2", f.real, err)
		}
		if i == 0 {
			f.upper, f.white = kindOf(&st), isWhiteout(&st)
		}
		if isWhiteout(&st) && a.o.Form != Plain {
			return f, nil
		}
		if f.first < 0 {
			f.first, f.link = i, link
		}
		if kindOf(&st) != unix.S_IFDIR {
			return f, nil
		}
		f.layers = append(f.layers, i)
		if len(a.layers) > 1 {
			opaque, err := a.isOpaque(i, f.real)
			if err != nil || opaque {
				return f, err
			}
		}
	}
	return f, nil
}

// look is lstat and readlink, without following anything.
func (a *applier) look(layer int, real string) (st unix.Stat_t, link string, err error) {
	fd, err := a.open(layer, real, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return st, "", err
	}
	defer unix.Close(fd)
	if err = unix.Fstat(fd, &st); err == nil && kindOf(&st) == unix.S_IFLNK {
		link, err = readlinkAt(fd, "")
	}
	return st, link, err
}

func (a *applier) isOpaque(layer int, real string) (bool, error) {
	fd, err := a.open(layer, real, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return false, failed("openat2", real, err)
	}
	defer unix.Close(fd)
	var value [1]byte
	n, err := unix.Fgetxattr(fd, a.o.Form.overlayPrefix()+opaqueXattr, value[:])
	return err == nil && n == 1 && value[0] == 'y', nil
}

// mkdirAll makes a path that has no links, and what it lacks before it: with
// the attributes of the lower layers' directory, else as root's, 0755 and of
// 1970, which does not depend on the time of unpacking.
func (a *applier) mkdirAll(real string) error {
	if err := a.checkDepth(real); err != nil {
		return err
	}
	at := a.root()
	for part := range strings.SplitSeq(real, "/") {
		f, err := a.lookup(at, part)
		if err != nil {
			return err
		}
		if len(f.layers) == 0 || f.layers[0] != 0 {
			if err := a.mkdirImplied(at.real, part, f); err != nil {
				return err
			}
			f.layers = append([]int{0}, f.layers...)
		}
		at = f.place
	}
	return nil
}

func (a *applier) mkdirImplied(up, base string, f found) error {
	fd, err := a.openDir(up)
	if err != nil {
		return failed("openat2", up, err)
	}
	defer unix.Close(fd)
	if err := a.keepTimes(fd, up); err != nil {
		return err
	}
	if f.upper != 0 {
		if err := unix.Unlinkat(fd, base, 0); err != nil {
			return failed("unlink", f.real, err)
		}
		a.forget(nil)
	}
	if err := unix.Mkdirat(fd, base, 0o755); err != nil {
		return failed("mkdir", f.real, err)
	}
	if len(f.layers) > 0 {
		err = a.copyDirAttributes(fd, base, f)
	} else {
		err = a.impliedAttributes(fd, base, f.real)
	}
	if err == nil && f.upper != 0 {
		err = a.setOpaque(fd, base, f.real)
	}
	return err
}

func (a *applier) checkDepth(real string) error {
	if limit := a.o.Limits.Depth; limit > 0 && depth(real) > limit {
		return overLimit("%d directories deep; the limit is %d", depth(real), limit)
	}
	return nil
}
