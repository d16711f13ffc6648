// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// file makes a regular file. Contents come before the mode, as writing clears
// setuid, and before xattrs, as it clears capabilities; chown clears both. An
// owner without privilege needs write permission for xattrs, so that the mode
// comes after them.
func (a *applier) file(p *dir, base string, h *tar.Header, r io.Reader, at *attributes) error {
	real := join(p.real, base)
	a.result.Bytes += h.Size
	if limit := a.o.Limits.Bytes; limit > 0 && (h.Size > limit || a.result.Bytes > limit) {
		return overLimit("files of more than %d bytes", limit)
	}
	now := at.mode & 0o777
	if a.o.Rootless {
		now |= 0o600
	}
	fd := -1
	err := a.create(p, base, "openat", func() (err error) {
		fd, err = unix.Openat(p.fd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, now)
		return err
	})
	if err != nil {
		return err
	}
	err = a.fill(fd, real, h, r, at)
	// close(2) is where a network file system tells of a full disk.
	if closeErr := unix.Close(fd); err == nil && closeErr != nil {
		err = failed("close", real, closeErr)
	}
	if err != nil {
		return err
	}
	return a.sealed(p, base, Entry{Path: real, Type: tar.TypeReg, Size: h.Size}, at)
}

func (a *applier) fill(fd int, real string, h *tar.Header, r io.Reader, at *attributes) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return failed("fstat", real, err)
	}
	if err := a.chown(fd, &st, at, real); err != nil {
		return err
	}
	if err := a.contents(fd, real, h.Size, isSparse(h), r); err != nil {
		return err
	}
	if err := a.setXattrs(target{fd: fd, real: real}, a.withOwner(at)); err != nil {
		return err
	}
	if st.Mode&0o7777 != at.mode {
		if err := unix.Fchmod(fd, at.mode); err != nil {
			return failed("fchmod", real, err)
		}
	}
	return nil
}

// isSparse: archive/tar reads holes as zeros, and does not say where they are.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// holeSize is the unit in which zeros become holes: the block size of most
// file systems.
const holeSize = 4096

var zeros [holeSize]byte

// contents copies a file's, and leaves holes for the zeros of a sparse one.
func (a *applier) contents(fd int, real string, size int64, sparse bool, r io.Reader) error {
	hole := false
	for left := size; left > 0; {
		b := a.buffer[:min(int64(len(a.buffer)), left)]
		n, err := io.ReadFull(r, b)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return readError(err)
		}
		left -= int64(n)
		if !sparse {
			err = writeAll(fd, b)
		} else if hole, err = writeSparse(fd, b); err == nil && hole && left == 0 {
			err = unix.Ftruncate(fd, size)
		}
		if err != nil {
			return failed("write", real, err)
		}
	}
	return nil
}

// writeSparse writes b at the file's offset, and seeks over its blocks of
// zeros. hole says that it ends with one.
func writeSparse(fd int, b []byte) (hole bool, err error) {
	for len(b) > 0 {
		n, zero := run(b)
		if zero {
			_, err = unix.Seek(fd, int64(n), unix.SEEK_CUR)
		} else {
			err = writeAll(fd, b[:n])
		}
		if err != nil {
			return false, err
		}
		b, hole = b[n:], zero
	}
	return hole, nil
}

// run is the length of the blocks at the start of b that are all zeros, or all
// something else.
func run(b []byte) (n int, zero bool) {
	for n < len(b) {
		block := b[n:min(n+holeSize, len(b))]
		is := bytes.Equal(block, zeros[:len(block)])
		if n > 0 && is != zero {
			break
		}
		n, zero = n+len(block), is
	}
	return n, zero
}
