// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openPTY makes a pty; the slave does not become our controlling terminal.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) {
		t.Skipf("no pty on this machine: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	s, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(m), unix.TIOCGPTPEER, flags)
	if errno != 0 {
		t.Fatal(errno)
	}
	master, slave = os.NewFile(uintptr(m), "master"), os.NewFile(s, "slave")
	t.Cleanup(func() { master.Close(); slave.Close() })
	return master, slave
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	r, w = os.NewFile(uintptr(fds[0]), "pipe"), os.NewFile(uintptr(fds[1]), "pipe")
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func foreground(t *testing.T, master, stdin, stdout *os.File) *Session {
	t.Helper()
	s, err := Foreground(master, stdin, stdout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// on starts a program with the slave as its terminal, and drops our copy.
func on(t *testing.T, slave *os.File, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	return cmd
}

func end(t *testing.T, cmd *exec.Cmd, s *Session) {
	t.Helper()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	begin := time.Now()
	if err := errors.Join(s.Wait(10*time.Second), s.Close()); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("Wait took %v: it missed the end", took)
	}
}

func readAll(r *os.File) <-chan string {
	got := make(chan string, 1)
	go func() {
		data, _ := io.ReadAll(r)
		got <- string(data)
	}()
	return got
}

func TestAllOutputComesOutOfAShortProcess(t *testing.T) {
	for range 10 {
		master, slave := openPTY(t)
		r, w := pipe(t)
		got := readAll(r)
		s := foreground(t, master, nil, w)
		cmd := on(t, slave, "/bin/sh", "-c", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done")
		end(t, cmd, s)
		w.Close()
		out := <-got
		if n := strings.Count(out, "\n"); n != 2000 || !strings.HasSuffix(out, "\nline 1999\n") {
			t.Fatalf("got %d lines, the last %q; want 2000 without \\r", n, out[max(0, len(out)-20):])
		}
	}
}

func TestEndOfPipeIsEndOfFile(t *testing.T) {
	for _, input := range []string{"", "whole\n", "whole\npart"} {
		master, slave := openPTY(t)
		inR, inW := pipe(t)
		outR, outW := pipe(t)
		got := readAll(outR)
		if _, err := inW.WriteString(input); err != nil {
			t.Fatal(err)
		}
		inW.Close()
		noEcho(t, slave)
		s := foreground(t, master, inR, outW)
		end(t, on(t, slave, "/bin/cat"), s)
		outW.Close()
		if out := <-got; out != input {
			t.Errorf("cat of %q gave %q", input, out)
		}
	}
}

// A shell that edits lines makes its terminal raw when it begins to read: what
// said the end before that is not there for it.
func TestEndOfPipeReachesAShellThatEditsLines(t *testing.T) {
	master, slave := openPTY(t)
	inR, inW := pipe(t)
	inW.Close()
	foreground(t, master, inR, nil)
	time.Sleep(firstRepeat / 2)
	if err := unix.IoctlSetInt(int(slave.Fd()), unix.TCFLSH, unix.TCIFLUSH); err != nil {
		t.Fatal(err)
	}
	raw, err := MakeRaw(slave)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Restore()
	key := make([]byte, 1)
	if n, err := slave.Read(key); n != 1 || key[0] != ctrlD {
		t.Errorf("read %v, %v", key[:n], err)
	}
}

func noEcho(t *testing.T, tty *os.File) {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err == nil {
		s.Lflag &^= unix.ECHO
		err = unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, s)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestProcessThatDoesNotReadBlocksNothing(t *testing.T) {
	master, slave := openPTY(t)
	inR, inW := pipe(t)
	outR, outW := pipe(t)
	got := readAll(outR)
	go func() {
		_, _ = inW.Write(bytes.Repeat([]byte("input\n"), 50000)) // EPIPE at the end
		inW.Close()
	}()
	s := foreground(t, master, inR, outW)
	end(t, on(t, slave, "/bin/sh", "-c", "stty -echo; echo output"), s)
	inR.Close()
	outW.Close()
	if out := <-got; !strings.HasSuffix(out, "output\n") {
		t.Errorf("got %d bytes that end in %q, want output", len(out), out[max(0, len(out)-20):])
	}
}

func TestCloseEndsAnEndlessWriter(t *testing.T) {
	master, slave := openPTY(t)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	s := foreground(t, master, nil, null)
	cmd := on(t, slave, "/bin/sh", "-c", "while echo x; do :; done 2>/dev/null")
	if err := s.Wait(20 * time.Millisecond); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // its terminal is gone
}

func TestCloseDoesNotWaitForAReaderOfStdout(t *testing.T) {
	master, slave := openPTY(t)
	_, w := pipe(t) // nobody reads
	s := foreground(t, master, nil, w)
	cmd := on(t, slave, "/bin/sh", "-c", "while echo 0123456789; do :; done 2>/dev/null")
	_ = s.Wait(50 * time.Millisecond)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
}

func TestFailingStdoutIsReportedAndBlocksNothing(t *testing.T) {
	master, slave := openPTY(t)
	r, w := pipe(t)
	r.Close()
	s := foreground(t, master, nil, w)
	cmd := on(t, slave, "/bin/sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo 0123456789; i=$((i+1)); done")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if err := s.Wait(10 * time.Second); !errors.Is(err, unix.EPIPE) {
		t.Errorf("Wait = %v, want %v", err, unix.EPIPE)
	}
}

// TestOurTerminal is the case of BuildKit, and of people: stdin and stdout are
// a terminal of ours.
func TestOurTerminal(t *testing.T) {
	ourMaster, ours := openPTY(t)
	before, err := unix.IoctlGetTermios(int(ours.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	if err := SetSize(ourMaster, 33, 111); err != nil {
		t.Fatal(err)
	}
	master, slave := openPTY(t)
	s := foreground(t, master, ours, ours)
	raw, err := unix.IoctlGetTermios(int(ours.Fd()), unix.TCGETS)
	if err != nil || raw.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 || raw.Oflag&unix.OPOST != 0 {
		t.Errorf("settings = %+v, %v; want raw ones", raw, err)
	}
	wantSize(t, slave, 33, 111)
	if err := SetSize(ourMaster, 44, 122); err != nil {
		t.Fatal(err)
	}
	if err := s.Resize(); err != nil {
		t.Error(err)
	}
	wantSize(t, slave, 44, 122)
	cmd := on(t, slave, "/bin/sh", "-c", "stty -echo; echo ready; read x; echo got $x")
	wantOutput(t, ourMaster, "ready\r\n")
	if _, err := ourMaster.WriteString("word\r"); err != nil {
		t.Fatal(err)
	}
	wantOutput(t, ourMaster, "got word\r\n")
	end(t, cmd, s)
	after, err := unix.IoctlGetTermios(int(ours.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("settings = %+v, %v; want %+v again", after, err, before)
	}
}

func wantSize(t *testing.T, tty *os.File, rows, cols uint16) {
	t.Helper()
	got, err := unix.IoctlGetWinsize(int(tty.Fd()), unix.TIOCGWINSZ)
	if err != nil || got.Row != rows || got.Col != cols {
		t.Errorf("size = %+v, %v; want %d rows, %d columns", got, err, rows, cols)
	}
}

// wantOutput reads until text came; what comes before it, such as an echo, is
// not looked at.
func wantOutput(t *testing.T, f *os.File, text string) {
	t.Helper()
	var all []byte
	buf := make([]byte, 100)
	for !bytes.HasSuffix(all, []byte(text)) {
		fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
		if n, err := retry(func() (int, error) { return unix.Poll(fds, 10000) }); n == 0 || err != nil {
			t.Fatalf("got %q, want %q: %v", all, text, err)
		}
		n, err := f.Read(buf)
		if err != nil {
			t.Fatalf("got %q, want %q: %v", all, text, err)
		}
		all = append(all, buf[:n]...)
	}
}

func TestSizeOfAPipeLeavesTheConfigsAlone(t *testing.T) {
	ourMaster, ours := openPTY(t) // 0 by 0
	defer ourMaster.Close()
	master, slave := openPTY(t)
	if err := SetSize(master, 10, 20); err != nil {
		t.Fatal(err)
	}
	s := foreground(t, master, ours, ours)
	if err := s.Resize(); err != nil {
		t.Error(err)
	}
	wantSize(t, slave, 10, 20)
}

func TestIsTerminal(t *testing.T) {
	_, slave := openPTY(t)
	r, _ := pipe(t)
	for f, want := range map[*os.File]bool{slave: true, r: false, nil: false} {
		if got := IsTerminal(f); got != want {
			t.Errorf("IsTerminal(%v) = %v, want %v", f, got, want)
		}
	}
	if _, err := MakeRaw(r); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("MakeRaw of a pipe = %v, want %v", err, unix.ENOTTY)
	}
	if err := SetSize(r, 1, 1); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("SetSize of a pipe = %v, want %v", err, unix.ENOTTY)
	}
	if _, err := Foreground(r, nil, nil); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("Foreground of a pipe = %v, want %v", err, unix.ENOTTY)
	}
}

func TestNoDescriptorIsLeaked(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := count()
	master, slave := openPTY(t)
	s := foreground(t, master, nil, nil)
	slave.Close()
	if err := errors.Join(s.Wait(10*time.Second), s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors open, want %d", after, before)
	}
}
