// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

const (
	// queueSize is what a client may have waiting, in bytes: a half for each
	// stream, so that a stream which nobody reads leaves the other its room.
	queueSize = 256 << 10
	// packetCost is what a queued packet is counted as beyond its bytes.
	packetCost = 64
)

// packet is what a client has yet to get: the stream's byte, then its bytes.
type packet []byte

// index is the stream's place in arrays.
func index(stream byte) int { return int(stream - Stdout) }

// Write sends p, a part of the stream Stdout or Stderr, to everyone who has
// connected by now, and keeps no reference to it. It blocks while a client has no
// room for more of this stream. The order of a stream's bytes is that of the
// calls. The error is ErrClosed, or about a stream that does not exist; that
// there are no clients, or that they go away, is no error.
func (s *Server) Write(stream byte, p []byte) error {
	if stream != Stdout && stream != Stderr {
		return fmt.Errorf("cannot write to attach socket: %d is not an output stream", stream)
	}
	s.writing[index(stream)].Lock()
	defer s.writing[index(stream)].Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	// Who connected before the container printed this must see it, even if the
	// accepting goroutine has not run yet. Why nobody can be accepted just now
	// does not matter here; accept meets the same error and tries again.
	_ = s.admit()
	for chunk := range slices.Chunk(p, MaxOutput) {
		s.broadcast(stream, chunk)
	}
	if s.closed {
		return ErrClosed
	}
	return nil
}

// broadcast gives a chunk to the clients that have room at once, then to the
// others as they get some. The caller has mu.
func (s *Server) broadcast(stream byte, chunk []byte) {
	waiting := slices.Clone(s.clients)
	for {
		waiting = slices.DeleteFunc(waiting, func(c *client) bool { return c.take(stream, chunk) })
		if len(waiting) == 0 {
			return
		}
		s.changed.Wait()
	}
}

// take sends or queues a chunk; it says false if there is no room. A client that
// is gone takes anything. The caller has mu.
func (c *client) take(stream byte, chunk []byte) bool {
	if c.deaf {
		return true
	}
	if len(c.queue) == 0 {
		err := send(c.fd, []byte{stream}, chunk)
		if err == nil {
			return true
		}
		if !errors.Is(err, unix.EAGAIN) {
			c.leave()
			return true
		}
	}
	cost := len(chunk) + packetCost
	if c.used[index(stream)]+cost > queueSize/2 {
		return false
	}
	c.used[index(stream)] += cost
	c.queue = append(c.queue, append(packet{stream}, chunk...))
	c.server.changed.Broadcast() // wakes flush
	return true
}

// flush sends what take has queued, until the client is gone.
func (c *client) flush() {
	for c.queued() {
		// An error means that the client is closed, which queued sees as well.
		_ = c.raw.Write(func(uintptr) bool { return c.sendQueue() })
	}
}

// queued waits for something in the queue; it says false when the client is gone.
func (c *client) queued() bool {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	for len(c.queue) == 0 && !c.deaf {
		c.server.changed.Wait()
	}
	return !c.deaf
}

// sendQueue sends as much as the socket takes; it says whether that was all.
func (c *client) sendQueue() bool {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	for sent := 0; len(c.queue) > 0; sent++ {
		p := c.queue[0]
		err := send(c.fd, p)
		if errors.Is(err, unix.EAGAIN) {
			if sent > 0 {
				c.server.changed.Broadcast()
			}
			return false
		}
		if err != nil {
			c.leave()
			return true
		}
		c.queue[0] = nil
		c.queue = c.queue[1:]
		c.used[index(p[0])] -= len(p) - 1 + packetCost
	}
	c.queue = nil // gives the array back
	c.server.changed.Broadcast()
	return true
}

// leave ends output to the client and frees who waits for it. The caller has mu.
func (c *client) leave() {
	c.deaf = true
	c.queue = nil
	c.server.changed.Broadcast()
}

// send sends one packet made of parts, or fails with EAGAIN if there is no room.
func send(fd int, parts ...[]byte) error {
	for {
		_, err := unix.SendmsgBuffers(fd, parts, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
