// SPDX-License-Identifier: Apache-2.0

package ociruntime

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth/shim/supervise"
)

// child is a process that nobody but us can reap.
type child struct {
	pid int
	fd  *os.File // a pidfd, known to Go's poller: waiting costs no thread
}

var _ supervise.Process = (*child)(nil)

// OpenChild refers to a child of ours that was not reaped, so pid is its. The
// process holds a descriptor until Wait has returned.
func OpenChild(pid int) (supervise.Process, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("pidfd_open %d: %w", pid, err)
	}
	return &child{pid, os.NewFile(uintptr(fd), "pidfd:"+strconv.Itoa(pid))}, nil
}

// Pid is in our pid namespace.
func (c *child) Pid() int { return c.pid }

// Signal signals the process; supervise.ErrNotFound if it has ended.
func (c *child) Signal(sig unix.Signal) error {
	raw, err := c.fd.SyscallConn()
	if err == nil {
		var sent error
		err = raw.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
		err = errors.Join(err, sent)
	}
	if errors.Is(err, unix.ESRCH) || errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("process already finished: %w", supervise.ErrNotFound)
	}
	return err
}

// Wait reaps the process and closes the pidfd. The status of a process that is
// not our child is 0.
func (c *child) Wait() (int, error) {
	defer c.fd.Close()
	raw, err := c.fd.SyscallConn()
	if err != nil {
		return 0, err
	}
	var ws syscall.WaitStatus
	var waited error
	err = raw.Read(func(fd uintptr) bool {
		// The pidfd says when, wait4 says how: a pid of ours that is not reaped
		// is nobody else's.
		var pid int
		for {
			if pid, waited = syscall.Wait4(c.pid, &ws, syscall.WNOHANG, nil); waited != syscall.EINTR {
				break
			}
		}
		if waited == syscall.ECHILD { // somebody else's: the pidfd knows when, nobody how
			if !ended(fd) {
				return false
			}
			waited = nil
			return true
		}
		return pid != 0 || waited != nil
	})
	if err = errors.Join(err, waited); err != nil {
		return 0, fmt.Errorf("wait for process %d: %w", c.pid, err)
	}
	if ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return ws.ExitStatus(), nil
}

// ended says whether the process of a pidfd has.
func ended(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// ReapOrphans reaps processes that became our children when their parents
// ended: a subreaper's duty, prctl(2) PR_SET_CHILD_SUBREAPER. Somebody waits for
// every other child, so a zombie that is still one a second later is an orphan.
// It returns when died is closed.
func ReapOrphans(died <-chan unix.Signal) {
	for range died {
		for last := 0; ; {
			pid := zombie()
			if pid == 0 {
				break
			}
			if pid == last {
				var ws syscall.WaitStatus
				_, _ = syscall.Wait4(pid, &ws, syscall.WNOHANG, nil)
				continue
			}
			last = pid
			time.Sleep(time.Second)
		}
	}
}

// zombie returns a child that has ended and leaves it one; 0 for none.
func zombie() int {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || info.Signo == 0 {
			return 0
		}
		return siginfoPid(&info)
	}
}
