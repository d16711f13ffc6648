// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/procfs"
)

// cat starts a process that lives until stdin is closed.
func cat(t *testing.T) (*exec.Cmd, io.Closer) {
	t.Helper()
	cmd := exec.Command("/bin/cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); _ = cmd.Wait() })
	return cmd, stdin
}

func open(t *testing.T, pid int) *Handle {
	t.Helper()
	h, err := Open(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func TestWaitSeesTheEndBeforeItIsReaped(t *testing.T) {
	cmd, stdin := cat(t)
	h := open(t, cmd.Process.Pid)
	for _, timeout := range []time.Duration{0, 3 * time.Millisecond} {
		begin := time.Now()
		ended, err := h.Wait(timeout)
		if ended || err != nil {
			t.Errorf("Wait(%v) = %v, %v; want false", timeout, ended, err)
		}
		if took := time.Since(begin); took < timeout {
			t.Errorf("Wait(%v) took only %v", timeout, took)
		}
	}
	stdin.Close()
	if ended, err := h.Wait(-1); !ended || err != nil {
		t.Errorf("Wait = %v, %v; want true", ended, err)
	}
	if err := h.Signal(0); err != nil {
		t.Errorf("signal to a zombie = %v, want none", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if ended, err := h.Exited(); !ended || err != nil {
		t.Errorf("Exited after reaping = %v, %v; want true", ended, err)
	}
	if err := h.Signal(unix.SIGTERM); !errors.Is(err, ErrGone) {
		t.Errorf("signal after reaping = %v, want %v", err, ErrGone)
	}
	if _, err := Open(cmd.Process.Pid); !errors.Is(err, ErrGone) {
		t.Errorf("Open after reaping = %v, want %v", err, ErrGone)
	}
}

func TestSignalEndsTheProcess(t *testing.T) {
	cmd, _ := cat(t)
	h := open(t, cmd.Process.Pid)
	if err := h.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if ended, err := h.Wait(10 * time.Second); !ended || err != nil {
		t.Fatalf("Wait = %v, %v; want true", ended, err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.String() != "signal: terminated" {
		t.Errorf("the process ended with %v, want SIGTERM", err)
	}
}

func TestStartTimeTellsProcessesWithOnePidApart(t *testing.T) {
	start, err := procfs.StartTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	h, err := OpenVerified(os.Getpid(), start)
	if err != nil {
		t.Fatal(err)
	}
	if h.PID() != os.Getpid() {
		t.Errorf("PID = %d, want %d", h.PID(), os.Getpid())
	}
	h.Close()
	if _, err := OpenVerified(os.Getpid(), start+1); !errors.Is(err, ErrGone) {
		t.Errorf("with another start time = %v, want %v", err, ErrGone)
	}
}

func TestImpossiblePid(t *testing.T) {
	if _, err := Open(-1); !errors.Is(err, unix.EINVAL) {
		t.Errorf("Open(-1) = %v, want %v", err, unix.EINVAL)
	}
}
