// SPDX-License-Identifier: Apache-2.0

package stdio

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"berth/shim/supervise"
)

// Options say where the streams of a process lead. An empty address is no
// stream: the process gets /dev/null.
type Options struct {
	Terminal              bool
	Stdin, Stdout, Stderr string
	// UID and GID are to own the process's ends of the pipes, so that it can
	// open /dev/stdout again.
	UID, GID int
	// ID and Namespace are told to loggers.
	ID, Namespace string
}

// Streams are those of one process.
type Streams struct {
	terminal bool
	child    [3]*os.File // closed by Begun

	mu      sync.Mutex
	master  *os.File // of the terminal
	width   uint16
	height  uint16
	stdin   *os.File // our end of the process's stdin
	opened  []io.Closer
	sources []*os.File // what pumps read from: closing them ends those
	onBegun []func(master *os.File)
	closed  bool

	output sync.WaitGroup // pumps of stdout and stderr
}

var _ supervise.Streams = (*Streams)(nil)

// Open opens the far ends and makes the near ones. A fifo without a reader is
// no obstacle. On failure nothing stays open.
func Open(o Options) (*Streams, error) {
	s := &Streams{terminal: o.Terminal}
	if err := s.open(o); err != nil {
		s.Begun()
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Streams) open(o Options) error {
	out, err := openSinks(o)
	for _, w := range out {
		if w != nil {
			s.opened = append(s.opened, w)
		}
	}
	if err != nil {
		return err
	}
	if o.Terminal {
		w := out[0]
		if w == nil {
			w = &sink{Writer: io.Discard}
		}
		w.use()
		s.onBegun = append(s.onBegun, func(master *os.File) { s.pumpOut(w, master) })
	} else {
		for _, w := range out {
			if w != nil {
				w.use()
			}
		}
		for i, w := range out {
			if err := s.outPipe(i+1, w, o); err != nil {
				return err
			}
		}
	}
	return s.openStdin(o)
}

// outPipe makes stdout (1) or stderr (2), which w gets; nil is /dev/null.
func (s *Streams) outPipe(n int, w *sink, o Options) error {
	if w == nil {
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		s.child[n] = null
		return err
	}
	mine, theirs, err := Pipe(true)
	if err != nil {
		return err
	}
	s.child[n] = theirs
	s.opened = append(s.opened, mine)
	s.sources = append(s.sources, mine)
	s.pumpOut(w, mine)
	return own(theirs, o)
}

func own(f *os.File, o Options) error {
	if o.UID == 0 && o.GID == 0 {
		return nil
	}
	return f.Chown(o.UID, o.GID)
}

func (s *Streams) pumpOut(w *sink, src *os.File) {
	s.output.Go(func() {
		defer w.release()
		if pump(w, src) != nil {
			_ = pump(io.Discard, src) // nobody reads any more: the process is not to stall
		}
	})
}

// openStdin leads a fifo to the process. The kept writing end has EOF come only
// with CloseStdin: a client may come back.
func (s *Streams) openStdin(o Options) error {
	if o.Stdin == "" {
		if o.Terminal {
			return nil
		}
		null, err := os.Open(os.DevNull)
		s.child[0] = null
		return err
	}
	source, keep, err := openStdinFifo(o.Stdin)
	if err != nil {
		return err
	}
	s.opened = append(s.opened, source)
	s.sources = append(s.sources, source)
	s.stdin = keep
	if o.Terminal {
		s.onBegun = append(s.onBegun, func(master *os.File) { go func() { _ = pump(master, source) }() })
		return nil
	}
	mine, theirs, err := Pipe(false)
	if err != nil {
		return err
	}
	s.child[0] = theirs
	s.opened = append(s.opened, mine)
	if err := own(theirs, o); err != nil {
		return err
	}
	go func() {
		_ = pump(mine, source) // EPIPE: the process has closed its stdin
		_ = mine.Close()
	}()
	return nil
}

// Wiring is what the process gets.
func (s *Streams) Wiring() supervise.Wiring {
	return supervise.Wiring{Terminal: s.terminal, Stdio: s.child, Console: s.console}
}

// console takes the terminal's master.
func (s *Streams) console(master *os.File) error {
	ours, err := Terminal(master)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.master = ours
	s.opened = append(s.opened, s.master)
	s.sources = append(s.sources, s.master)
	if s.width != 0 {
		_ = SetSize(s.master, s.width, s.height)
	}
	for _, f := range s.onBegun {
		f(s.master)
	}
	return nil
}

// Begun closes the process's ends.
func (s *Streams) Begun() {
	for i, f := range s.child {
		if f != nil {
			_ = f.Close()
			s.child[i] = nil
		}
	}
}

// Resize sets the terminal's size, in characters; without one it does nothing.
func (s *Streams) Resize(width, height uint16) error {
	if !s.terminal {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.width, s.height = width, height
	if s.master == nil {
		return nil // when there is one
	}
	return SetSize(s.master, s.width, s.height)
}

// CloseStdin has the process read EOF once the client's ends are closed too.
func (s *Streams) CloseStdin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stdin == nil {
		return nil
	}
	err := s.stdin.Close()
	s.stdin = nil
	if err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("close stdin: %w", err)
	}
	return nil
}

// Drain waits for the pumps of stdout and stderr.
func (s *Streams) Drain(giveUp <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		s.output.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-giveUp: // somebody else has the other end; Close ends the pumps
	}
}

// Close ends all streams. It can be called again.
func (s *Streams) Close() {
	_ = s.CloseStdin()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	for _, f := range s.sources {
		_ = f.Close()
	}
	for _, c := range s.opened {
		_ = c.Close()
	}
}
