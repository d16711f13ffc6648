// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// start runs a program with our stdio and returns the child.
func start(t *testing.T, p *Program, l Launch) *Child {
	t.Helper()
	l.Program = p
	if l.Files == nil {
		l.Files = []*os.File{nil, os.Stdout, os.Stderr}
	}
	c, err := Start(l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func exitStatus(t *testing.T, pid int) int {
	t.Helper()
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &ws, 0, nil); err != nil {
		t.Fatal(err)
	}
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

func native() Arch { a, _ := Interpreter(); return a }

func finish(t *testing.T, b *Builder) *Program {
	t.Helper()
	p, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestInterpreterBounds(t *testing.T) {
	_, code := Interpreter()
	if len(code) < 200 || len(code) > 600 {
		t.Fatalf("interpreter of %d bytes", len(code))
	}
}

func TestExit(t *testing.T) {
	b := New(Config{Arch: native(), Control: 3})
	b.Do(ExitGroup, 42)
	c := start(t, finish(t, b), Launch{})
	if m, err := c.Receive(); err != nil || !m.Done {
		t.Fatalf("message = %+v, %v; want the end", m, err)
	}
	if s := exitStatus(t, c.Pid); s != 42 {
		t.Errorf("exit status = %d, want 42", s)
	}
}

func TestFailureNamesOperationAndErrno(t *testing.T) {
	b := New(Config{Arch: native(), Control: 3})
	w := b.Word("fd")
	b.Do(Openat, unix.AT_FDCWD, "/", unix.O_PATH|unix.O_CLOEXEC, 0).Into(w)
	b.Do(Openat, w, "no/such", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	b.Do(ExitGroup, 0)
	c := start(t, finish(t, b), Launch{})
	_, err := c.Receive()
	var f *Failure
	if !errors.As(err, &f) || f.Op != 1 || f.Errno != unix.ENOENT {
		t.Fatalf("error = %v, want operation 1, ENOENT", err)
	}
	if s := exitStatus(t, c.Pid); s != 1 {
		t.Errorf("exit status = %d, want 1", s)
	}
}

func TestRulesJumpsAndWords(t *testing.T) {
	b := New(Config{Arch: native(), Control: 3})
	missing, seven, end := b.Label(), b.Label(), b.Label()
	w, flag := b.Word("value"), b.Flag("flag")
	b.Do(Openat, unix.AT_FDCWD, "/no/such", unix.O_RDONLY|unix.O_CLOEXEC, 0).Skip(unix.EPERM).On(missing, unix.ENOENT)
	b.Do(ExitGroup, 1)
	b.Place(missing)
	b.Do(Chdir, "/no/such").Skip(AnyErrno)
	b.JumpUnlessEqual(flag.Addr(), 0xff, 0, end)
	b.Set(w, 7)
	b.JumpIfEqual(w.Addr(), 0xff, 7, seven)
	b.Do(ExitGroup, 2)
	b.Place(seven)
	b.Do(ExitGroup, w)
	b.Place(end)
	b.Do(ExitGroup, 3)
	c := start(t, finish(t, b), Launch{})
	if s := exitStatus(t, c.Pid); s != 7 {
		t.Errorf("exit status = %d, want 7", s)
	}
}

func TestBarrierAnswerAndParentDeath(t *testing.T) {
	b := New(Config{Arch: native(), Control: 3})
	buf, n := b.Buffer("answer", 64), b.Word("length")
	b.Do(Write, b.Control(), b.Bytes(BarrierHeader(5)), 8)
	b.Do(Read, b.Control(), buf, 64).Into(n)
	b.Do(Write, b.Control(), b.Bytes(BarrierHeader(6)), 8)
	b.Do(Read, b.Control(), buf, 64).Into(n)
	b.Do(ExitGroup, n)
	c := start(t, finish(t, b), Launch{Cloneflags: 0})
	m, err := c.Receive()
	if err != nil || m.Barrier != 5 || m.Pid != c.Pid {
		t.Fatalf("message = %+v, %v; want barrier 5 from %d", m, err, c.Pid)
	}
	if err := c.Answer([]byte("late data")); err != nil {
		t.Fatal(err)
	}
	if m, err = c.Receive(); err != nil || m.Barrier != 6 {
		t.Fatalf("message = %+v, %v; want barrier 6", m, err)
	}
	c.Close()
	if s := exitStatus(t, c.Pid); s != 0 { // read returned 0: the parent is gone
		t.Errorf("exit status = %d, want 0", s)
	}
}

func TestExecuteWithoutMemfd(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a detached tmpfs needs root")
	}
	b := New(Config{Arch: native(), Control: 3})
	b.Do(ExitGroup, 9)
	c := start(t, finish(t, b), Launch{MemfdNoexec: true})
	if s := exitStatus(t, c.Pid); s != 9 {
		t.Errorf("exit status = %d, want 9", s)
	}
}

// TestImageDescriptorIsNotClosed: a long list of closed descriptors once
// covered the image's own.
func TestImageDescriptorIsNotClosed(t *testing.T) {
	b := New(Config{Arch: native(), Control: 3})
	b.Do(ExitGroup, 7)
	c := start(t, finish(t, b), Launch{Files: make([]*os.File, 64)})
	if s := exitStatus(t, c.Pid); s != 7 {
		t.Errorf("exit status = %d, want 7", s)
	}
}
