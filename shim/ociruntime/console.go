// SPDX-License-Identifier: Apache-2.0

package ociruntime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"berth/internal/fdpass"
)

// ConsoleSocket receives the master of a terminal from a runtime; Close it.
type ConsoleSocket struct {
	// Path is what --console-socket takes, in a directory that only we can enter.
	Path     string
	dir      string
	listener *os.File
}

// ListenConsole makes the socket.
func ListenConsole() (*ConsoleSocket, error) {
	dir, err := os.MkdirTemp("", "berth-console-") // 0700
	if err != nil {
		return nil, err
	}
	s := &ConsoleSocket{dir: dir, Path: filepath.Join(dir, "s")}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		s.Close()
		return nil, os.NewSyscallError("socket", err)
	}
	s.listener = os.NewFile(uintptr(fd), s.Path)
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: s.Path}); err == nil {
		err = unix.Listen(fd, 1)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("console socket: %w", err)
	}
	return s, nil
}

// Receive is called when the runtime has ended, so what it sent is there. The
// file is the caller's.
func (s *ConsoleSocket) Receive() (*os.File, error) {
	if err := unix.SetNonblock(int(s.listener.Fd()), true); err != nil {
		return nil, err
	}
	fd, _, err := unix.Accept4(int(s.listener.Fd()), unix.SOCK_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("the runtime sent no terminal: %w", err)
	}
	conn := os.NewFile(uintptr(fd), "console")
	defer conn.Close()
	_, files, err := fdpass.Recv(conn, make([]byte, 256), 1)
	if err != nil {
		return nil, err
	}
	if len(files) != 1 {
		return nil, errors.New("the runtime sent no terminal")
	}
	return files[0], nil
}

// Close removes it.
func (s *ConsoleSocket) Close() {
	if s.listener != nil {
		_ = s.listener.Close()
	}
	_ = os.RemoveAll(s.dir)
}
