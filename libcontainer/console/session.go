// SPDX-License-Identifier: Apache-2.0

// Package console is the side of a terminal that is outside the container, for
// `run` and `exec` in the foreground: it copies between our standard files and
// the pty's master, whose other side the boot image made from the container's
// devpts.
//
//	s, err := console.Foreground(master, os.Stdin, os.Stdout)
//	// on SIGWINCH: s.Resize(); when the process has ended:
//	err = s.Wait(time.Second)
//	err = s.Close()
package console

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// chunk is what a pipe that poll(2) calls writable takes without blocking,
// PIPE_BUF, and what a pty gives in one read.
const chunk = 4096

// lastBytes bounds what is read once closing: more than a pty holds, and an
// end to a background process that does not stop to write.
const lastBytes = 64 << 10

// Session is a terminal being copied; Close it.
type Session struct {
	master *os.File
	tty    *os.File // of ours, that has a size; nil for none
	raw    *RawState

	closing      atomic.Bool
	wakeR, wakeW *os.File // closing wakeW wakes the loops, to see closing

	input, output sync.WaitGroup
	done          chan struct{} // closed when there is no more output
	err           error         // of the output, once done is closed

	once sync.Once
}

// Foreground begins to copy stdin to master and master to stdout, either of
// which may be nil. It owns master from now on, also if it fails; stdin and
// stdout stay the caller's, and blocking if they were. A stdin that is a
// terminal is made raw, and master gets its size. Other ones work too: their
// end is the container's Ctrl-D.
func Foreground(master, stdin, stdout *os.File) (*Session, error) {
	s := &Session{master: master, done: make(chan struct{})}
	if err := s.setUp(stdin, stdout); err != nil {
		if s.raw != nil {
			_ = s.raw.Restore() // the first error is the one to tell
		}
		_ = master.Close() // nothing was copied
		return nil, err
	}
	s.output.Go(func() {
		s.err = s.copyOut(stdout)
		close(s.done)
	})
	if stdin != nil {
		s.input.Go(func() { s.copyIn(stdin) })
	}
	return s, nil
}

func (s *Session) setUp(stdin, stdout *os.File) error {
	inTTY, outTTY := IsTerminal(stdin), IsTerminal(stdout)
	// Between two terminals line ends are for the container's to make, and ours
	// is raw. Else ours makes them if it is one, and a pipe wants none.
	if !inTTY || !outTTY {
		if err := clearONLCR(s.master); err != nil {
			return err
		}
	}
	switch {
	case inTTY:
		s.tty = stdin
	case outTTY:
		s.tty = stdout
	}
	if err := s.Resize(); err != nil {
		return err
	}
	// Ours alone, so that being non-blocking troubles nobody.
	if err := unix.SetNonblock(int(s.master.Fd()), true); err != nil {
		return fmt.Errorf("cannot set the container's terminal up: %w", err)
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return fmt.Errorf("cannot make a pipe: %w", err)
	}
	s.wakeR, s.wakeW = os.NewFile(uintptr(fds[0]), "wake"), os.NewFile(uintptr(fds[1]), "wake")
	if !inTTY {
		return nil
	}
	var err error
	if s.raw, err = MakeRaw(stdin); err != nil {
		_, _ = s.wakeR.Close(), s.wakeW.Close() // never used
	}
	return err
}

// Resize gives the container's terminal the size of ours, if there is one.
func (s *Session) Resize() error {
	if s.tty == nil {
		return nil
	}
	return Resize(s.master, s.tty)
}

// Wait returns when all output was copied: when the last process that has the
// container's terminal open is gone. Call it once the main process has ended.
// Others may live on; so after grace it is content with what is there by then.
func (s *Session) Wait(grace time.Duration) error {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-s.done:
		return s.err
	case <-timer.C:
		return nil // Close takes what is left
	}
}

// Close ends the copying, after what is in the terminal now, restores our
// terminal, and closes master: processes that still have the container's
// terminal open get SIGHUP.
func (s *Session) Close() error {
	var err error
	s.once.Do(func() {
		s.closing.Store(true)
		_ = s.wakeW.Close() // only wakes
		s.input.Wait()
		s.output.Wait()
		if s.raw != nil {
			err = s.raw.Restore()
		}
		_ = s.master.Close() // all was read
		_ = s.wakeR.Close()  // never held data
	})
	return err
}

// copyOut ends at EIO, when nobody has the terminal open any more, which the
// kernel says only after everything was read; or, once closing, when it would
// have to wait for more.
func (s *Session) copyOut(stdout *os.File) error {
	buf := make([]byte, chunk)
	master, wake := int(s.master.Fd()), int(s.wakeR.Fd())
	var failed error
	for left := lastBytes; left > 0; {
		n, err := retry(func() (int, error) { return unix.Read(master, buf) })
		switch {
		case errors.Is(err, unix.EAGAIN):
			if s.closing.Load() {
				return failed
			}
			if err := poll(master, unix.POLLIN, wake); err != nil {
				return err
			}
			continue
		case errors.Is(err, unix.EIO) || n == 0 && err == nil:
			return failed
		case err != nil:
			return fmt.Errorf("cannot read from the container's terminal: %w", err)
		}
		if s.closing.Load() {
			left -= n
		}
		// A stdout that fails must not block the container: read on.
		if stdout != nil && failed == nil {
			failed = s.write(stdout, buf[:n], wake)
		}
	}
	return failed
}

// write blocks for as long as stdout takes, but not once closing.
func (s *Session) write(stdout *os.File, data []byte, wake int) error {
	out := int(stdout.Fd())
	for len(data) > 0 {
		if err := poll(out, unix.POLLOUT, wake); err != nil {
			return err
		}
		if s.closing.Load() && !ready(out, unix.POLLOUT) {
			return nil // nobody reads, and we are to go
		}
		n, err := retry(func() (int, error) { return unix.Write(out, data) })
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			return fmt.Errorf("cannot write to %q: %w", stdout.Name(), err)
		}
		data = data[max(n, 0):]
	}
	return nil
}

// copyIn ends at the end of stdin, or of the session. Its errors are nobody's:
// a process that does not read is not broken.
func (s *Session) copyIn(stdin *os.File) {
	buf := make([]byte, chunk)
	in, wake := int(stdin.Fd()), int(s.wakeR.Fd())
	last := byte('\n')
	for {
		// Not a plain read: it could not be ended, and making stdin non-blocking
		// would make it so for our caller's shell as well.
		if err := poll(in, unix.POLLIN, wake); err != nil || s.closing.Load() {
			return
		}
		n, err := retry(func() (int, error) { return unix.Read(in, buf) })
		if errors.Is(err, unix.EAGAIN) {
			continue // somebody else reads it too
		}
		if n <= 0 {
			if s.raw == nil {
				s.feedEnd(last, wake)
			}
			return
		}
		if s.feed(buf[:n], wake) != nil {
			return
		}
		last = buf[n-1]
	}
}

// The end of stdin is told again after these, each twice the one before.
const (
	firstRepeat = 50 * time.Millisecond
	lastRepeat  = 13 * time.Second
)

// feedEnd says that there is no more input after last, and again for a while: a
// shell that edits lines takes the terminal out of canonical mode when it begins
// to read, and what said the end before that is gone.
func (s *Session) feedEnd(last byte, wake int) {
	for delay := firstRepeat; ; delay *= 2 {
		end := endOfFile(s.master, last)
		// A raw terminal has no end, but a program may know the key: not the first
		// time, for those that are done with what they have read.
		if len(end) == 0 && delay > firstRepeat {
			end = []byte{ctrlD}
		}
		if s.feed(end, wake) != nil || delay > lastRepeat || waitFor(wake, delay) {
			return
		}
		last = '\n'
	}
}

// feed writes to master, waiting while the container does not read.
func (s *Session) feed(data []byte, wake int) error {
	master := int(s.master.Fd())
	for len(data) > 0 {
		n, err := retry(func() (int, error) { return unix.Write(master, data) })
		if errors.Is(err, unix.EAGAIN) {
			if err := poll(master, unix.POLLOUT, wake); err != nil {
				return err
			}
			if s.closing.Load() {
				return os.ErrClosed
			}
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// ready says whether fd has one of the events, or failed, right now.
func ready(fd int, events int16) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	n, err := retry(func() (int, error) { return unix.Poll(fds, 0) })
	return err == nil && n > 0
}

// waitFor waits until wake hangs up, which is true, or as long as delay.
func waitFor(wake int, delay time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(wake)}}
	n, err := retry(func() (int, error) { return unix.Poll(fds, int(delay.Milliseconds())) })
	return err != nil || n > 0
}

// poll waits until fd is ready for events or has failed, or wake hangs up.
func poll(fd int, events int16, wake int) error {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}, {Fd: int32(wake)}}
	_, err := retry(func() (int, error) { return unix.Poll(fds, -1) })
	if err != nil {
		return fmt.Errorf("cannot wait for a file: %w", err)
	}
	return nil
}
