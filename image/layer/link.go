// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"archive/tar"
	"errors"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// hardLink makes another name of a file. The target's last component is not
// followed: a link to a symbolic link is one more name of it. Attributes of the
// entry are those of the target's own entry, and not applied.
func (a *applier) hardLink(name, to string) error {
	what, to, err := parseName(to)
	if err != nil || what != change || to == "" {
		return refuse("a hard link to a name that no file can have")
	}
	if err := a.checkDepth(to); err != nil {
		return err
	}
	toDir, toBase := split(to)
	up, base := split(name)
	// The name's parent first: making it may replace a file, the target even.
	if _, err := a.parent(up, true); err != nil {
		return err
	}
	from, err := a.linkTarget(toDir, toBase)
	if err != nil {
		return err
	}
	p, err := a.parent(up, true)
	if err != nil {
		return err
	}
	err = unix.Linkat(from.fd, toBase, p.fd, base, 0)
	if errors.Is(err, unix.EEXIST) {
		if same, err := sameFile(from.fd, toBase, p.fd, base); same || err != nil {
			return err
		}
		if err := a.clear(p, base); err != nil {
			return err
		}
		// That may have been a directory above the target.
		if from, err = a.linkTarget(toDir, toBase); err != nil {
			return err
		}
		err = unix.Linkat(from.fd, toBase, p.fd, base, 0)
	}
	real := join(p.real, base)
	if err != nil {
		return failed("link", real, err)
	}
	if a.own != nil {
		a.own.add(real)
	}
	a.record(Entry{Path: real, Type: tar.TypeLink, Link: join(from.real, toBase)}, nil)
	return nil
}

func sameFile(dir1 int, name1 string, dir2 int, name2 string) (bool, error) {
	st1, err := lstatAt(dir1, name1)
	if err != nil {
		return false, failed("fstatat", name1, err)
	}
	st2, err := lstatAt(dir2, name2)
	if err != nil {
		return false, failed("fstatat", name2, err)
	}
	return st1.Dev == st2.Dev && st1.Ino == st2.Ino, nil
}

// linkTarget is the directory with the target, in the layer that is written
// to: what only a layer below has is copied up.
func (a *applier) linkTarget(up, base string) (*dir, error) {
	missing := refuse("a hard link to %s, which is not there", quote(join(up, base)))
	p, err := a.parent(up, false)
	if errors.Is(err, unix.ENOENT) {
		return nil, missing
	}
	if err != nil {
		return nil, err
	}
	st, err := lstatAt(p.fd, base)
	if errors.Is(err, unix.ENOENT) && len(a.layers) > 1 {
		if st, err = a.copyUp(p, base); err == nil {
			return p, nil
		}
	}
	switch {
	case errors.Is(err, unix.ENOENT), err == nil && isWhiteout(&st):
		return nil, missing
	case err != nil:
		return nil, failed("fstatat", join(up, base), err)
	case kindOf(&st) == unix.S_IFDIR:
		return nil, refuse("a hard link to a directory")
	}
	return p, nil
}

// copyUp copies a file of a layer below into the directory that is written to,
// as overlayfs itself does before it makes a link.
func (a *applier) copyUp(p *dir, base string) (st unix.Stat_t, err error) {
	at, err := a.find(p.real)
	if err != nil {
		return st, err
	}
	f, err := a.lookup(at, base)
	if err != nil {
		return st, err
	}
	if f.first < 0 {
		return st, unix.ENOENT
	}
	if st, _, err = a.look(f.first, f.real); err != nil {
		return st, failed("openat2", f.real, err)
	}
	attr := a.attributesOf(&st)
	switch kindOf(&st) {
	case unix.S_IFDIR:
		return st, refuse("a hard link to a directory")
	case unix.S_IFLNK:
		return st, a.symlink(p, base, f.link, attr)
	case unix.S_IFREG:
		return st, a.copyFile(p, base, f, &st, attr)
	}
	h := &tar.Header{Typeflag: map[uint32]byte{unix.S_IFIFO: tar.TypeFifo, unix.S_IFCHR: tar.TypeChar, unix.S_IFBLK: tar.TypeBlock}[kindOf(&st)]}
	return st, a.node(p, base, h, kindOf(&st), st.Rdev, attr)
}

// find walks to a directory of the merged view that has no links on the way.
func (a *applier) find(real string) (place, error) {
	at := a.root()
	for rest := real; rest != ""; {
		part, after, _ := strings.Cut(rest, "/")
		f, err := a.lookup(at, part)
		if err != nil {
			return at, err
		}
		at, rest = f.place, after
	}
	return at, nil
}

func (a *applier) copyFile(p *dir, base string, f found, st *unix.Stat_t, at *attributes) error {
	from, err := a.open(f.first, f.real, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		return failed("openat2", f.real, err)
	}
	defer unix.Close(from)
	names, err := listXattrs(from)
	if err != nil {
		return failed("listxattr", f.real, err)
	}
	for _, name := range names {
		if value, err := getXattr(from, name); err == nil && !isOverlayState(name) && name != "security.selinux" {
			at.xattrs = append(at.xattrs, xattr{name, value})
		}
	}
	// Zeros of a file with holes become holes again.
	h := &tar.Header{Typeflag: tar.TypeReg, Size: st.Size}
	if st.Blocks*512 < st.Size {
		h.Typeflag = tar.TypeGNUSparse
	}
	return a.file(p, base, h, reader(from), at)
}

// reader reads from a descriptor that stays the caller's.
type reader int

func (r reader) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(r), b)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}
