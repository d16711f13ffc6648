// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOnlyOurUserAndRootAreServed(t *testing.T) {
	for _, c := range []struct {
		peer, own uint32
		want      bool
	}{{1000, 1000, true}, {0, 1000, true}, {0, 0, true}, {1000, 0, false}, {1001, 1000, false}} {
		if got := serves(c.peer, c.own); got != c.want {
			t.Errorf("serves(%d, %d) = %v, want %v", c.peer, c.own, got, c.want)
		}
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	s, path := serve(t, Options{})
	for range 5 {
		dial(t, path)
	}
	_ = s.Write(Stdout, []byte("all are here"))
	if got, want := runtime.NumGoroutine(), before+1+2*5; got > want {
		t.Errorf("%d goroutines, want at most %d", got, want)
	}
	for range 2 { // twice is harmless
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if !soon(func() bool { return runtime.NumGoroutine() <= before }) {
		t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
	}
}

func TestSocketIsFoundThroughLinkOfLongBundle(t *testing.T) {
	bundle := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	sockets, err := os.MkdirTemp("", "a") // short, as /var/run/crio is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sockets) }) // a temporary directory
	if err := os.MkdirAll(bundle, 0o755); err != nil {
		t.Fatal(err)
	}
	place := filepath.Join(sockets, "cuuid")
	if err := os.Symlink("/nowhere", place); err != nil { // of an earlier monitor
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, socketName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := serve(t, Options{Bundle: bundle, SocketDir: sockets, CUUID: "cuuid"})
	if target, err := os.Readlink(place); target != bundle {
		t.Errorf("link leads to %q (%v), want %q", target, err, bundle)
	}
	info, err := os.Stat(filepath.Join(bundle, socketName))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Mode(), os.ModeSocket|0o700; got != want {
		t.Errorf("mode = %v, want %v", got, want)
	}
	fd := dial(t, filepath.Join(place, socketName))
	_ = s.Write(Stderr, []byte("hello"))
	if got := next(t, fd); got != "\x03hello" {
		t.Errorf("packet = %q", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(place); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the link is still there: %v", err)
	}
}

func TestLinkOfNextMonitorSurvivesClose(t *testing.T) {
	dir := t.TempDir()
	s, _ := serve(t, Options{Bundle: dir, SocketDir: dir, CUUID: "x"})
	place := filepath.Join(dir, "x")
	if err := errors.Join(os.Remove(place), os.Symlink("/elsewhere", place), s.Close()); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(place); target != "/elsewhere" {
		t.Errorf("link leads to %q: %v", target, err)
	}
}

func TestFullMakesNoLink(t *testing.T) {
	dir := t.TempDir()
	serve(t, Options{Bundle: dir, SocketDir: dir, CUUID: "x", Full: true})
	if _, err := os.Lstat(filepath.Join(dir, "x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a link: %v", err)
	}
}

func TestListenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o     Options
		cause error
		want  string
	}{
		{Options{Bundle: "/nowhere"}, os.ErrNotExist, `cannot listen on "attach" in "/nowhere": no such file or directory`},
		{Options{Bundle: dir, SocketDir: "/nowhere", CUUID: "x"}, os.ErrNotExist, `cannot link "/nowhere/x" to "` + dir + `": no such file or directory`},
		{Options{Bundle: dir, SocketDir: dir, CUUID: "taken"}, unix.EISDIR, `cannot link "` + dir + `/taken" to "` + dir + `": is a directory`},
		{Options{Bundle: dir, SocketDir: dir, CUUID: "../x"}, nil, `cannot link the attach socket: "../x" is not a file name`},
		{Options{Bundle: dir, SocketDir: dir}, nil, `cannot link the attach socket: "" is not a file name`},
	} {
		s, err := Listen(c.o)
		if err == nil {
			_ = s.Close() // not expected to exist
		}
		if fmt.Sprint(err) != c.want || c.cause != nil && !errors.Is(err, c.cause) {
			t.Errorf("error = %v, want %s", err, c.want)
		}
	}
}
