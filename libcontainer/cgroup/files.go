// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/internal/openat2"
)

// openFile opens a file or directory of a hierarchy. The paths come from the
// mount table or from our own state and have no links; a link in one means
// that it is not what we made, so none is followed.
func openFile(path string, flags int) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := openat2.Open(unix.AT_FDCWD, path, &how)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// readAll reads a file of procfs or a cgroup.
func readAll(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	return readFD(fd, path)
}

// readFD reads fd to its end.
func readFD(fd int, path string) (string, error) {
	var data []byte
	buf := make([]byte, 8192)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", &os.PathError{Op: "read", Path: path, Err: err}
		}
		if n == 0 {
			return string(data), nil
		}
		data = append(data, buf[:n]...)
	}
}

// readFile reads a file of the cgroup directory dir.
func readFile(dir, file string) (string, error) {
	path := filepath.Join(dir, file)
	fd, err := openFile(path, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return readFD(fd, path)
}

// readNumber reads a file with one number, or "max".
func readNumber(dir, file string) (uint64, error) {
	s, err := readFile(dir, file)
	if err != nil {
		return 0, err
	}
	s = strings.TrimSpace(s)
	if s == "max" {
		return ^uint64(0), nil
	}
	return strconv.ParseUint(s, 10, 64)
}

// readKey reads the number after key in a file of "key number" lines.
func readKey(dir, file, key string) (uint64, bool, error) {
	s, err := readFile(dir, file)
	if err != nil {
		return 0, false, err
	}
	for line := range strings.Lines(s) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), " "); ok && k == key {
			n, err := strconv.ParseUint(v, 10, 64)
			return n, err == nil, err
		}
	}
	return 0, false, nil
}

// writeFD writes value in one write(2), as the kernel wants each command.
func writeFD(fd int, path, value string) error {
	for {
		_, err := unix.Write(fd, []byte(value))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "write", Path: path, Err: err}
		}
		return nil
	}
}

// writeFile writes value to a file of the cgroup directory dir.
func writeFile(dir, file, value string) error {
	path := filepath.Join(dir, file)
	fd, err := openFile(path, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return writeFD(fd, path, value)
}

// gone says that err means the file or the whole cgroup does not exist (any
// more): reads of a removed cgroup's open files give ENODEV.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
}

// denied says that err is about permissions, which rootless callers often lack.
func denied(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EROFS)
}
