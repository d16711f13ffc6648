// SPDX-License-Identifier: Apache-2.0

package sdnotify

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/pidfd"
)

// process starts one that lives until the returned function ends it.
func process(t *testing.T) (*pidfd.Handle, func()) {
	t.Helper()
	cmd := exec.Command("/bin/cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h, err := pidfd.Open(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); _ = cmd.Wait(); h.Close() })
	return h, func() { stdin.Close() }
}

func proxy(t *testing.T, stateDir, host string) *Proxy {
	t.Helper()
	dir, err := Setup(stateDir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Listen(dir, host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func say(t *testing.T, stateDir, message string) {
	t.Helper()
	conn, err := net.Dial("unixgram", filepath.Join(stateDir, Dir, socketName))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, message); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, conn *net.UnixConn) (message string, fds []int) {
	t.Helper()
	buf, oob := make([]byte, 4096), make([]byte, 64)
	n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
	if err != nil {
		t.Fatal(err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		t.Fatal(err)
	}
	if len(msgs) > 0 {
		if fds, err = unix.ParseUnixRights(&msgs[0]); err != nil {
			t.Fatal(err)
		}
	}
	return string(buf[:n]), fds
}

func TestReadyIsForwardedWithHostPidAndBarrier(t *testing.T) {
	for _, abstract := range []bool{false, true} {
		state := t.TempDir()
		host := filepath.Join(t.TempDir(), "manager")
		if abstract {
			host = "@berth-sdnotify-test-" + strconv.Itoa(os.Getpid())
		}
		m, p := manager(t, host), proxy(t, state, host)
		init, _ := process(t)
		done := make(chan error, 1)
		go func() { done <- p.Forward(init) }()
		say(t, state, "STATUS=READY=1 soon\nMAINPID=1")
		say(t, state, "READY=0")
		say(t, state, "MAINPID=1\nFDSTORE=1\nREADY=1\nSTATUS=up")
		if got, _ := receive(t, m); got != "READY=1\nMAINPID="+strconv.Itoa(init.PID())+"\n" {
			t.Errorf("the manager got %q", got)
		}
		got, fds := receive(t, m)
		if got != "BARRIER=1" || len(fds) != 1 {
			t.Fatalf("the manager got %q with %d files, want BARRIER=1 with one", got, len(fds))
		}
		select {
		case err := <-done:
			t.Errorf("Forward returned %v before the barrier was lifted", err)
		case <-time.After(10 * time.Millisecond):
		}
		unix.Close(fds[0])
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestBusyManagerIsNoError(t *testing.T) {
	state, host := t.TempDir(), filepath.Join(t.TempDir(), "manager")
	manager(t, host)
	p := proxy(t, state, host)
	p.barrier = 5 * time.Millisecond
	init, _ := process(t)
	say(t, state, "READY=1")
	if err := p.Forward(init); err != nil {
		t.Error(err)
	}
}

func TestEndOfInitEndsForward(t *testing.T) {
	state, host := t.TempDir(), filepath.Join(t.TempDir(), "manager")
	p := proxy(t, state, host)
	init, end := process(t)
	say(t, state, "STATUS=starting")
	end()
	if err := p.Forward(init); err != nil {
		t.Errorf("Forward = %v, want none", err)
	}
}

func TestMissingManagerIsAnError(t *testing.T) {
	state, host := t.TempDir(), filepath.Join(t.TempDir(), "none")
	p := proxy(t, state, host)
	init, _ := process(t)
	say(t, state, "READY=1")
	if err := p.Forward(init); !errors.Is(err, unix.ENOENT) {
		t.Errorf("Forward = %v, want %v", err, unix.ENOENT)
	}
}

func TestListenAgainAndAtLongPath(t *testing.T) {
	state := filepath.Join(t.TempDir(), strings.Repeat("d", 150))
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	proxy(t, state, "/run/x").Close()
	p, err := Listen(filepath.Join(state, Dir), "/run/x")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	fi, err := os.Stat(filepath.Join(state, Dir, socketName))
	if err != nil || fi.Mode().Perm() != 0o777 {
		t.Errorf("socket's mode = %v, %v, want 777", fi, err)
	}
	for _, host := range []string{"", "/", "@", "relative", "vsock:2:3"} {
		if _, err := Listen(filepath.Join(state, Dir), host); err == nil {
			t.Errorf("NOTIFY_SOCKET %q was accepted", host)
		}
	}
}
