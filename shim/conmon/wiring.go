// SPDX-License-Identifier: Apache-2.0

package conmon

import (
	"errors"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"berth/shim/conmon/options"
	"berth/shim/logs"
	"berth/shim/ociruntime"
	"berth/shim/stdio"
)

// wiring is both ends of the process's streams.
type wiring struct {
	// runtime are the standard files of the runtime's command line, and of the
	// process unless it has a terminal: closed by begun.
	runtime [3]*os.File
	lent    bool // they are our own: passthrough
	console *ociruntime.ConsoleSocket

	stdout, stderr *os.File // what we read; nil with passthrough

	mu            sync.Mutex
	stdin         *os.File // what we write; nil for none, or once closed
	master        *os.File
	height, width uint16 // of a terminal that is yet to come
}

// wire makes the streams. On failure the caller closes what there is.
func wire(o options.Options) (*wiring, error) {
	w := &wiring{}
	if passthrough(o) {
		w.runtime, w.lent = [3]*os.File{os.Stdin, os.Stdout, os.Stderr}, true
		return w, nil
	}
	var err error
	if o.Terminal {
		if w.console, err = ociruntime.ListenConsole(); err != nil {
			return w, err
		}
	}
	if o.Stdin && !o.Terminal {
		w.stdin, w.runtime[0], err = pipe(false)
	} else {
		w.runtime[0], err = os.Open(os.DevNull)
	}
	if err == nil && !o.Terminal {
		w.stdout, w.runtime[1], err = pipe(true)
	} else if err == nil {
		w.runtime[1], err = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	if err == nil { // with a terminal too: it has the runtime's errors
		w.stderr, w.runtime[2], err = pipe(true)
	}
	return w, err
}

// pipe is one whose other end the process may open again, as /dev/stdout, by
// whatever user it becomes.
func pipe(read bool) (ours, theirs *os.File, err error) {
	ours, theirs, err = stdio.Pipe(read)
	if err == nil {
		err = theirs.Chmod(0o777)
	}
	return ours, theirs, err
}

// begun closes the process's ends: it has them, or there is none.
func (w *wiring) begun() {
	for i, f := range w.runtime {
		if f != nil && !w.lent {
			_ = f.Close()
		}
		w.runtime[i] = nil
	}
}

// complaint is what the runtime wrote to stderr until now. The rest of the pipe
// is somebody else's.
func (w *wiring) complaint() string {
	if w.stderr == nil {
		return ""
	}
	raw, err := w.stderr.SyscallConn()
	if err != nil {
		return ""
	}
	var buf [8192]byte
	n := 0
	if err := raw.Control(func(fd uintptr) { n, _ = unix.Read(int(fd), buf[:]) }); err != nil || n <= 0 {
		return ""
	}
	return strings.TrimSpace(string(buf[:n]))
}

// takeTerminal receives the master, once the runtime has succeeded.
func (w *wiring) takeTerminal() error {
	f, err := w.console.Receive()
	w.console.Close()
	w.console = nil
	if err != nil {
		return err
	}
	master, err := stdio.Terminal(f)
	if err != nil {
		return err
	}
	if err := newlines(master); err != nil {
		return errors.Join(err, master.Close())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.master = master
	w.stdin, w.stdout = w.master, w.master
	_ = w.stderr.Close() // it was the runtime's
	w.stderr = nil
	if w.height != 0 || w.width != 0 {
		return stdio.SetSize(w.master, w.width, w.height)
	}
	return nil
}

// newlines has the terminal print "\r\n" for "\n", as conmon does.
func newlines(master *os.File) error {
	raw, err := master.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		t, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		if err == nil {
			t.Oflag |= unix.ONLCR
			err = unix.IoctlSetTermios(int(fd), unix.TCSETS, t)
		}
		set = os.NewSyscallError("tcsetattr", err)
	})
	return errors.Join(err, set)
}

// resize gives the terminal this many rows and columns, now or when there is one.
func (w *wiring) resize(height, width uint16) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.height, w.width = height, width
	if w.master == nil {
		return nil
	}
	return stdio.SetSize(w.master, w.width, w.height)
}

// outputs are the streams to copy.
func (w *wiring) outputs(to *journal) []*output {
	var all []*output
	if w.stdout != nil {
		all = append(all, newOutput(w.stdout, logs.Stdout, w.master != nil, to))
	}
	if w.stderr != nil {
		all = append(all, newOutput(w.stderr, logs.Stderr, false, to))
	}
	if len(all) == 2 {
		all[1].before = all[0]
	}
	return all
}

// input writes a client's packet; it blocks while the process does not read.
func (w *wiring) input(p []byte) error {
	w.mu.Lock()
	f := w.stdin
	w.mu.Unlock()
	if f == nil {
		return os.ErrClosed
	}
	_, err := f.Write(p)
	return err
}

// endInput is a client's EOF. A terminal has no such thing.
func (w *wiring) endInput() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stdin != nil && w.master == nil {
		_ = w.stdin.Close()
		w.stdin = nil
	}
}

// close ends all of it. Nobody reads the outputs any more.
func (w *wiring) close() {
	w.begun()
	w.endInput()
	for _, f := range []*os.File{w.stdout, w.stderr} {
		if f != nil {
			_ = f.Close()
		}
	}
	if w.console != nil {
		w.console.Close()
	}
}
