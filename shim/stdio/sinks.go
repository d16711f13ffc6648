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
	"time"

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
	fifo    *outFifo // what it is, if it is one

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
	if last && (s.fifo == nil || !s.fifo.left(func() { _ = s.Close() })) {
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
	deadline := time.Now().Add(clientTime)
	for i, address := range addresses {
		if address == "" {
			continue
		}
		if i == 1 && address == o.Stdout {
			s[1] = s[0]
			continue
		}
		if s[i], err = openSink(address, deadline); err != nil {
			return s, err
		}
	}
	return s, nil
}

// openSink opens one address for writing.
func openSink(address string, deadline time.Time) (*sink, error) {
	scheme, path, ok := strings.Cut(address, "://")
	if !ok {
		scheme, path = "fifo", strings.TrimPrefix(address, "fifo:")
	}
	switch scheme {
	case "fifo":
		f, err := openOutFifo(path, deadline)
		if err != nil {
			return nil, err
		}
		return &sink{Writer: f.end, closers: []io.Closer{f}, fifo: f}, nil
	case "file":
		if u, err := url.Parse(address); err == nil && u.Path != "" {
			path = u.Path
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o644)
		if err != nil {
			return nil, err
		}
		return &sink{Writer: f, closers: []io.Closer{f}}, nil
	}
	return nil, fmt.Errorf("stdio address %q: unknown scheme %q: %w", address, scheme, ErrAddress)
}
