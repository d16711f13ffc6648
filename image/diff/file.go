// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"berth/internal/openat2"
)

const (
	// maxPath is what one system call can reach, PATH_MAX without its NUL. What
	// is deeper could not be unpacked by others either.
	maxPath = 4095
	// maxRetries bounds the reading of what changes meanwhile.
	maxRetries = 128
)

// FileID is device and number of an inode: a file, as long as it exists.
type FileID struct{ Dev, Ino uint64 }

// Meta is what a file system says of a file, but for its names and xattrs.
type Meta struct {
	Mode     uint32 // S_IFMT and permission bits
	UID, GID uint32
	Rdev     uint64 // of devices
	Size     int64  // of regular files, in bytes
	MTime    unix.Timespec
	Target   string // of symbolic links
	Links    uint64 // how many names the file has, in this layer or not
	Inode    FileID // the same for names of one file, if Links > 1
}

// IsDir says whether this is a directory.
func (m Meta) IsDir() bool { return m.Mode&unix.S_IFMT == unix.S_IFDIR }

// isRegular says whether there are contents to be read.
func (m Meta) isRegular() bool { return m.Mode&unix.S_IFMT == unix.S_IFREG }

// String is mode, owner, and what else the type has.
func (m Meta) String() string {
	s := fmt.Sprintf("%07o %d:%d", m.Mode, m.UID, m.GID)
	switch m.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		s += fmt.Sprintf(" %d", m.Size)
	case unix.S_IFLNK:
		s += fmt.Sprintf(" →%q", m.Target)
	case unix.S_IFCHR, unix.S_IFBLK:
		s += fmt.Sprintf(" %d,%d", unix.Major(m.Rdev), unix.Minor(m.Rdev))
	}
	return s
}

// unfit says why a file cannot be in a layer, "" if it can.
func (m Meta) unfit() string {
	switch m.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK, unix.S_IFIFO, unix.S_IFBLK:
		return ""
	case unix.S_IFCHR:
		if m.Rdev != 0 {
			return ""
		}
		return "character device 0:0, a whiteout of overlayfs"
	case unix.S_IFSOCK:
		return "socket"
	}
	return fmt.Sprintf("file of type %#o", m.Mode&unix.S_IFMT)
}

// equal compares what a layer would say, times aside if so wanted.
func (m Meta) equal(n Meta, ignoreTime bool) bool {
	return m.Mode == n.Mode && m.UID == n.UID && m.GID == n.GID && m.Rdev == n.Rdev && m.Size == n.Size &&
		m.Target == n.Target && (ignoreTime || m.MTime == n.MTime)
}

// file is what one descriptor says.
type file struct {
	Meta
	ctime  unix.Timespec
	xattrs map[string]string // but for overlayfs' own
	marks  map[string]string // overlayfs' own, without their prefix
}

func meta(st *unix.Stat_t) Meta {
	m := Meta{
		Mode: st.Mode, UID: st.Uid, GID: st.Gid, MTime: st.Mtim,
		Links: uint64(st.Nlink), Inode: FileID{uint64(st.Dev), st.Ino},
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		m.Size = st.Size
	case unix.S_IFCHR, unix.S_IFBLK:
		m.Rdev = uint64(st.Rdev)
	case unix.S_IFDIR:
		m.Links = 1 // counts other things
	}
	return m
}

// look reads all of a file's metadata from a descriptor, O_PATH or not.
func look(fd int, k marks) (*file, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	f := &file{Meta: meta(&st), ctime: st.Ctim}
	if f.Mode&unix.S_IFMT == unix.S_IFLNK {
		buf := make([]byte, maxPath+1)
		n, err := unix.Readlinkat(fd, "", buf)
		if err != nil {
			return nil, os.NewSyscallError("readlinkat", err)
		}
		f.Target = string(buf[:n])
	}
	var err error
	f.xattrs, f.marks, err = readXattrs(fd, k)
	return f, err
}

// lookAt looks at a name of a directory.
func lookAt(dir *os.File, name string, k marks) (*file, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(int(dir.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, os.NewSyscallError("openat", err)
	}
	defer unix.Close(fd)
	return look(fd, k)
}

// lookBelow looks at a path below root; a link on the way is ELOOP.
func lookBelow(root *os.File, p string, k marks) (*file, error) {
	fd, err := openBelow(root, p)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return look(fd, k)
}

// openBelow opens a path below root with O_PATH. It may end in a link, which is
// not followed, openat2(2).
func openBelow(root *os.File, p string) (int, error) {
	if p == "" {
		p = "."
	}
	return openAt(int(root.Fd()), p, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
}

func openAt(at int, p string, how *unix.OpenHow) (int, error) {
	fd, err := openat2.Open(at, p, how)
	return fd, os.NewSyscallError("openat2", err)
}

func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}

// procPath names what is behind a descriptor, for calls that take no O_PATH one.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// openContents opens the regular file that is at p below root now. Close it.
// It never opens anything else: a fifo would wait, a device may act.
func openContents(root *os.File, p string) (*os.File, Meta, error) {
	fd, err := openBelow(root, p)
	if gone(err) {
		return nil, Meta{}, ErrChanged
	}
	if err != nil {
		return nil, Meta{}, err
	}
	defer unix.Close(fd)
	var before, after unix.Stat_t
	if err := unix.Fstat(fd, &before); err != nil {
		return nil, Meta{}, os.NewSyscallError("fstat", err)
	}
	if before.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, Meta{}, ErrChanged
	}
	n, err := retry(func() (int, error) { return unix.Open(procPath(fd), unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, Meta{}, os.NewSyscallError("open", err)
	}
	f := os.NewFile(uintptr(n), p)
	err = unix.Fstat(n, &after)
	if err == nil && (before.Dev != after.Dev || before.Ino != after.Ino) {
		err = errors.New("/proc/self/fd leads elsewhere")
	}
	if err != nil {
		_ = f.Close() // not the file that was asked for
		return nil, Meta{}, err
	}
	return f, meta(&after), nil
}

// openDir opens a directory for reading; name "." is dir itself, which may be
// an O_PATH descriptor.
func openDir(dir *os.File, name string) (*os.File, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, os.NewSyscallError("openat", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// names lists a directory in the order of bytes.
func names(dir *os.File) ([]string, error) {
	list, err := dir.Readdirnames(-1)
	slices.Sort(list)
	return list, err
}

// gone says whether an error means that a name is not there any more, or is not
// the directory any more that it was.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// sum is the sha256 of a file's contents.
func sum(root *os.File, p string) (Sum, error) {
	f, _, err := openContents(root, p)
	if err != nil {
		return Sum{}, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return Sum{}, err
	}
	return Sum(h.Sum(nil)), nil
}
