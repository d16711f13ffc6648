// SPDX-License-Identifier: Apache-2.0

// Package atomicfile replaces files so that a reader sees the old contents or
// the new ones, and never a part of either. It does not call fsync: what Berth
// writes this way (state records, pid files) lives on /run, a tmpfs, and means
// nothing after a crash of the machine, while fsync on a disk costs more than
// starting a container.
//
//	err := atomicfile.Write("/run/berth/web/state.json", data, 0o600)
package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// maxTries bounds the search for a free temporary name. A clash needs the same
// pid and nanosecond, so that a second try is next to certain to succeed.
const maxTries = 16

// Write replaces the file at path with data. The permission bits are
// mode &^ umask. A symbolic link at path is replaced, not followed.
func Write(path string, data []byte, mode os.FileMode) error {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	fd, err := retry(func() (int, error) {
		return unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return fmt.Errorf("cannot write %q: %w", path, err)
	}
	defer unix.Close(fd)
	if err := writeAt(fd, name, data, mode); err != nil {
		return fmt.Errorf("cannot write %q: %w", path, err)
	}
	return nil
}

// WriteAt is Write for the file called name in the directory dir, which may be
// an O_PATH descriptor.
func WriteAt(dir *os.File, name string, data []byte, mode os.FileMode) error {
	if err := writeAt(int(dir.Fd()), name, data, mode); err != nil {
		return fmt.Errorf("cannot write %q: %w", filepath.Join(dir.Name(), name), err)
	}
	return nil
}

func writeAt(dirfd int, name string, data []byte, mode os.FileMode) error {
	if name == "" || name == "." || name == ".." || filepath.Base(name) != name {
		return unix.EINVAL
	}
	fd, temp, err := createTemp(dirfd, name, uint32(mode.Perm()))
	if err != nil {
		return err
	}
	err = writeAll(fd, data)
	if cerr := unix.Close(fd); err == nil {
		err = cerr // a full NFS or FUSE disk may be reported only now
	}
	if err == nil {
		err = unix.Renameat(dirfd, temp, dirfd, name)
	}
	if err != nil {
		_ = unix.Unlinkat(dirfd, temp, 0) // the first error is the one to tell
	}
	return err
}

// createTemp makes a file with a name of its own. A fixed one with O_EXCL, as
// others use, makes the leftover of a killed writer block every later one.
func createTemp(dirfd int, name string, mode uint32) (fd int, temp string, err error) {
	if len(name) > 200 {
		name = name[:200] // leave room in NAME_MAX, 255
	}
	for range maxTries {
		temp = "." + name + "." + strconv.Itoa(os.Getpid()) + "." +
			strconv.FormatInt(time.Now().UnixNano(), 36)
		fd, err = retry(func() (int, error) {
			return unix.Openat(dirfd, temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		})
		if !errors.Is(err, unix.EEXIST) {
			return fd, temp, err
		}
	}
	return -1, "", err
}

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := retry(func() (int, error) { return unix.Write(fd, data) })
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
