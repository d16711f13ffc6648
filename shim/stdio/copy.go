// SPDX-License-Identifier: Apache-2.0

// Package stdio carries bytes between a container's process and whoever wants
// them: pipes or a terminal on one side, fifos, files or a logger on the other.
//
// Each stream is a goroutine with a blocking copy of its own, so a reader that
// stalls holds up that stream and nothing else: the pipe fills, and the process
// waits in write(2), as it would in a shell's pipeline. No byte is dropped.
package stdio

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// chunk is as much as is copied at once, in bytes.
const chunk = 32 << 10

// buffers are held only while there is something to copy: an idle stream has none.
var buffers = sync.Pool{New: func() any { return new([chunk]byte) }}

// pump copies until EOF or an error, of which EIO of a terminal whose last user
// has gone is EOF too.
func pump(dst io.Writer, src *os.File) error {
	for {
		n, err := step(dst, src)
		if err != nil || n == 0 {
			if errors.Is(err, unix.EIO) || errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// step waits until there is something to read, and only then takes a buffer.
func step(dst io.Writer, src *os.File) (n int, err error) {
	raw, err := src.SyscallConn()
	if err != nil {
		return 0, err
	}
	var buffer *[chunk]byte
	readErr := raw.Read(func(fd uintptr) bool {
		if !readable(fd) {
			return false
		}
		buffer = buffers.Get().(*[chunk]byte)
		for {
			n, err = unix.Read(int(fd), buffer[:])
			if err != unix.EINTR {
				break
			}
		}
		if err == unix.EAGAIN {
			buffers.Put(buffer)
			buffer = nil
			return false
		}
		return true
	})
	if buffer != nil {
		defer buffers.Put(buffer)
	}
	if readErr != nil {
		return 0, readErr
	}
	if err != nil {
		return 0, err
	}
	if n > 0 {
		_, err = dst.Write(buffer[:n])
	}
	return n, err
}

// readable says whether a read(2) would not wait.
func readable(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return n != 0 || err != nil // an error is read(2)'s to tell
}

// Pipe is pipe2(2) whose parent's end is non-blocking and waited for by Go's
// poller, so that a stream costs no thread.
func Pipe(parentReads bool) (parent, child *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	mine, theirs := fds[0], fds[1]
	if !parentReads {
		mine, theirs = theirs, mine
	}
	if err := syscall.SetNonblock(mine, true); err != nil {
		unix.Close(mine)
		unix.Close(theirs)
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(mine), "|"), os.NewFile(uintptr(theirs), "|"), nil
}
