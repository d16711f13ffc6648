// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"archive/tar"
	"errors"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// attributes are what an entry says about its inode.
type attributes struct {
	mode         uint32 // permission bits, setuid, setgid, sticky
	owner        owner  // as the layer has it
	host         owner  // as the file gets it
	atime, mtime unix.Timespec
	xattrs       []xattr
}

// lateness is what a directory gets when all its entries are there: times, for
// entries change them; a mode that would lock us out; and the access list that
// new files would inherit.
type lateness struct {
	atime, mtime unix.Timespec
	mode         uint32
	setMode      bool
	acl          []byte // of defaultACL, nil for none
	explicit     bool   // the layer has an entry for it
}

// keepTimes remembers the times of a directory that is about to be changed.
func (a *applier) keepTimes(fd int, real string) error {
	if _, ok := a.late[real]; ok {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return failed("fstat", real, err)
	}
	a.late[real] = lateness{atime: st.Atim, mtime: st.Mtim}
	return nil
}

// keep remembers a mode that is about to be changed for a while.
func (a *applier) keep(real string, st *unix.Stat_t) {
	l, ok := a.late[real]
	if !ok {
		l = lateness{atime: st.Atim, mtime: st.Mtim}
	}
	if !l.setMode {
		l.mode, l.setMode = st.Mode&0o7777, true
	}
	a.late[real] = l
}

// directory applies a directory's entry. One that is there keeps what is in it
// and gets the new attributes; image-spec layer.md, "Change Types".
func (a *applier) directory(p *dir, base string, at *attributes, name string) error {
	real := join(p.real, base)
	if a.o.KeepDirlinks {
		if leads, exists, err := a.resolve(name); err == nil && exists && leads != real {
			d, err := a.parent(name, false)
			if err != nil {
				return err
			}
			return a.directoryAttributes(d.fd, ".", d.real, at, false)
		}
	}
	fresh, replaced := true, false
	err := unix.Mkdirat(p.fd, base, at.mode&0o777|0o700)
	if errors.Is(err, unix.EEXIST) {
		var st unix.Stat_t
		if st, err = lstatAt(p.fd, base); err == nil && kindOf(&st) == unix.S_IFDIR {
			fresh = false
		} else if err == nil {
			if err = a.clear(p, base); err == nil {
				replaced = true
				err = unix.Mkdirat(p.fd, base, at.mode&0o777|0o700)
			}
		}
	}
	if err != nil {
		return failed("mkdir", real, err)
	}
	if err := a.directoryAttributes(p.fd, base, real, at, fresh); err != nil {
		return err
	}
	if replaced {
		// What this layer had put here before hid the lower layers' directory.
		return a.setOpaque(p.fd, base, real)
	}
	return nil
}

// directoryAttributes: owner, mode, xattrs; times are set at the end.
func (a *applier) directoryAttributes(up int, base, real string, at *attributes, fresh bool) error {
	fd, err := openDirAt(up, base)
	if errors.Is(err, unix.EACCES) && a.o.Rootless {
		if err = chmodAt(up, base, 0o700); err == nil {
			fd, err = openDirAt(up, base)
		}
	}
	if err != nil {
		return failed("openat", real, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return failed("fstat", real, err)
	}
	if err := a.chown(fd, &st, at, real); err != nil {
		return err
	}
	l := lateness{atime: at.atime, mtime: at.mtime, explicit: true}
	now := at.mode
	if a.o.Rootless && now&0o700 != 0o700 {
		now |= 0o700
		l.mode, l.setMode = at.mode, true
	}
	if st.Mode&0o7777 != now {
		if err := unix.Fchmod(fd, now); err != nil {
			return failed("fchmod", real, err)
		}
	}
	if !fresh {
		if err := a.dropXattrs(fd, real, at.xattrs); err != nil {
			return err
		}
	}
	if i := slices.IndexFunc(at.xattrs, func(x xattr) bool { return x.name == defaultACL }); i >= 0 {
		l.acl = at.xattrs[i].value
		at.xattrs = slices.Delete(slices.Clone(at.xattrs), i, i+1)
	}
	if err := a.setXattrs(target{fd: fd, real: real}, a.withOwner(at)); err != nil {
		return err
	}
	a.late[real] = l
	a.record(Entry{Path: real, Type: tar.TypeDir, Inode: st.Ino}, at)
	return nil
}

// impliedAttributes are those of a directory that no layer describes.
func (a *applier) impliedAttributes(up int, base, real string) error {
	at := &attributes{mode: 0o755}
	if !a.o.Rootless {
		var err error
		if at.host, err = a.o.host(at.owner); err != nil {
			return err
		}
	}
	if err := a.directoryAttributes(up, base, real, at, false); err != nil {
		return err
	}
	l := a.late[real]
	l.explicit = false
	a.late[real] = l
	return nil
}

// copyDirAttributes: overlayfs shows the topmost directory's attributes, so
// that one made only as a parent has to repeat those below it.
func (a *applier) copyDirAttributes(up int, base string, f found) error {
	from, err := a.open(f.layers[0], f.real, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return failed("openat2", f.real, err)
	}
	defer unix.Close(from)
	fd, err := openDirAt(up, base)
	if err != nil {
		return failed("openat", f.real, err)
	}
	defer unix.Close(fd)
	return a.copyAttributes(fd, from, f.real)
}

// copyAttributes gives the directory fd what from has.
func (a *applier) copyAttributes(fd, from int, real string) error {
	var st, old unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return failed("fstat", real, err)
	}
	if err := unix.Fstat(fd, &old); err != nil {
		return failed("fstat", real, err)
	}
	at := a.attributesOf(&st)
	if err := a.chown(fd, &old, at, real); err != nil {
		return err
	}
	l := lateness{atime: st.Atim, mtime: st.Mtim}
	now := at.mode
	if a.o.Rootless && now&0o700 != 0o700 {
		now |= 0o700
		l.mode, l.setMode = at.mode, true
	}
	if err := unix.Fchmod(fd, now); err != nil {
		return failed("fchmod", real, err)
	}
	if err := a.copyXattrs(target{fd: fd, real: real}, from); err != nil {
		return err
	}
	a.late[real] = l
	a.record(Entry{Path: real, Type: tar.TypeDir, Inode: old.Ino}, at)
	return nil
}

// attributesOf are those of a file that is there.
func (a *applier) attributesOf(st *unix.Stat_t) *attributes {
	at := &attributes{mode: st.Mode & 0o7777, host: owner{st.Uid, st.Gid}, atime: st.Atim, mtime: st.Mtim}
	if !a.o.Rootless { // else the owner is in an xattr
		at.owner = a.o.container(at.host)
	}
	return at
}

// finish gives the directories what they get last; those below others first,
// as they can be locked then.
func (a *applier) finish() error {
	if err := a.hideBelowRoot(); err != nil {
		return err
	}
	if err := a.finishRoot(); err != nil {
		return err
	}
	a.forget(nil)
	if err := a.pruneWhiteouts(); err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(a.late))
	slices.Reverse(names)
	if err := a.dropHidden(names); err != nil {
		return err
	}
	for _, real := range names {
		if err := a.finishDirectory(real, a.late[real]); err != nil {
			return err
		}
	}
	return nil
}

// finishRoot: an overlay shows the attributes of the topmost layer's root.
func (a *applier) finishRoot() error {
	if a.o.Form == Plain || a.late[""].explicit {
		return nil
	}
	if len(a.layers) == 1 {
		return a.impliedAttributes(a.top.fd, ".", "")
	}
	return a.copyDirAttributes(a.top.fd, ".", found{place: place{layers: []int{1}}})
}

func (a *applier) finishDirectory(real string, l lateness) error {
	flags := unix.O_PATH | unix.O_DIRECTORY
	if l.acl != nil {
		flags = unix.O_RDONLY | unix.O_DIRECTORY
	}
	fd, err := openBelow(a.top.fd, real, flags)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil // removed since
	}
	if err != nil {
		return failed("openat2", real, err)
	}
	defer unix.Close(fd)
	if l.acl != nil {
		if err := a.setXattrs(target{fd: fd, real: real}, []xattr{{defaultACL, l.acl}}); err != nil {
			return err
		}
	}
	times := []unix.Timespec{l.atime, l.mtime}
	if err := unix.UtimesNanoAt(fd, ".", times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return failed("utimensat", real, err)
	}
	if l.setMode {
		if err := chmodAt(fd, ".", l.mode); err != nil {
			return failed("fchmodat", real, err)
		}
	}
	return nil
}
