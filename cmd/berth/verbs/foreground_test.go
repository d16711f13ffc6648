// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// begin starts a program whose first line of output says that it is ready.
func begin(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestWaitForwardsSignalsAndReturnsTheStatus(t *testing.T) {
	for _, c := range []struct {
		name, script string
		signals      []os.Signal
		want         int
	}{
		{"exit status", "echo; exit 7", nil, 7},
		{"signal that ends it", "echo; exec sleep 60", []os.Signal{unix.SIGKILL}, 137},
		{"signal that it handles", `trap "exit 5" USR1; echo; while :; do sleep 0.01; done`, []os.Signal{unix.SIGUSR1}, 5},
		{"ours alone", `trap "exit 1" URG PIPE WINCH; trap "exit 6" HUP; echo; while :; do sleep 0.01; done`,
			[]os.Signal{unix.SIGURG, unix.SIGPIPE, unix.SIGWINCH, unix.SIGCHLD, unix.SIGHUP}, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := newForeground(false, standard)
			if err != nil {
				t.Fatal(err)
			}
			defer f.end(stderrOnly(os.Stderr))
			cmd := begin(t, c.script)
			for _, s := range c.signals {
				f.signals <- s
			}
			if got, err := f.wait(cmd.Process.Pid); err != nil || got != c.want {
				t.Errorf("status = %d, %v; want %d", got, err, c.want)
			}
		})
	}
}

func TestWaitReapsStrangers(t *testing.T) {
	f, err := newForeground(false, standard)
	if err != nil {
		t.Fatal(err)
	}
	defer f.end(stderrOnly(os.Stderr))
	stranger := begin(t, "echo; exit 1")
	cmd := begin(t, "echo; sleep 0.05; exit 3")
	if got, err := f.wait(cmd.Process.Pid); err != nil || got != 3 {
		t.Errorf("status = %d, %v; want 3", got, err)
	}
	if _, err := unix.Wait4(stranger.Process.Pid, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("wait for the stranger: %v, want %v: it was not reaped", err, unix.ECHILD)
	}
}
