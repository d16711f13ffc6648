// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 10 * time.Second

// TestMain also finds what Close leaves behind: goroutines and descriptors.
func TestMain(m *testing.M) {
	goroutines, files := runtime.NumGoroutine(), openFiles()
	code := m.Run()
	if !soon(func() bool { return runtime.NumGoroutine() <= goroutines }) {
		stacks := make([]byte, 1<<20)
		fmt.Fprintf(os.Stderr, "goroutines are left:\n%s", stacks[:runtime.Stack(stacks, true)])
		code = 1
	}
	// The poller of the runtime keeps two descriptors, once it has begun.
	if n := openFiles(); n > files+2 {
		fmt.Fprintf(os.Stderr, "%d descriptors are open, %d were at first\n", n, files)
		code = 1
	}
	os.Exit(code)
}

func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// soon polls until a condition holds.
func soon(holds func() bool) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if holds() {
			return true
		}
	}
	return false
}

// within waits for a channel to be closed or to give something.
func within[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain: %s", what)
		panic("BUG: Fatalf returned")
	}
}

// serve starts a server in a new bundle.
func serve(t *testing.T, o Options) (*Server, string) {
	t.Helper()
	if o.Bundle == "" {
		o.Bundle, o.Full = t.TempDir(), true
	}
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, filepath.Join(o.Bundle, socketName)
}

// dial connects as Podman does, with blocking calls that give up in the end.
func dial(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) }) // may be closed by the test
	patient := unix.NsecToTimeval(int64(patience))
	if err := errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patient),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patient),
		unix.Connect(fd, &unix.SockaddrUnix{Name: path})); err != nil {
		t.Fatal(err)
	}
	return fd
}

// next is one packet, as a client with the usual buffer sees it; "" at the end.
func next(t *testing.T, fd int) string {
	t.Helper()
	buf := make([]byte, 1+MaxOutput)
	for {
		n, _, flags, _, err := unix.Recvmsg(fd, buf, nil, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			t.Fatalf("cannot receive: %v", err)
		}
		if flags&unix.MSG_TRUNC != 0 {
			t.Fatalf("a packet exceeds %d bytes", len(buf))
		}
		return string(buf[:n])
	}
}

// read joins what packets bring of one stream until it has size bytes.
func read(t *testing.T, fd int, stream byte, size int) []byte {
	t.Helper()
	var all []byte
	for len(all) < size {
		p := next(t, fd)
		if p == "" {
			t.Fatalf("the server ended after %d bytes of %d", len(all), size)
		}
		if p[0] == stream {
			all = append(all, p[1:]...)
		}
	}
	return all
}

// pattern is bytes in which a missing or repeated packet shows.
func pattern(size int) []byte {
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(i ^ i>>8 ^ i>>13)
	}
	return p
}

// fill writes a pattern many times in the background, and returns when Write has
// blocked. The channel gets the first error, or nil when all is written.
func fill(t *testing.T, s *Server, stream byte, times int) <-chan error {
	t.Helper()
	result := make(chan error, 1)
	var mu sync.Mutex
	calls := 0
	go func() {
		for range times {
			if err := s.Write(stream, pattern(MaxOutput)); err != nil {
				result <- err
				return
			}
			mu.Lock()
			calls++
			mu.Unlock()
		}
		result <- nil
	}()
	last, since := -1, time.Now()
	if !soon(func() bool {
		mu.Lock()
		defer mu.Unlock()
		if calls != last {
			last, since = calls, time.Now()
		}
		return calls > 0 && time.Since(since) > 100*time.Millisecond
	}) {
		t.Fatal("Write never blocks")
	}
	select {
	case err := <-result:
		t.Fatalf("Write did not block, it returned %v", err)
	default:
	}
	return result
}
