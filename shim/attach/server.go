// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The streams, as the first byte of a packet; 1 is kept for standard input.
const (
	Stdout byte = 2
	Stderr byte = 3
)

const (
	// MaxOutput is the most bytes of a stream in one packet to a client, without
	// the byte that names the stream: clients read into 8193 bytes.
	MaxOutput = 8192
	// MaxInput is the most bytes in one packet from a client.
	MaxInput = 32768

	backlog = 10
	// acceptPause is how long to wait when there is no descriptor for a client.
	acceptPause = 100 * time.Millisecond
)

// ErrClosed is the error of Write after Close.
var ErrClosed = errors.New("attach socket is closed")

// Options say where the socket is, and who is told about input that ends.
type Options struct {
	// Bundle is the directory that the socket, called attach, is made in.
	Bundle string
	// SocketDir and CUUID name the symbolic link SocketDir/CUUID to the bundle:
	// a path short enough for clients to connect by. Not looked at with Full.
	SocketDir, CUUID string
	// Full makes no link: clients find the socket in the bundle.
	Full bool
	// OnEOF, if not nil, is called once for each client that ends its input, by
	// half-closing or by going away, after the last packet of it was passed on;
	// another client's packet may be on its way at that time. Whether the
	// container's input ends too is for the owner to decide.
	OnEOF func()
}

// Server is a listening attach socket. Its methods may be called from several
// goroutines.
type Server struct {
	onEOF    func()
	link     *link // nil with Full
	listener *os.File
	fd       int             // listener's; open as long as closed is false under mu
	raw      syscall.RawConn // of listener

	// writing keeps the packets of one Write together, by stream. Taken before mu.
	writing [2]sync.Mutex
	input   sync.Mutex // one packet at a time for pass
	pass    func([]byte) error
	open    chan struct{} // closed when pass is set
	done    chan struct{} // closed by Close
	begin   sync.Once     // sets pass
	end     sync.Once     // closes
	work    sync.WaitGroup

	mu      sync.Mutex
	changed sync.Cond // room in a queue, a queue to send, a client gone, closed
	clients []*client // in order of arrival
	closed  bool
}

// Listen makes the socket, mode 0700 less the umask, and begins to accept clients.
// Those who connect wait with their input until Stdin was called. A socket or
// link left by an earlier monitor is replaced.
func Listen(o Options) (*Server, error) {
	fd, err := bind(o.Bundle)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q in %q: %w", socketName, o.Bundle, err)
	}
	s := &Server{
		onEOF:    o.OnEOF,
		fd:       fd,
		listener: os.NewFile(uintptr(fd), socketName), // pollable: the descriptor is non-blocking
		open:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	s.changed.L = &s.mu
	if s.raw, err = s.listener.SyscallConn(); err == nil && !o.Full {
		s.link, err = makeLink(o.SocketDir, o.CUUID, o.Bundle)
	}
	if err != nil {
		_ = s.listener.Close() // nobody came
		return nil, err
	}
	s.work.Go(s.accept)
	return s, nil
}

// Stdin begins to pass on what clients send, in a call of pass for each packet,
// one at a time; with nil it is read and forgotten, as for a container without
// input. While pass blocks its client is not read. When pass fails, what that
// client still sends is forgotten. The slice is valid during the call only.
// Only the first call of Stdin counts.
func (s *Server) Stdin(pass func(p []byte) error) {
	s.begin.Do(func() {
		s.pass = pass
		close(s.open)
	})
}

// Drain waits until the kernel has all that Writes which returned have written,
// for every client; there a client finds it even after Close. At the deadline the error is os.ErrDeadlineExceeded.
func (s *Server) Drain(deadline time.Time) error {
	timer := time.AfterFunc(time.Until(deadline), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})
	defer timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.pending() && !s.closed {
		if !time.Now().Before(deadline) {
			return fmt.Errorf("cannot drain attach socket: %w", os.ErrDeadlineExceeded)
		}
		s.changed.Wait()
	}
	return nil
}

// pending: some client has yet to get something. The caller has mu.
func (s *Server) pending() bool {
	for _, c := range s.clients {
		if len(c.queue) > 0 {
			return true
		}
	}
	return false
}

// Close disconnects all clients, drops what they have not been sent (see Drain),
// makes blocked Writes return, and removes the link unless it is another one by
// now. It waits for the server's goroutines, so what the functions given to
// Stdin and OnEOF wait for has to end first. The socket's name stays in the
// bundle, for a new monitor may have put its own there.
func (s *Server) Close() error {
	var err error
	s.end.Do(func() {
		s.mu.Lock()
		s.closed = true
		clients := s.clients
		s.clients = nil
		for _, c := range clients {
			c.leave()
		}
		s.changed.Broadcast()
		s.mu.Unlock()

		close(s.done)
		err = s.listener.Close()
		for _, c := range clients {
			_ = c.file.Close() // the client may have done it; nothing can be lost
		}
		s.work.Wait()
		if s.link != nil {
			err = errors.Join(err, s.link.remove())
		}
	})
	return err
}

// accept takes clients until Close.
func (s *Server) accept() {
	for {
		var failed error
		err := s.raw.Read(func(uintptr) bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			failed = s.admit()
			return failed != nil
		})
		if err != nil || errors.Is(failed, ErrClosed) {
			return
		}
		select { // no descriptor or no memory: they will be there again
		case <-s.done:
			return
		case <-time.After(acceptPause):
		}
	}
}

// admit takes everyone who is waiting to be accepted. The caller has mu.
func (s *Server) admit() error {
	for !s.closed {
		fd, _, err := unix.Accept4(s.fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED):
			continue
		case err != nil:
			return err
		}
		if !mayAttach(fd) {
			_ = unix.Close(fd) // nothing was sent
			continue
		}
		c, err := newClient(s, fd)
		if err != nil {
			return err
		}
		s.clients = append(s.clients, c)
		s.work.Go(c.receive)
		s.work.Go(c.flush)
	}
	return ErrClosed
}

// mayAttach: whoever can attach can type into the container.
func mayAttach(fd int) bool {
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	return err == nil && serves(peer.Uid, uint32(os.Geteuid()))
}

func serves(peer, own uint32) bool { return peer == own || peer == 0 }
