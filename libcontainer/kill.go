// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"berth/internal/pidfd"
	"berth/libcontainer/config"
	"berth/libcontainer/state"
)

// Kill sends a signal to init, or with all to every process of the container.
// Without a pid namespace of its own, SIGKILL goes to every process too: the
// kernel would not end them with init. The error is ErrNotRunning if init is
// gone.
func (c *Container) Kill(sig unix.Signal, all bool) error {
	if sig == unix.SIGKILL && !c.ownPIDNamespace() {
		all = true
	}
	if all {
		return c.killAll(sig)
	}
	if err := killInit(c.rec, sig); err != nil {
		return err
	}
	if sig == unix.SIGKILL {
		// A task frozen by cgroup v1 dies once it is thawed.
		if m, err := c.cgroup(); err == nil {
			if frozen, err := m.Frozen(); err == nil && frozen {
				return m.Thaw()
			}
		}
	}
	return nil
}

func (c *Container) killAll(sig unix.Signal) error {
	m, err := c.cgroup()
	if err != nil {
		return err
	}
	if m.Paths().Empty() {
		return killInit(c.rec, sig)
	}
	return m.KillAll(sig)
}

func (c *Container) ownPIDNamespace() bool { return ownPIDNamespace(c.rec) }

func ownPIDNamespace(rec *state.Record) bool {
	path, ok := rec.Namespaces[string(config.PIDNS)]
	return ok && path == ""
}

// killInit signals init through a pidfd whose start time was checked, so that
// no stranger with a reused pid is hit.
func killInit(rec *state.Record, sig unix.Signal) error {
	if rec.InitPid == 0 {
		return ErrNotRunning
	}
	p, err := pidfd.OpenVerified(rec.InitPid, rec.InitStart)
	if errors.Is(err, pidfd.ErrGone) {
		return ErrNotRunning
	}
	if err != nil {
		return err
	}
	defer p.Close()
	if done, err := p.Exited(); err != nil || done {
		return errors.Join(err, ErrNotRunning)
	}
	if err := p.Signal(sig); err != nil {
		if errors.Is(err, pidfd.ErrGone) {
			return ErrNotRunning
		}
		return fmt.Errorf("signal %d to init %d: %w", sig, rec.InitPid, err)
	}
	return nil
}
