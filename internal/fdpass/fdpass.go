// SPDX-License-Identifier: Apache-2.0

// Package fdpass sends and receives open files over AF_UNIX sockets, unix(7).
// It uses the system calls themselves: package net would bring a resolver and
// a poller into verbs that live for a millisecond.
//
//	err := fdpass.SendToSocket(consoleSocket, []byte("/dev/pts/0"), master)
package fdpass

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// MaxFiles is the kernel's limit for one message, SCM_MAX_FD.
const MaxFiles = 253

// ErrTruncated says that a message had more files or bytes than were asked for.
var ErrTruncated = errors.New("message is longer than expected")

// Send writes payload, which must not be empty, with files attached to its
// first byte. The caller keeps the files. A receiver that is gone is EPIPE.
func Send(conn *os.File, payload []byte, files ...*os.File) error {
	if len(payload) == 0 || len(files) > MaxFiles {
		return fmt.Errorf("cannot send %d bytes with %d files: %w", len(payload), len(files), unix.EINVAL)
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	err := send(int(conn.Fd()), payload, rights)
	runtime.KeepAlive(files)
	runtime.KeepAlive(conn)
	if err != nil {
		return fmt.Errorf("cannot send to %q: %w", conn.Name(), err)
	}
	return nil
}

func send(fd int, payload, rights []byte) error {
	for len(payload) > 0 {
		n, err := unix.SendmsgN(fd, payload, rights, nil, unix.MSG_NOSIGNAL)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			if err := wait(fd, unix.POLLOUT); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		// A stream may take a part; the files went with it.
		payload, rights = payload[n:], nil
	}
	return nil
}

// SendToSocket connects to the AF_UNIX stream socket at path, sends one message
// with payload and file, and closes the connection. This is the protocol of
// --console-socket and --pidfd-socket.
func SendToSocket(path string, payload []byte, file *os.File) error {
	conn, err := Dial(path)
	if err != nil {
		return err
	}
	defer conn.Close()
	return Send(conn, payload, file)
}

// Dial connects to the AF_UNIX stream socket at path, which may be longer than
// the 107 bytes that sockaddr_un holds.
func Dial(path string) (*os.File, error) {
	fd, err := dial(path)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to socket %q: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func dial(path string) (int, error) {
	addr := path
	if len(path) >= 108 { // sizeof sun_path, with its NUL
		// connect(2) follows the magic link, so that the name's length is no matter.
		at, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, err
		}
		defer unix.Close(at)
		addr = "/proc/self/fd/" + strconv.Itoa(at)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	for {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: addr})
		if err == nil {
			return fd, nil
		}
		// An AF_UNIX connect that a signal interrupts has not begun.
		if !errors.Is(err, unix.EINTR) {
			_ = unix.Close(fd) // nothing was sent
			return -1, err
		}
	}
}

// Recv reads one message of at most len(buf) bytes with at most maxFiles files,
// all of them close-on-exec and the caller's. A message with more is
// ErrTruncated, and its files are closed. At the end of a stream n is 0.
func Recv(conn *os.File, buf []byte, maxFiles int) (n int, files []*os.File, err error) {
	n, files, err = recv(int(conn.Fd()), buf, maxFiles)
	runtime.KeepAlive(conn)
	if err != nil {
		return 0, nil, fmt.Errorf("cannot receive from %q: %w", conn.Name(), err)
	}
	return n, files, nil
}

func recv(fd int, buf []byte, maxFiles int) (int, []*os.File, error) {
	// Room for one more than allowed tells too many from just enough.
	oob := make([]byte, unix.CmsgSpace(4*(maxFiles+1)))
	var n, oobn, flags int
	for {
		var err error
		n, oobn, flags, _, err = unix.Recvmsg(fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err == nil {
			break
		}
		if errors.Is(err, unix.EAGAIN) {
			err = wait(fd, unix.POLLIN)
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return 0, nil, err
		}
	}
	fds, err := rights(oob[:oobn])
	if err == nil && (flags&(unix.MSG_CTRUNC|unix.MSG_TRUNC) != 0 || len(fds) > maxFiles) {
		err = ErrTruncated
	}
	if err != nil {
		for _, fd := range fds {
			_ = unix.Close(fd) // never used
		}
		return 0, nil, err
	}
	files := make([]*os.File, len(fds))
	for i, fd := range fds {
		files[i] = os.NewFile(uintptr(fd), "received file "+strconv.Itoa(i))
	}
	return n, files, nil
}

// rights returns all descriptors in oob, those before an error too.
func rights(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var all []int
	for i := range msgs {
		if h := msgs[i].Header; h.Level != unix.SOL_SOCKET || h.Type != unix.SCM_RIGHTS {
			continue // credentials, say: not ours to refuse
		}
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			return all, err
		}
		all = append(all, fds...)
	}
	return all, nil
}

// wait blocks until a non-blocking socket is ready.
func wait(fd int, events int16) error {
	_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, -1)
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	return err
}
