// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const socketName = "attach"

// bind makes the socket in the bundle and returns its descriptor, listening and
// non-blocking, which belongs to the caller.
func bind(bundle string) (int, error) {
	dir, err := unix.Open(bundle, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	if err := unix.Unlinkat(dir, socketName, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	// unix_bind gives the file the mode of the socket's inode: it never has another one.
	err = unix.Fchmod(fd, 0o700)
	if err == nil {
		// By descriptor, as a bundle's path may exceed the 108 bytes of sun_path.
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(dir) + "/" + socketName})
	}
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		_ = unix.Close(fd) // never used
		return -1, err
	}
	return fd, nil
}

// link is the symbolic link dir/name to a bundle.
type link struct{ dir, name, bundle string }

// makeLink replaces a link of that name, but nothing else: a directory stays.
func makeLink(dir, name, bundle string) (*link, error) {
	if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
		return nil, fmt.Errorf("cannot link the attach socket: %q is not a file name", name)
	}
	bundle, err := filepath.Abs(bundle)
	if err != nil {
		return nil, fmt.Errorf("cannot link the attach socket: %w", err)
	}
	l := &link{dir, name, bundle}
	err = l.within(func(fd int) error {
		if err := unix.Unlinkat(fd, name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
		return unix.Symlinkat(bundle, fd, name)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot link %q to %q: %w", filepath.Join(dir, name), bundle, err)
	}
	return l, nil
}

// remove unlinks it if it still leads to our bundle.
func (l *link) remove() error {
	err := l.within(func(fd int) error {
		target := make([]byte, len(l.bundle)+1)
		n, err := unix.Readlinkat(fd, l.name, target)
		if err != nil || string(target[:n]) != l.bundle {
			return err
		}
		return unix.Unlinkat(fd, l.name, 0)
	})
	if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) { // EINVAL: not a link, so not ours
		return nil
	}
	return fmt.Errorf("cannot remove %q: %w", filepath.Join(l.dir, l.name), err)
}

func (l *link) within(do func(fd int) error) error {
	fd, err := unix.Open(l.dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return do(fd)
}
