// SPDX-License-Identifier: Apache-2.0

package stdio

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// How long a logger has: to say that it is ready, and to end.
const (
	loggerReady = 10 * time.Second
	loggerEnd   = 12 * time.Second
)

// logger is a program that reads a container's output. Descriptor 3 is stdout,
// 4 stderr; it closes 5 when it is ready, and writes a byte before that if it is
// addressed as binary-v2. containerd's runtime-v2 documentation, "Logging".
type logger struct {
	cmd    *exec.Cmd
	w      [2]*os.File
	ended  chan struct{}
	closed atomic.Int32
}

// startLogger starts PATH?key=value&…; the pairs become arguments.
func startLogger(scheme, rest string, o Options) (s [2]*sink, err error) {
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil {
		return s, fmt.Errorf("stdout address: %w", err)
	}
	l := &logger{}
	var theirs [3]*os.File
	defer func() {
		for _, f := range theirs {
			if f != nil {
				_ = f.Close()
			}
		}
	}()
	for i := range 2 {
		if l.w[i], theirs[i], err = Pipe(false); err != nil {
			return s, err
		}
		s[i] = &sink{Writer: l.w[i], closers: []io.Closer{l.w[i]}}
	}
	ready, readyEnd, err := Pipe(true)
	if err != nil {
		return s, err
	}
	defer ready.Close()
	theirs[2] = readyEnd
	var args []string
	for key, values := range u.Query() {
		args = append(args, key)
		if len(values) > 0 {
			args = append(args, values[0])
		}
	}
	l.cmd = exec.Command(u.Path, args...)
	l.cmd.Env = append(os.Environ(), "CONTAINER_ID="+o.ID, "CONTAINER_NAMESPACE="+o.Namespace)
	l.cmd.ExtraFiles = theirs[:]
	if err := l.cmd.Start(); err != nil {
		return s, fmt.Errorf("logger: %w", err)
	}
	l.ended = make(chan struct{})
	go func() {
		_ = l.cmd.Wait() // its exit status is its own affair
		close(l.ended)
	}()
	for _, one := range s {
		one.closers = append(one.closers, l)
	}
	_ = readyEnd.Close()
	theirs[2] = nil
	_ = ready.SetReadDeadline(time.Now().Add(loggerReady))
	n, err := ready.Read(make([]byte, 1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return s, fmt.Errorf("logger %s did not say that it is ready within %v", u.Path, loggerReady)
	case n == 0 && scheme == "binary-v2":
		return s, fmt.Errorf("logger %s ended before it was ready", u.Path)
	}
	return s, nil
}

// Close is called for each stream, and with the last ends the logger, which has
// read EOF by then. It does not wait for it.
func (l *logger) Close() error {
	if l.closed.Add(1) < 2 {
		return nil
	}
	go func() {
		// EOF tells a logger to end once it has written what it has read;
		// a signal at once would cost it that.
		for _, sig := range []os.Signal{nil, unix.SIGTERM, unix.SIGKILL} {
			if sig != nil {
				_ = l.cmd.Process.Signal(sig)
			}
			select {
			case <-l.ended:
				return
			case <-time.After(loggerEnd):
			}
		}
	}()
	return nil
}
