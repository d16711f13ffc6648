// SPDX-License-Identifier: Apache-2.0

// Package pidfd refers to processes by descriptor, pidfd_open(2), so that a
// signal never reaches a stranger who got the pid of a process that ended.
//
//	h, err := pidfd.OpenVerified(rec.InitPid, rec.InitStart)
//	err = h.Signal(unix.SIGTERM)
package pidfd

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/procfs"
)

// ErrGone says that the process does not exist any more, or that its pid
// belongs to another process now.
var ErrGone = errors.New("process is gone")

// Handle refers to one process; Close it.
type Handle struct {
	file *os.File
	pid  int
}

// Open refers to process pid, which must be a child of ours that we have not
// reaped, or otherwise known to hold its pid. ErrGone if there is none.
func Open(pid int) (*Handle, error) {
	for {
		fd, err := unix.PidfdOpen(pid, 0)
		switch {
		case err == nil:
			return New(fd, pid), nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ESRCH):
			return nil, ErrGone
		}
		return nil, fmt.Errorf("cannot open pidfd of process %d: %w", pid, err)
	}
}

// OpenVerified refers to the process pid that started at start, as
// procfs.StartTime tells; ErrGone if that one does not exist any more. A zombie
// does: ask Exited.
func OpenVerified(pid int, start uint64) (*Handle, error) {
	h, err := Open(pid)
	if err != nil {
		return nil, err
	}
	// The start time is read after the open. The process recorded with it holds
	// the pid without a gap since before the open if it still holds it now.
	now, err := procfs.StartTime(pid)
	if err == nil && now == start {
		return h, nil
	}
	_ = h.Close() // never used
	if err != nil && !procfs.Gone(err) {
		return nil, err
	}
	return nil, ErrGone
}

// New takes ownership of fd, a pidfd of process pid (what SysProcAttr.PidFD
// gives, which is why this is a number).
func New(fd, pid int) *Handle {
	return &Handle{os.NewFile(uintptr(fd), "pidfd of "+strconv.Itoa(pid)), pid}
}

// PID returns the number of the process in our pid namespace.
func (h *Handle) PID() int { return h.pid }

// File returns the descriptor, e.g. to send it. It stays the handle's.
func (h *Handle) File() *os.File { return h.file }

// Close gives the descriptor back; the process goes on.
func (h *Handle) Close() error { return h.file.Close() }

// Signal sends sig to the process; ErrGone if it has been reaped. Signal 0
// only checks.
func (h *Handle) Signal(sig unix.Signal) error {
	err := unix.PidfdSendSignal(int(h.file.Fd()), sig, nil, 0)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ESRCH):
		return ErrGone
	}
	return fmt.Errorf("cannot send signal %d to process %d: %w", sig, h.pid, err)
}

// Exited says whether the process has ended, whether or not it was reaped.
func (h *Handle) Exited() (bool, error) { return h.Wait(0) }

// Wait waits until the process has ended, at most for timeout or, if that is
// negative, without end, and says whether it did. It does not reap it.
func (h *Handle) Wait(timeout time.Duration) (bool, error) {
	deadline := time.Now().Add(timeout)
	for {
		fds := []unix.PollFd{{Fd: int32(h.file.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, milliseconds(timeout))
		switch {
		case err == nil && n > 0:
			return true, nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return false, fmt.Errorf("cannot wait for process %d: %w", h.pid, err)
		}
		if timeout < 0 {
			continue
		}
		if timeout = time.Until(deadline); timeout <= 0 {
			// Interrupted or not, the last word is a poll that does not wait.
			if err == nil {
				return false, nil
			}
			timeout = 0
		}
	}
}

// milliseconds rounds up, so that poll does not return before its time.
func milliseconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	const most = 1 << 30 // twelve days; the caller comes again
	return int(min((d+time.Millisecond-1)/time.Millisecond, most))
}
