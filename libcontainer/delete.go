// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/pidfd"
	"berth/libcontainer/hook"
	"berth/libcontainer/rdt"
	"berth/libcontainer/state"
)

// deleteWait bounds how long delete waits for a killed init.
const deleteWait = 10 * time.Second

// Delete removes a stopped or created container; with force, any.
func (c *Container) Delete(force bool) error {
	status, err := c.Status()
	if err != nil && !force {
		return err
	}
	switch {
	case force, status == Stopped, status == Created:
	case status == Creating:
		return fmt.Errorf("cannot delete container %s that is not stopped: %s", c.rec.ID, status)
	default:
		return fmt.Errorf("cannot delete container %s that is not stopped: %s", c.rec.ID, status)
	}
	return destroy(c.store, c.rec, nil)
}

// ForceDelete removes whatever there is of a container, also what a killed
// create left; nothing is success.
func ForceDelete(root, id string) error {
	if err := state.ValidateID(id); err != nil {
		return err
	}
	store := state.Store{Root: root}
	rec, err := store.Load(id)
	switch {
	case errors.Is(err, ErrNotExist): // or killed between its first two steps
		return store.Remove(id)
	case err != nil:
		// A record that cannot be read names nothing to clean.
		return store.Remove(id)
	}
	return destroy(store, rec, nil)
}

// destroy ends all processes and removes all traces. Everything is tried; the
// first error is returned. The id is free again even if a poststop hook fails.
func destroy(store state.Store, rec *state.Record, warn func(string)) error {
	var errs []error
	if err := endProcesses(rec); err != nil {
		return err
	}
	m, err := managerOf(rec)
	if err == nil {
		err = m.Remove()
	}
	errs = append(errs, err)
	errs = append(errs, rdt.Remove(rec.RDT))
	if err := errors.Join(errs...); err != nil {
		return err // the record stays, so that delete can be tried again
	}
	if err := store.Remove(rec.ID); err != nil {
		return err
	}
	return poststop(rec, warn)
}

// poststop runs the poststop hooks, all of them; the spec makes their errors
// warnings, and the last one is returned like runc's.
func poststop(rec *state.Record, warn func(string)) error {
	if len(rec.Poststop) == 0 {
		return nil
	}
	st, err := hookState(rec, "stopped", 0)
	if err != nil {
		return err
	}
	var last error
	for i, h := range rec.Poststop {
		if err := hook.Run(fmt.Sprintf("hooks.poststop[%d]", i), h, st); err != nil {
			last = fmt.Errorf("error running %w", err)
			if warn != nil {
				warn(last.Error())
			}
		}
	}
	return last
}

// endProcesses kills init and everything else in the container's cgroup, and
// waits until they are gone.
func endProcesses(rec *state.Record) error {
	var p *pidfd.Handle
	if rec.InitPid != 0 {
		fd, err := pidfd.OpenVerified(rec.InitPid, rec.InitStart)
		switch {
		case err == nil:
			p = fd
			defer p.Close()
			if err := p.Signal(unix.SIGKILL); err != nil && !errors.Is(err, pidfd.ErrGone) {
				return fmt.Errorf("kill init %d: %w", rec.InitPid, err)
			}
		case !errors.Is(err, pidfd.ErrGone):
			return err
		}
	}
	m, err := managerOf(rec)
	if err != nil {
		return err
	}
	if err := m.KillAll(unix.SIGKILL); err != nil && !errors.Is(err, ErrNotRunning) {
		return err
	}
	if p != nil {
		done, err := p.Wait(deleteWait)
		if err != nil {
			return err
		}
		if !done {
			return errors.New("container init still running")
		}
	}
	return nil
}
