// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// maxDepth is one more than what we make: the notify directory's socket.
const maxDepth = 3

// Remove gives the id back: the container's directory goes, with all that is
// in it, whether complete or not. A missing one is no error. The record goes
// last, so that a Remove that was killed can be begun again by somebody who
// knows what it was about.
func (s Store) Remove(id string) error {
	if err := ValidateID(id); err != nil {
		return err
	}
	if err := s.remove(id); err != nil {
		return fmt.Errorf("cannot remove state directory %q: %w", s.Dir(id), err)
	}
	return nil
}

func (s Store) remove(id string) error {
	root, err := open(unix.AT_FDCWD, s.Root, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return ignoreMissing(err)
	}
	defer unix.Close(root)
	if err := empty(root, id, recordName, maxDepth); err != nil {
		return ignoreMissing(err)
	}
	return ignoreMissing(unix.Unlinkat(root, id, unix.AT_REMOVEDIR))
}

// empty removes what is in the directory name below dirfd, links themselves and
// not what they lead to, and the entry called last after all others.
func empty(dirfd int, name, last string, depth int) error {
	fd, err := open(dirfd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n == last {
			continue
		}
		if err := removeEntry(fd, n, depth-1); err != nil {
			return err
		}
	}
	if last == "" {
		return nil
	}
	return ignoreMissing(unix.Unlinkat(fd, last, 0))
}

func removeEntry(dirfd int, name string, depth int) error {
	err := unix.Unlinkat(dirfd, name, 0)
	if !errors.Is(err, unix.EISDIR) {
		return ignoreMissing(err)
	}
	if depth == 0 {
		return unix.ENOTEMPTY
	}
	if err := empty(dirfd, name, "", depth); err != nil {
		return ignoreMissing(err)
	}
	return ignoreMissing(unix.Unlinkat(dirfd, name, unix.AT_REMOVEDIR))
}

// ignoreMissing lets two removers at the same time both succeed.
func ignoreMissing(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
