// SPDX-License-Identifier: Apache-2.0

// Package inroot resolves paths inside a root filesystem that nobody trusts.
// Links, absolute ones and ".." included, mean what they would mean after a
// chroot: nothing leads out. Files are handled by descriptor (O_PATH), so that
// what was checked is what is used; a string from Resolve is only good for
// showing, or for another look-up in the same root.
//
// It needs openat2(2), Linux 5.6; there is no fallback.
//
//	root, err := inroot.Open(rootfs)
//	defer root.Close()
//	passwd, err := root.ReadFile("/etc/passwd", 10<<20)
package inroot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/internal/openat2"
)

// maxLinks is the kernel's MAXSYMLINKS.
const maxLinks = 40

// Root is a directory that look-ups cannot leave; Close it.
type Root struct {
	dir *os.File
}

// Open returns the directory at path, on the host, as a root. Links in path
// are followed.
func Open(path string) (*Root, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot open root %q: %w", path, err)
	}
	return New(os.NewFile(uintptr(fd), path)), nil
}

// New takes ownership of dir, an open directory or O_PATH descriptor of one.
func New(dir *os.File) *Root { return &Root{dir} }

// File returns the root's own descriptor, which stays the root's.
func (r *Root) File() *os.File { return r.dir }

// Close gives the descriptor back.
func (r *Root) Close() error { return r.dir.Close() }

// Open opens what is at name with the given open(2) flags; O_CLOEXEC is added.
// Use O_PATH to look at a file: opening a device or FIFO has effects. A last
// component that is a link is followed unless flags hold O_NOFOLLOW.
func (r *Root) Open(name string, flags int) (*os.File, error) {
	fd, err := r.open(name, flags, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open %q in the root: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (r *Root) open(name string, flags int, resolve uint64) (int, error) {
	return beneath(int(r.dir.Fd()), inside(name), flags, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS|resolve)
}

// Stat returns the attributes of what is at name, following links.
func (r *Root) Stat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	fd, err := r.open(name, unix.O_PATH, 0)
	if err == nil {
		err = unix.Fstat(fd, &st)
		_ = unix.Close(fd) // only looked at
	}
	if err != nil {
		return st, fmt.Errorf("cannot look at %q in the root: %w", name, err)
	}
	return st, nil
}

// ReadFile returns the contents of the regular file at name, or EFBIG if it is
// longer than limit.
func (r *Root) ReadFile(name string, limit int) ([]byte, error) {
	data, err := r.read(name, limit+1)
	if err == nil && len(data) > limit {
		err = unix.EFBIG
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %q in the root: %w", name, err)
	}
	return data, nil
}

// ReadHead returns the first n bytes of the regular file at name, or all of it
// if it is shorter.
func (r *Root) ReadHead(name string, n int) ([]byte, error) {
	data, err := r.read(name, n)
	if err != nil {
		return nil, fmt.Errorf("cannot read %q in the root: %w", name, err)
	}
	return data, nil
}

func (r *Root) read(name string, limit int) ([]byte, error) {
	fd, err := r.open(name, unix.O_PATH, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	f, err := reopen(fd)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(limit)))
}

// reopen opens the file behind an O_PATH descriptor for reading, once it is
// known to be a regular one: opening a tape or a watchdog has effects.
func reopen(fd int) (*os.File, error) {
	var before, after unix.Stat_t
	if err := unix.Fstat(fd, &before); err != nil {
		return nil, err
	}
	switch before.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		return nil, unix.EISDIR
	default:
		return nil, errors.New("not a regular file")
	}
	n, err := retry(func() (int, error) {
		return unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(n), "file in the root")
	// Something mounted over our /proc would show here.
	err = unix.Fstat(n, &after)
	if err == nil && (before.Dev != after.Dev || before.Ino != after.Ino) {
		err = errors.New("/proc/self/fd leads elsewhere")
	}
	if err != nil {
		_ = f.Close() // not the file that was asked for
		return nil, err
	}
	return f, nil
}

// MkdirAll makes the directory name and its missing parents with the given mode
// &^ umask and returns an O_PATH descriptor of it. Dangling links are followed
// inside the root: their targets are made.
func (r *Root) MkdirAll(name string, mode uint32) (*os.File, error) {
	real, _, err := r.Resolve(name)
	if err != nil {
		return nil, err
	}
	fd, err := r.mkdirAll(real, mode)
	if err != nil {
		return nil, fmt.Errorf("cannot make directory %q in the root: %w", name, err)
	}
	return os.NewFile(uintptr(fd), real), nil
}

// mkdirAll goes down a path without links, one verified step at a time: what
// turns into a link meanwhile is ELOOP.
func (r *Root) mkdirAll(real string, mode uint32) (int, error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW
	const resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS
	fd, err := beneath(int(r.dir.Fd()), ".", flags, resolve)
	if err != nil {
		return -1, err
	}
	for part := range strings.SplitSeq(strings.Trim(inside(real), "/"), "/") {
		next, err := beneath(fd, part, flags, resolve)
		if errors.Is(err, unix.ENOENT) {
			// EEXIST: somebody was faster; the open tells what it is.
			if err = unix.Mkdirat(fd, part, mode); err == nil || errors.Is(err, unix.EEXIST) {
				next, err = beneath(fd, part, flags, resolve)
			}
		}
		_ = unix.Close(fd) // only looked at
		if err != nil {
			return -1, err
		}
		fd = next
	}
	return fd, nil
}

// Create makes sure that there is a file at name, to mount something on, and
// returns an O_PATH descriptor of it: an existing file of any kind but a
// directory, or a new empty one with the given mode &^ umask. Missing parents
// are made with mode 0755.
func (r *Root) Create(name string, mode uint32) (*os.File, error) {
	real, _, err := r.Resolve(name)
	if err != nil {
		return nil, err
	}
	fd, err := r.create(real, mode)
	if err != nil {
		return nil, fmt.Errorf("cannot make file %q in the root: %w", name, err)
	}
	return os.NewFile(uintptr(fd), real), nil
}

func (r *Root) create(real string, mode uint32) (int, error) {
	dir, base := path.Split(real)
	if base == "" {
		return -1, unix.EISDIR
	}
	parent, err := r.mkdirAll(dir, 0o755)
	if err != nil {
		return -1, err
	}
	defer unix.Close(parent)
	const resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS
	fd, err := retry(func() (int, error) {
		return unix.Openat(parent, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	})
	if err == nil {
		_ = unix.Close(fd) // empty, nothing to lose
	} else if !errors.Is(err, unix.EEXIST) {
		return -1, err
	}
	if fd, err = beneath(parent, base, unix.O_PATH|unix.O_NOFOLLOW, resolve); err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			err = unix.EISDIR
		case unix.S_IFLNK:
			err = unix.ELOOP // it became one after Resolve
		}
	}
	if err != nil {
		_ = unix.Close(fd) // not what was asked for
		return -1, err
	}
	return fd, nil
}

// inside turns a path into one for openat2: not empty, and never looked at by
// Clean, as ".." after a link is for the kernel to resolve.
func inside(name string) string {
	if name = strings.TrimLeft(name, "/"); name != "" {
		return name
	}
	return "."
}

func beneath(dirfd int, name string, flags int, resolve uint64) (int, error) {
	return openat2.Open(dirfd, name, &unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: resolve})
}

func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
