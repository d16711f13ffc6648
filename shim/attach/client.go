// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// client is a connection. receive closes it, or Close does.
type client struct {
	server *Server
	file   *os.File
	raw    syscall.RawConn // of file
	// fd is file's descriptor. It is open as long as deaf is false under mu, and
	// in calls of raw.
	fd int

	// Under the server's mu:
	deaf  bool // gets no output any more
	queue []packet
	used  [2]int // what the queue holds of each stream
}

// newClient takes ownership of fd, which is non-blocking.
func newClient(s *Server, fd int) (*client, error) {
	c := &client{server: s, fd: fd, file: os.NewFile(uintptr(fd), "attach client")}
	raw, err := c.file.SyscallConn()
	if err != nil {
		_ = c.file.Close() // nothing was sent
		return nil, err
	}
	c.raw = raw
	return c, nil
}

// receive passes the client's input on, then waits until the client has gone
// altogether: one that has half-closed still reads.
func (c *client) receive() {
	s := c.server
	select {
	case <-s.open:
		c.readInput()
		// An error means that the server closes.
		_ = c.raw.Read(func(fd uintptr) bool { return hungUp(int(fd)) })
	case <-s.done:
	}
	s.mu.Lock()
	c.leave()
	s.clients = slices.DeleteFunc(s.clients, func(other *client) bool { return other == c })
	s.mu.Unlock()
	_ = c.file.Close() // Close may have done it; nothing can be lost
}

func (c *client) readInput() {
	s := c.server
	pass := s.pass
	buf := make([]byte, MaxInput)
	for {
		n, err := c.file.Read(buf)
		if errors.Is(err, unix.ECONNRESET) {
			// The client closed before it had read all; what it sent is still there.
			continue
		}
		if err != nil {
			break
		}
		if pass == nil {
			continue
		}
		s.input.Lock()
		err = pass(buf[:n])
		s.input.Unlock()
		if err != nil {
			pass = nil
		}
	}
	select {
	case <-s.done: // it was not the client who ended
	default:
		if s.onEOF != nil {
			s.onEOF()
		}
	}
}

// hungUp says whether both directions have ended. The poller calls again when
// the second one ends.
func hungUp(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}}
	_, err := unix.Poll(fds, 0)
	return err == nil && fds[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
}
