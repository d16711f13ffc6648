// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth/libcontainer"
	"berth/libcontainer/console"
)

// foreground stands between our caller and a process of a container: it passes
// signals, the terminal and its size on, and waits.
type foreground struct {
	signals chan os.Signal
	session *console.Session // nil without a terminal
	stdio   [3]*os.File
}

// outputGrace is how long the output of background processes is waited for
// once the main process has ended; all of the main process's is read anyway.
const outputGrace = time.Second

// newForeground begins to collect signals, so that none that comes while the
// container is made is lost. As subreaper we adopt its orphans.
func newForeground(subreaper bool, stdio [3]*os.File) (*foreground, error) {
	if subreaper {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return nil, fmt.Errorf("cannot become child subreaper: %w", err)
		}
	}
	f := &foreground{signals: make(chan os.Signal, 1024), stdio: stdio}
	// Each costs a round trip to the Go runtime's signal thread, all 65 of them
	// 2 ms: those that engines send first, the others while the process runs.
	signal.Notify(f.signals, unix.SIGCHLD, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGWINCH)
	return f, nil
}

// attach takes the master of the process's terminal.
func (f *foreground) attach(master *os.File) error {
	var err error
	f.session, err = console.Foreground(master, f.stdio[0], f.stdio[1])
	return err
}

// wait returns the exit status of the process, as a shell sees it.
func (f *foreground) wait(pid int) (int, error) {
	// A short process ends before that and is not held up by it.
	rest := time.AfterFunc(2*time.Millisecond, func() { signal.Notify(f.signals) })
	defer rest.Stop()
	for {
		status, ended, err := reap(pid)
		if ended || err != nil {
			return status, err
		}
		if err := f.forward(pid, <-f.signals); err != nil {
			return 1, err
		}
	}
}

// forward handles one signal that we got.
func (f *foreground) forward(pid int, sig os.Signal) error {
	switch sig {
	case unix.SIGCHLD: // wait reaps after each signal
	case unix.SIGURG: // the Go runtime sends it to itself
	case unix.SIGPIPE: // about our own output
	case unix.SIGWINCH:
		if f.session != nil {
			return f.session.Resize()
		}
	default:
		s, ok := sig.(unix.Signal)
		if !ok {
			return nil
		}
		// The process is our child and not reaped yet: its pid is its own.
		if err := unix.Kill(pid, s); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("cannot forward signal %d to process %d: %w", int(s), pid, err)
		}
	}
	return nil
}

// end restores our terminal, after the last output.
func (f *foreground) end(log *logger) {
	signal.Stop(f.signals)
	if f.session == nil {
		return
	}
	if err := errors.Join(f.session.Wait(outputGrace), f.session.Close()); err != nil {
		log.warn(err.Error())
	}
}

// reap collects all children that have ended and says whether pid is one of
// them. The others are orphans that we have adopted.
func reap(pid int) (status int, ended bool, err error) {
	for {
		var ws unix.WaitStatus
		child, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECHILD) && ended:
			return status, true, nil
		case err != nil:
			return 1, false, fmt.Errorf("cannot wait for process %d: %w", pid, err)
		case child == 0:
			return status, ended, nil
		case child == pid:
			status, ended = libcontainer.ExitCode(syscall.WaitStatus(ws)), true
		}
	}
}
