// SPDX-License-Identifier: Apache-2.0

package conmon

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth/shim/attach"
	"berth/shim/logs"
)

const (
	// chunk is how much is read at once, in bytes: conmon's, so that a long line
	// has its P entries where conmon has them.
	chunk = 8192
	// restMax bounds what is read of a stream after the process's end, in bytes:
	// others may go on writing. No pipe or terminal holds more.
	restMax = 1 << 20
	// terminalPause is how long a terminal that nobody has open is left alone.
	terminalPause = 100 * time.Millisecond
)

// journal is the logs and the attach socket, to which all output goes.
type journal struct {
	mu     sync.Mutex // of logs
	logs   *logs.Set
	attach *attach.Server // nil without a bundle
}

func (j *journal) write(s logs.Stream, p []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.logs.Write(s, p, time.Now())
}

func (j *journal) reopen() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.logs.Reopen()
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.logs.Close()
}

// send blocks as long as a client has no room.
func (j *journal) send(s logs.Stream, p []byte) {
	if j.attach == nil {
		return
	}
	name := attach.Stdout
	if s == logs.Stderr {
		name = attach.Stderr
	}
	_ = j.attach.Write(name, p) // ErrClosed: at the end of it all
}

// output is a stream of the process on its way to the journal.
type output struct {
	src      *os.File // ours, non-blocking
	stream   logs.Stream
	terminal bool
	to       *journal

	// before is the stream whose output comes first in the log if both are there.
	before *output

	reading sync.Mutex    // read(2) and the log entry belong together; and of:
	waiting bool          // pump has passed on what it had
	early   []byte        // read and logged, for pump, before it came to that itself
	over    bool          // finish reads, and pump no more
	ended   chan struct{} // closed by finish
	rest    [][]byte      // read by finish, for the clients; before ended
	sent    chan struct{} // closed when the clients' queues have everything
}

func newOutput(src *os.File, s logs.Stream, terminal bool, to *journal) *output {
	return &output{src: src, stream: s, terminal: terminal, to: to, ended: make(chan struct{}), sent: make(chan struct{})}
}

// pump copies until the stream ends or finish was called.
func (o *output) pump() {
	defer close(o.sent)
	buf := make([]byte, chunk)
	for {
		n, err := o.wait(buf)
		if n > 0 {
			o.to.send(o.stream, buf[:n])
			continue
		}
		if o.terminal && errors.Is(err, unix.EIO) {
			select { // its last user has gone, and another may come
			case <-o.ended:
			case <-time.After(terminalPause):
				continue
			}
		}
		break
	}
	<-o.ended
	for _, p := range o.rest {
		o.to.send(o.stream, p)
	}
}

// wait reads and logs once there is something to read. n is 0 at the end.
func (o *output) wait(buf []byte) (n int, err error) {
	raw, err := o.src.SyscallConn()
	if err != nil {
		return 0, err
	}
	waited := raw.Read(func(uintptr) bool {
		if o.before != nil {
			o.before.readEarly()
		}
		o.reading.Lock()
		defer o.reading.Unlock()
		switch {
		case o.early != nil:
			n, o.early = copy(buf, o.early), nil
		case !o.over:
			n, err = o.read(raw, buf)
		}
		o.waiting = n <= 0 && errors.Is(err, unix.EAGAIN)
		return !o.waiting
	})
	return max(n, 0), errors.Join(waited, err)
}

// readEarly does pump's work up to the log, if pump is about to do it: two
// streams that have become readable at once are to be logged in one order.
func (o *output) readEarly() {
	raw, err := o.src.SyscallConn()
	if err != nil {
		return
	}
	o.reading.Lock()
	defer o.reading.Unlock()
	if !o.waiting || o.early != nil || o.over {
		return
	}
	buf := make([]byte, chunk)
	if n, _ := o.read(raw, buf); n > 0 { // an error is pump's to see
		o.early = buf[:n]
	}
}

// read is read(2) and the log entry of it; o.reading is held.
func (o *output) read(raw syscall.RawConn, buf []byte) (n int, err error) {
	controlErr := raw.Control(func(fd uintptr) {
		for {
			if n, err = unix.Read(int(fd), buf); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	if n > 0 {
		o.to.write(o.stream, buf[:n])
	}
	return n, errors.Join(controlErr, err)
}

// finish logs what is in the stream by now, and has pump pass it on and return.
// It waits for nobody.
func (o *output) finish() {
	defer close(o.ended)
	_ = o.src.SetReadDeadline(time.Unix(1, 0)) // wakes pump
	o.reading.Lock()
	defer o.reading.Unlock()
	o.over = true
	if o.early != nil {
		o.rest, o.early = append(o.rest, o.early), nil
	}
	raw, err := o.src.SyscallConn()
	if err != nil {
		return
	}
	for total := 0; total < restMax; {
		buf := make([]byte, chunk)
		n, _ := o.read(raw, buf) // an error is the end, or EAGAIN: nothing more
		if n <= 0 {
			return
		}
		o.rest = append(o.rest, buf[:n])
		total += n
	}
}
