// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

func TestHalfClosedClientStillReads(t *testing.T) {
	input, eof := make(chan string, 2), make(chan struct{}, 2)
	s, path := serve(t, Options{OnEOF: func() { eof <- struct{}{} }})
	fd := dial(t, path)
	large := string(pattern(MaxInput))
	for _, text := range []string{"first", large} { // before Stdin: it waits
		if _, err := unix.Write(fd, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	s.Stdin(func(p []byte) error { input <- string(p); return nil })
	within(t, "end of input", eof)
	for _, want := range []string{"first", large} {
		if got := within(t, "input", input); got != want {
			t.Errorf("input has %d bytes, want %d", len(got), len(want))
		}
	}
	_ = s.Write(Stdout, []byte("answer"))
	if got, want := next(t, fd), "\x02answer"; got != want {
		t.Errorf("packet = %q, want %q", got, want)
	}
	_ = unix.Close(fd)
	if !soon(func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.clients) == 0 }) {
		t.Error("a client that closed silently is still known")
	}
	if len(eof) != 0 {
		t.Error("OnEOF was called twice for a client")
	}
}

func TestInputOfClientThatLeavesOutputUnreadArrives(t *testing.T) {
	input, eof := make(chan string, 1), make(chan struct{}, 1)
	s, path := serve(t, Options{OnEOF: func() { eof <- struct{}{} }})
	fd := dial(t, path)
	_ = s.Write(Stdout, []byte("unread"))
	if _, err := unix.Write(fd, []byte("last words")); err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(fd) // makes it ECONNRESET here
	s.Stdin(func(p []byte) error { input <- string(p); return nil })
	if got := within(t, "input", input); got != "last words" {
		t.Errorf("input = %q", got)
	}
	within(t, "end of input", eof)
}

func TestClientIsNotReadWhileInputBlocks(t *testing.T) {
	s, path := serve(t, Options{})
	entered, release := make(chan struct{}, 1<<10), make(chan struct{})
	s.Stdin(func([]byte) error { entered <- struct{}{}; <-release; return nil })
	fd := dial(t, path)
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	sent := 0
	if !soon(func() bool {
		_, err := unix.Write(fd, pattern(MaxInput))
		if err == nil {
			sent++
		}
		return errors.Is(err, unix.EAGAIN) && len(entered) == 1
	}) {
		t.Fatalf("the client could send %d packets without end", sent)
	}
	if err := s.Write(Stdout, []byte("x")); err != nil {
		t.Fatal(err)
	}
	close(release)
	for range sent {
		within(t, "input", entered)
	}
}

func TestInputThatFailsIsForgotten(t *testing.T) {
	eof := make(chan struct{})
	s, path := serve(t, Options{OnEOF: func() { close(eof) }})
	calls := 0
	s.Stdin(func([]byte) error { calls++; return io.ErrClosedPipe })
	fd := dial(t, path)
	for range 100 { // more than the socket holds
		if _, err := unix.Write(fd, pattern(MaxInput)); err != nil {
			t.Fatal(err)
		}
	}
	_ = unix.Close(fd)
	within(t, "end of input", eof)
	if calls != 1 {
		t.Errorf("input was offered %d times, want once", calls)
	}
}
