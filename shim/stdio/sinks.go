// SPDX-License-Identifier: Apache-2.0

package stdio

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrAddress is for an address that no stream can have: of an unknown scheme, or
// of something that is no fifo.
var ErrAddress = errors.New("not an address of a stream")

// sink is where a stream goes. It is closed when the last stream that goes there
// has ended: a client takes that for the end of the output, and deletes the task
// only after it.
type sink struct {
	io.Writer
	closers []io.Closer

	mu    sync.Mutex
	users int
}

func (s *sink) use() *sink {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users++
	return s
}

// release is called once per use; Close, whatever the users.
func (s *sink) release() {
	s.mu.Lock()
	s.users--
	last := s.users == 0
	s.mu.Unlock()
	if last {
		_ = s.Close()
	}
}

// Close closes it; it can be called again.
func (s *sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.closers {
		_ = c.Close() // what was written has arrived
	}
	s.closers = nil
	return nil
}

// openSinks opens the addresses of containerd: a path or fifo:, file://,
// binary:// and binary-v2://; nil is nowhere. With a terminal there is no stderr.
func openSinks(o Options) (s [2]*sink, err error) {
	addresses := []string{o.Stdout, o.Stderr}
	if o.Terminal {
		addresses = addresses[:1]
	}
	if scheme, rest, ok := strings.Cut(o.Stdout, "://"); ok && (scheme == "binary" || scheme == "binary-v2") {
		return startLogger(scheme, rest, o)
	}
	for i, address := range addresses {
		if address == "" {
			continue
		}
		if i == 1 && address == o.Stdout {
			s[1] = s[0]
			continue
		}
		f, keep, err := openSink(address)
		if err != nil {
			return s, err
		}
		s[i] = &sink{Writer: f, closers: []io.Closer{f}}
		if keep != nil {
			s[i].closers = append(s[i].closers, keep)
		}
	}
	return s, nil
}

// openSink opens one address for writing. keep is a reading end of a fifo: with
// it a client that goes away and comes back makes neither EPIPE nor a hang-up.
func openSink(address string) (f, keep *os.File, err error) {
	scheme, path, ok := strings.Cut(address, "://")
	if !ok {
		scheme, path = "fifo", strings.TrimPrefix(address, "fifo:")
	}
	switch scheme {
	case "fifo":
		if keep, err = openFifo(path, unix.O_RDONLY); err != nil {
			return nil, nil, err
		}
		if f, err = openFifo(path, unix.O_WRONLY); err != nil {
			_ = keep.Close()
			return nil, nil, err
		}
		return f, keep, nil
	case "file":
		if u, err := url.Parse(address); err == nil && u.Path != "" {
			path = u.Path
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, nil, err
		}
		f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o644)
		return f, nil, err
	}
	return nil, nil, fmt.Errorf("stdio address %q: unknown scheme %q: %w", address, scheme, ErrAddress)
}

// openFifo opens a fifo without waiting for the other end. A regular file in
// its place is an error: it would be read at full speed.
func openFifo(path string, flags int) (*os.File, error) {
	// The path is the engine's, in a directory of root's.
	fd, err := unix.Open(path, flags|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open fifo", Path: path, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%s is not a fifo: %w", path, ErrAddress)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openStdinFifo opens a fifo for reading, and for writing so that it has no EOF
// before its time.
func openStdinFifo(path string) (source, keep *os.File, err error) {
	path = strings.TrimPrefix(strings.TrimPrefix(path, "fifo://"), "fifo:")
	if source, err = openFifo(path, unix.O_RDONLY); err != nil {
		return nil, nil, err
	}
	if keep, err = openFifo(path, unix.O_WRONLY); err != nil {
		_ = source.Close()
		return nil, nil, err
	}
	return source, keep, nil
}
