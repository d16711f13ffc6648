// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// receiveOne accepts one connection on a new socket at path and returns the
// first message with its descriptors. The connection is closed; whether the
// sender keeps its end open is its own affair.
func receiveOne(path string) (payload string, fds []int, err error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = l.Close() }()
	// Container root may be another user than we are.
	if err := os.Chmod(path, 0o777); err != nil {
		return "", nil, err
	}
	if err := l.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", nil, err
	}
	conn, err := l.AcceptUnix()
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = conn.Close() }()
	return readMessage(conn)
}

func readMessage(conn *net.UnixConn) (payload string, fds []int, err error) {
	buf, oob := make([]byte, 65536), make([]byte, unix.CmsgSpace(16*4))
	n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
	if err != nil {
		return "", nil, err
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return "", nil, err
	}
	for i := range msgs {
		got, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			continue // credentials, for instance
		}
		fds = append(fds, got...)
	}
	return string(buf[:n]), fds, nil
}

func receivePidfd(args []string) error {
	payload, fds, err := receiveOne(args[0])
	if err != nil {
		return err
	}
	if len(fds) != 1 {
		return fmt.Errorf("got %d descriptors, want 1", len(fds))
	}
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fds[0]))
	if err != nil {
		return err
	}
	fmt.Printf("payload=%s\n%s", payload, info)
	return nil
}

// serveNotify prints datagrams, one a line, and lets go of the descriptors
// that a BARRIER=1 carries, which is how the sender learns that all was read.
func serveNotify(args []string) error {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: args[0], Net: "unixgram"})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := os.Chmod(args[0], 0o777); err != nil {
		return err
	}
	for {
		if err := conn.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
			return err
		}
		payload, fds, err := readMessage(conn)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Printf("%s fds=%d\n", payload, len(fds))
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		if len(fds) > 0 {
			return nil
		}
	}
}

func sendNotify(args []string) error {
	if len(args) != 2 {
		return errors.New("notify-send wants a socket and a text")
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: args[0], Net: "unixgram"})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = conn.Write([]byte(args[1]))
	return err
}
