// SPDX-License-Identifier: Apache-2.0

package stdio

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func init() { clientTime = 10 * time.Millisecond } // most of these clients come late

func fifo(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// process writes and reads as a container's process would.
func process(t *testing.T, s *Streams) (in, out, errs *os.File) {
	t.Helper()
	var files [3]*os.File
	for i, f := range s.Wiring().Stdio {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			t.Fatal(err)
		}
		files[i] = os.NewFile(uintptr(fd), f.Name())
	}
	s.Begun()
	return files[0], files[1], files[2]
}

func TestOutputArrivesWholeAndEnds(t *testing.T) {
	dir := t.TempDir()
	o := Options{Stdout: fifo(t, dir, "out"), Stderr: fifo(t, dir, "err")}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, out, errs := process(t, s)
	client, err := os.OpenFile(o.Stdout, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat("0123456789abcdef", 100000)
	go func() {
		_, _ = io.WriteString(out, want)
		_ = out.Close()
		_ = errs.Close()
	}()
	got, err := io.ReadAll(client) // EOF without Close: the end of the output
	if err != nil || string(got) != want {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
}

func TestAStalledReaderHoldsUpItsStreamOnly(t *testing.T) {
	dir := t.TempDir()
	o := Options{Stdout: fifo(t, dir, "out"), Stderr: fifo(t, dir, "err")}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, out, errs := process(t, s)
	go func() { _, _ = io.WriteString(out, strings.Repeat("x", 1<<20)) }() // nobody reads it
	client, err := os.OpenFile(o.Stderr, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(errs, "alive"); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 5)
	if _, err := io.ReadFull(client, buffer); err != nil || string(buffer) != "alive" {
		t.Errorf("%q, %v", buffer, err)
	}
	giveUp := make(chan struct{})
	time.AfterFunc(20*time.Millisecond, func() { close(giveUp) })
	s.Drain(giveUp) // returns although a stream is stuck
}

// containerd was away while the process ended: what that wrote last is there for
// who comes back, with its end.
func TestOutputWaitsForAClientThatComesAfterTheEnd(t *testing.T) {
	dir := t.TempDir()
	o := Options{Stdout: fifo(t, dir, "out"), Stderr: fifo(t, dir, "err")}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, out, errs := process(t, s)
	if _, err := io.WriteString(out, "last words"); err != nil {
		t.Fatal(err)
	}
	_ = out.Close()
	_ = errs.Close()
	s.Drain(nil)
	client, err := os.OpenFile(o.Stdout, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(client); err != nil || string(got) != "last words" {
		t.Errorf("%q, %v", got, err)
	}
}

// A client on a busy machine opens its end while we open ours; the process may be
// over at once.
func TestAClientIsWaitedFor(t *testing.T) {
	defer func(was time.Duration) { clientTime = was }(clientTime)
	clientTime = time.Minute
	o := Options{Stdout: fifo(t, t.TempDir(), "out")}
	client := make(chan *os.File, 1)
	time.AfterFunc(50*time.Millisecond, func() {
		f, _ := os.OpenFile(o.Stdout, os.O_RDONLY|unix.O_NONBLOCK, 0)
		client <- f
	})
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	select {
	case f := <-client:
		_ = f.Close()
	case <-time.After(time.Second): // it opens before it says so
		t.Error("opened without a client")
	}
}

func TestCloseDoesNotWaitForAClient(t *testing.T) {
	before := descriptors(t)
	for range 100 {
		o := Options{Stdout: fifo(t, t.TempDir(), "out")}
		s, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		in, out, errs := process(t, s)
		_, _ = io.WriteString(out, "last words")
		for _, f := range []*os.File{in, out, errs} {
			_ = f.Close()
		}
		s.Drain(nil)
		_ = os.Remove(o.Stdout)
		s.Close()
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

func TestStdinEndsWhenBothEndsAreClosed(t *testing.T) {
	dir := t.TempDir()
	o := Options{Stdin: fifo(t, dir, "in")}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	in, _, _ := process(t, s)
	client, err := os.OpenFile(o.Stdin, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(client, "one"); err != nil {
		t.Fatal(err)
	}
	_ = client.Close() // a client that goes may come back
	buffer := make([]byte, 3)
	if _, err := io.ReadFull(in, buffer); err != nil || string(buffer) != "one" {
		t.Errorf("%q, %v", buffer, err)
	}
	if err := s.CloseStdin(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(in); err != nil || len(rest) != 0 {
		t.Errorf("%q, %v", rest, err)
	}
	if err := s.CloseStdin(); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func TestWhatIsNoFifoIsRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{
		{Stdout: file}, {Stdin: file}, {Stdout: filepath.Join(dir, "none")}, {Stdout: "gopher://x"},
		{Stdout: "binary:///no/such/logger"}, {Stdout: "file://" + file + "/x"},
	} {
		before := descriptors(t)
		if s, err := Open(o); err == nil {
			s.Close()
			t.Errorf("%+v was taken", o)
		}
		if after := descriptors(t); after > before {
			t.Errorf("%+v: %d descriptors, %d before", o, after, before)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
