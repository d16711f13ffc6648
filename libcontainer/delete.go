// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/pidfd"
	"berth/libcontainer/cgroup"
	"berth/libcontainer/hook"
	"berth/libcontainer/rdt"
	"berth/libcontainer/state"
)

// deleteWait bounds how long delete waits for a killed init.
const deleteWait = 10 * time.Second

// Delete removes a stopped or created container; with force, any.
func (c *Container) Delete(force bool, warn func(string)) error {
	status, err := c.Status()
	if err != nil && !force {
		return err
	}
	switch {
	case force, status == Stopped, status == Created:
	default:
		return fmt.Errorf("cannot delete container %s that is not stopped: %s", c.rec.ID, status)
	}
	return destroy(c.store, c.rec, warn)
}

// ForceDelete removes whatever there is of a container, also what a killed
// create left; nothing is success.
func ForceDelete(root, id string, warn func(string)) error {
	if err := state.ValidateID(id); err != nil {
		return err
	}
	store := state.Store{Root: root}
	rec, err := store.Load(id)
	switch {
	case errors.Is(err, ErrNotExist): // or killed between its first two steps
		return store.Remove(id)
	case errors.Is(err, state.ErrGarbage): // it names nothing to clean
		return store.Remove(id)
	case err != nil:
		return err
	}
	return destroy(store, rec, warn)
}

// destroy ends all processes and removes all traces. Everything is tried; the
// first error is returned. The id is free again even if a poststop hook fails.
func destroy(store state.Store, rec *state.Record, warn func(string)) error {
	m, err := managerOf(rec)
	if err != nil {
		return err
	}
	if !m.BelongsTo(cgroupMark(rec)) {
		m = cgroup.Open(cgroup.Paths{}) // another container has got our place
	}
	if err := endProcesses(rec, m); err != nil {
		return err
	}
	errs := []error{detachHostMounts(rec), m.Remove()}
	errs = append(errs, rdt.Remove(rec.RDT))
	if err := errors.Join(errs...); err != nil {
		return err // the record stays, so that delete can be tried again
	}
	if err := store.Remove(rec.ID); err != nil {
		return err
	}
	return poststop(rec, warn)
}

// detachHostMounts removes the mounts of a container without mount namespace:
// the bind mount of the rootfs that carries them all.
func detachHostMounts(rec *state.Record) error {
	if !rec.HostMounts {
		return nil
	}
	id, err := mountID(rec.Rootfs)
	if errors.Is(err, unix.ENOENT) || err == nil && id == rec.RootfsMount {
		return nil // never made, or gone
	}
	if err != nil {
		return err
	}
	if err := unix.Unmount(rec.Rootfs, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return fmt.Errorf("umount %s: %w", rec.Rootfs, err)
	}
	return nil
}

// mountID is the id of the topmost mount at path.
func mountID(path string) (uint64, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_MNT_ID, &st); err != nil {
		return 0, fmt.Errorf("statx %s: %w", path, err)
	}
	return st.Mnt_id, nil
}

// poststop runs the poststop hooks, all of them; the spec makes their errors
// warnings, and the life cycle goes on as if they had succeeded.
func poststop(rec *state.Record, warn func(string)) error {
	if len(rec.Poststop) == 0 {
		return nil
	}
	st, err := hookState(rec, "stopped", 0)
	if err != nil {
		return err
	}
	for i, h := range rec.Poststop {
		if err := hook.Run(fmt.Sprintf("hooks.poststop[%d]", i), h, st); err != nil {
			if warn != nil {
				warn(fmt.Sprintf("error running %v", err))
			}
		}
	}
	return nil
}

// endProcesses kills init and everything else in the container's cgroup, and
// waits until they are gone.
func endProcesses(rec *state.Record, m *cgroup.Manager) error {
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
	if p != nil {
		if ended, err := p.Exited(); err == nil && ended {
			p = nil
		}
	}
	if rec.InitPid != 0 && p == nil && ownPIDNamespace(rec) {
		// With init all of its namespace has ended. What is in the cgroup now
		// belongs to somebody else.
		return nil
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
