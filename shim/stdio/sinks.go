// SPDX-License-Identifier: Apache-2.0

package stdio

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// sinks are where stdout and stderr go; nil for nowhere.
type sinks struct {
	writers [2]io.Writer
	closers []io.Closer
}

func (s *sinks) add(n int, f *os.File) {
	s.writers[n] = f
	s.closers = append(s.closers, f)
}

// openSinks opens the addresses of containerd: a path or fifo:, file://,
// binary:// and binary-v2://. With a terminal there is no stderr.
func openSinks(o Options) (sinks, error) {
	var s sinks
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
		if i == 1 && address == o.Stdout && s.writers[0] != nil {
			s.writers[1] = s.writers[0]
			continue
		}
		f, keep, err := openSink(address)
		if err != nil {
			return s, err
		}
		s.add(i, f)
		if keep != nil {
			s.closers = append(s.closers, keep)
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
	return nil, nil, fmt.Errorf("stdio address %q: unknown scheme %q", address, scheme)
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
		return nil, fmt.Errorf("%s is not a fifo", path)
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
