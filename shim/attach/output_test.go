// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTwoClientsGetTheSameInOrder(t *testing.T) {
	s, path := serve(t, Options{})
	a, b := dial(t, path), dial(t, path)
	want := pattern(1 << 20)
	go func() {
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 10_000)
			_ = s.Write(Stdout, rest[:n]) // the readers see what is missing
			rest = rest[n:]
		}
	}()
	var group sync.WaitGroup
	for _, fd := range []int{a, b} {
		group.Go(func() {
			if got := read(t, fd, Stdout, len(want)); !bytes.Equal(got, want) {
				t.Error("a client got other bytes than were written")
			}
		})
	}
	group.Wait()
}

func TestPacketsNameTheirStreamAndFitClients(t *testing.T) {
	s, path := serve(t, Options{})
	fd := dial(t, path)
	whole := string(pattern(2*MaxOutput + 1))
	for _, w := range []struct {
		stream byte
		text   string
	}{{Stdout, whole}, {Stderr, "e"}, {Stdout, ""}, {Stdout, "o"}} {
		if err := s.Write(w.stream, []byte(w.text)); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []string{
		"\x02" + whole[:MaxOutput], "\x02" + whole[MaxOutput:2*MaxOutput], "\x02" + whole[2*MaxOutput:], "\x03e", "\x02o",
	} {
		if got := next(t, fd); got != want {
			t.Fatalf("packet %d has %d bytes of stream %d, want %d of stream %d", i, len(got), got[0], len(want), want[0])
		}
	}
	if got, want := fmt.Sprint(s.Write(1, nil)), "cannot write to attach socket: 1 is not an output stream"; got != want {
		t.Errorf("error = %q, want %q", got, want)
	}
}

func TestOutputBeforeAttachIsNotReplayed(t *testing.T) {
	s, path := serve(t, Options{})
	_ = s.Write(Stdout, []byte("early"))
	fd := dial(t, path)
	_ = s.Write(Stdout, []byte("late")) // at once: who has connected is served
	if got, want := next(t, fd), "\x02late"; got != want {
		t.Errorf("packet = %q, want %q", got, want)
	}
}

func TestStalledClientBlocksOnlyItsStream(t *testing.T) {
	input := make(chan string, 1)
	s, path := serve(t, Options{})
	s.Stdin(func(p []byte) error { input <- string(p); return nil })
	stalled, live := dial(t, path), dial(t, path)
	var group sync.WaitGroup
	errs := make(chan string, 1<<12)
	group.Go(func() { // the live client reads all the time
		for p := next(t, live); p != ""; p = next(t, live) {
			if p[0] == Stderr {
				errs <- p[1:]
			}
		}
	})
	const times = 256
	blocked := fill(t, s, Stdout, times)

	// What the container says on the other stream, input and newcomers go on.
	if err := s.Write(Stderr, []byte("still here")); err != nil {
		t.Fatal(err)
	}
	if got := within(t, "the other stream", errs); got != "still here" {
		t.Errorf("live client got %q", got)
	}
	if _, err := unix.Write(stalled, []byte("typed")); err != nil {
		t.Fatal(err)
	}
	if got := within(t, "input of the stalled client", input); got != "typed" {
		t.Errorf("input = %q", got)
	}
	late := dial(t, path)
	_ = s.Write(Stderr, []byte("welcome"))
	if got := next(t, late); got != "\x03welcome" {
		t.Errorf("newcomer got %q", got)
	}
	_ = unix.Close(late)

	// Reading goes on where it stopped: nothing was dropped.
	got := read(t, stalled, Stdout, times*MaxOutput)
	if want := bytes.Repeat(pattern(MaxOutput), times); !bytes.Equal(got, want) {
		t.Error("the stalled client lost output")
	}
	if err := within(t, "Write", blocked); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	group.Wait()
}

func TestBlockedWriteReturnsWhenTheClientGoes(t *testing.T) {
	s, path := serve(t, Options{})
	fd := dial(t, path)
	blocked := fill(t, s, Stdout, 1<<10)
	_ = unix.Close(fd)
	if err := within(t, "Write", blocked); err != nil {
		t.Error(err)
	}
	s.Stdin(nil)
	if !soon(func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.clients) == 0 }) {
		t.Error("the client is still known")
	}
}

func TestCloseEndsBlockedWrites(t *testing.T) {
	s, path := serve(t, Options{})
	dial(t, path)
	stdout, stderr := fill(t, s, Stdout, 1<<10), fill(t, s, Stderr, 1<<10)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, c := range []<-chan error{stdout, stderr} {
		if err := within(t, "Write", c); !errors.Is(err, ErrClosed) {
			t.Errorf("error = %v, want %v", err, ErrClosed)
		}
	}
	if err := s.Write(Stdout, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("error = %v, want %v", err, ErrClosed)
	}
}

func TestDrainWaitsForClients(t *testing.T) {
	s, path := serve(t, Options{})
	fd := dial(t, path)
	want := pattern(MaxOutput)
	size := 0
	for queued := false; !queued; size += len(want) {
		if err := s.Write(Stdout, want); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		queued = s.pending()
		s.mu.Unlock()
	}
	if err := s.Drain(time.Now()); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error = %v, want %v", err, os.ErrDeadlineExceeded)
	}
	drained := make(chan error, 1)
	go func() { drained <- s.Drain(time.Now().Add(patience)) }()
	// The kernel calls a socket writable when three quarters of its room are free.
	first := read(t, fd, Stdout, size/MaxOutput*7/8*MaxOutput)
	if err := within(t, "Drain", drained); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	// What was drained outlives the server.
	rest := read(t, fd, Stdout, size-len(first))
	if !bytes.Equal(append(first, rest...), bytes.Repeat(want, size/len(want))) {
		t.Error("the client lost output")
	}
	if p := next(t, fd); p != "" {
		t.Errorf("%d bytes after the end", len(p))
	}
}
