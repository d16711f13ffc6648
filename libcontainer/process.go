// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Process is a container's process that is our child.
type Process struct {
	pid int
}

// Pid returns the process's pid in our pid namespace.
func (p *Process) Pid() int { return p.pid }

// Signal sends a signal. The pid cannot have been reused while the process is
// our child and Wait has not returned.
func (p *Process) Signal(sig unix.Signal) error { return unix.Kill(p.pid, sig) }

// Wait waits for the end of the process and returns its exit code, or 128 and
// the number of the signal that ended it.
func (p *Process) Wait() (int, error) {
	var ws syscall.WaitStatus
	if _, err := wait4(p.pid, &ws); err != nil {
		return 0, fmt.Errorf("wait for process %d: %w", p.pid, err)
	}
	return ExitCode(ws), nil
}

// ExitCode is a wait status as shells and engines know it.
func ExitCode(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}
