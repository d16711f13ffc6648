// SPDX-License-Identifier: Apache-2.0

package fdpass

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func pair(t *testing.T, kind int) (a, b *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b = os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestReceivedFilesAreTheSentOnes(t *testing.T) {
	a, b := pair(t, unix.SOCK_SEQPACKET)
	r, w := pipe(t)
	if err := Send(a, []byte("two"), w, w); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	n, files, err := Recv(b, buf, 2)
	if err != nil || string(buf[:n]) != "two" || len(files) != 2 {
		t.Fatalf("Recv = %q, %d files, %v; want \"two\", 2 files", buf[:n], len(files), err)
	}
	w.Close()
	for _, f := range files {
		flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("flags = %#x, %v; want FD_CLOEXEC", flags, err)
		}
		if _, err := f.WriteString("x"); err != nil {
			t.Error(err)
		}
		f.Close()
	}
	if got, _ := io.ReadAll(r); string(got) != "xx" {
		t.Errorf("through the files came %q, want %q", got, "xx")
	}
}

func TestTooManyFilesAreClosed(t *testing.T) {
	for _, sent := range []int{2, 3, 9} {
		a, b := pair(t, unix.SOCK_STREAM)
		_, w := pipe(t)
		before := openFiles(t)
		files := make([]*os.File, sent)
		for i := range files {
			files[i] = w
		}
		if err := Send(a, []byte("x"), files...); err != nil {
			t.Fatal(err)
		}
		if _, got, err := Recv(b, make([]byte, 1), 1); !errors.Is(err, ErrTruncated) || got != nil {
			t.Errorf("%d files: Recv = %v, %v; want %v", sent, got, err, ErrTruncated)
		}
		if after := openFiles(t); after != before {
			t.Errorf("%d files: %d descriptors open, want %d", sent, after, before)
		}
	}
}

func TestLongDatagramIsTruncated(t *testing.T) {
	a, b := pair(t, unix.SOCK_SEQPACKET)
	if err := Send(a, []byte("12345")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Recv(b, make([]byte, 4), 0); !errors.Is(err, ErrTruncated) {
		t.Errorf("Recv = %v, want %v", err, ErrTruncated)
	}
}

func TestEndOfStream(t *testing.T) {
	a, b := pair(t, unix.SOCK_STREAM)
	a.Close()
	if n, files, err := Recv(b, make([]byte, 4), 1); n != 0 || len(files) != 0 || err != nil {
		t.Errorf("Recv = %d, %v, %v; want 0", n, files, err)
	}
	if err := Send(b, []byte("x")); !errors.Is(err, unix.EPIPE) {
		t.Errorf("Send = %v, want %v", err, unix.EPIPE)
	}
}

func TestSendRefusesEmptyPayload(t *testing.T) {
	a, _ := pair(t, unix.SOCK_STREAM)
	if err := Send(a, nil, a); !errors.Is(err, unix.EINVAL) {
		t.Errorf("Send = %v, want %v", err, unix.EINVAL)
	}
}

func TestNonBlockingSenderWaitsForReader(t *testing.T) {
	a, b := pair(t, unix.SOCK_STREAM)
	afd := int(a.Fd())
	if err := unix.SetNonblock(afd, true); err != nil {
		t.Fatal(err)
	}
	payload := []byte(strings.Repeat("p", 4<<20)) // more than a socket buffer
	done := make(chan error, 1)
	go func() { done <- Send(a, payload, a) }()
	buf, total := make([]byte, 1<<16), 0
	for total < len(payload) {
		n, files, err := Recv(b, buf, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(files) > 0 != (total == 0) {
			t.Errorf("at byte %d came %d files", total, len(files))
		}
		for _, f := range files {
			f.Close()
		}
		total += n
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestSendToSocketAtAnyLength(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{t.TempDir(), long} {
		path := filepath.Join(dir, "s")
		l := listen(t, dir)
		_, w := pipe(t)
		if err := SendToSocket(path, []byte("/dev/pts/0"), w); err != nil {
			t.Fatalf("%d bytes: %v", len(path), err)
		}
		fd, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		conn := os.NewFile(uintptr(fd), "accepted")
		buf := make([]byte, 64)
		n, files, err := Recv(conn, buf, 1)
		if err != nil || string(buf[:n]) != "/dev/pts/0" || len(files) != 1 {
			t.Fatalf("Recv = %q, %v, %v; want the name and one file", buf[:n], files, err)
		}
		files[0].Close()
		if n, _, err := Recv(conn, buf, 1); n != 0 || err != nil {
			t.Errorf("after it: %q, %v; want the end", buf[:n], err)
		}
		conn.Close()
	}
}

// listen makes the socket "s" in dir, through a descriptor as dir may be long.
func listen(t *testing.T, dir string) int {
	t.Helper()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	name := filepath.Join("/proc/self/fd", strconv.Itoa(int(d.Fd())), "s")
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestDialErrorsNameThePath(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	_, err := Dial(missing)
	if !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), missing) {
		t.Errorf("Dial = %v, want ENOENT with the path", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(file); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("Dial of a file = %v, want %v", err, unix.ECONNREFUSED)
	}
}
