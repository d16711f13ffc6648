// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// removeTimeout bounds how long Remove waits for dying processes.
const removeTimeout = 2 * time.Second

// Remove removes the cgroup and all below it in every hierarchy; parents stay.
// What does not exist is no error. It waits a bounded time for processes that
// are about to be gone and kills none: that is KillAll's business.
func (m *Manager) Remove() error {
	deadline := time.Now().Add(removeTimeout)
	var first error
	if m.paths.Unit != nil {
		// Who ends our processes has ended them by now: what is there is
		// somebody else's, and systemd would kill it with the unit.
		if err := m.awaitEmpty(deadline); err != nil {
			return err
		}
		first = m.stopUnit()
	}
	remove := func(d Dir, v2 bool) {
		if err := removeDir(d, v2, deadline); err != nil && first == nil {
			first = fmt.Errorf("cannot remove cgroup %s: %w", d.Path, err)
		}
	}
	// v2 first: it tells when the last process is gone, and then v1 is free too.
	if m.paths.V2 != nil {
		remove(*m.paths.V2, true)
	}
	for _, d := range m.paths.V1 {
		remove(d, false)
	}
	return first
}

// awaitEmpty waits until the last process is gone.
func (m *Manager) awaitEmpty(deadline time.Time) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		pids, err := m.PIDs(true)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cannot remove %s: %d process(es) in it, the first %d: %w", m.paths.Unit.Name, len(pids), pids[0], unix.EBUSY)
		}
		time.Sleep(wait)
	}
}

// ownerAttr says on the cgroup's directory whose it is; kernfs has trusted.*
// attributes since Linux 3.7.
const ownerAttr = "trusted.berth.owner"

// Mark notes whose the cgroup is. It is best effort: rootless it cannot.
func (m *Manager) Mark(owner string) {
	if d, ok := m.paths.main(); ok {
		_ = unix.Lsetxattr(d.Path, ownerAttr, []byte(owner), 0)
	}
}

// BelongsTo says whether the cgroup is owner's, as far as anybody has noted.
func (m *Manager) BelongsTo(owner string) bool {
	d, ok := m.paths.main()
	if !ok {
		return true
	}
	value := make([]byte, 2048)
	n, err := unix.Lgetxattr(d.Path, ownerAttr, value)
	return err != nil || string(value[:n]) == owner
}

func removeDir(d Dir, v2 bool, deadline time.Time) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err := unix.Rmdir(d.Path)
		switch {
		case err == nil || err == unix.ENOENT || err == unix.ENODEV:
			return nil
		case err == unix.EINTR:
			continue
		case err == unix.EROFS && unix.Access(d.Path, unix.F_OK) == unix.ENOENT:
			return nil // never made
		case err != unix.EBUSY && err != unix.ENOTEMPTY:
			return err
		}
		// Busy: cgroups below, or processes that are not quite gone.
		if treeErr := removeBelow(d.Path); treeErr != nil {
			return treeErr
		}
		if err = unix.Rmdir(d.Path); err == nil || err == unix.ENOENT {
			return nil
		}
		if time.Now().After(deadline) {
			if pids, _ := pidsOf(d.Path, true); len(pids) > 0 {
				return fmt.Errorf("%d process(es) in it, the first %d: %w", len(pids), pids[0], err)
			}
			return err
		}
		if v2 {
			v2 = false                                     // once: with no process left something else is busy
			_ = waitEvent(d.Path, "populated 0", deadline) // a timeout shows above
			continue
		}
		time.Sleep(wait)
	}
}

// removeBelow removes the cgroups below dir, children first, by descriptor:
// the container may own them and rename them meanwhile. Busy ones stay.
func removeBelow(dir string) error {
	fd, err := openFile(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		if gone(err) {
			return nil
		}
		return err
	}
	defer unix.Close(fd)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return err
	}
	// The hierarchy may have been unmounted since the path was recorded.
	if fs.Type != unix.CGROUP_SUPER_MAGIC && fs.Type != unix.CGROUP2_SUPER_MAGIC {
		return errors.New("not a cgroup")
	}
	return removeChildren(fd)
}

func removeChildren(fd int) error {
	names, err := readDirs(fd)
	if err != nil {
		return err
	}
	for _, name := range names {
		if unix.Unlinkat(fd, name, unix.AT_REMOVEDIR) == nil {
			continue
		}
		child, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			if gone(err) {
				continue
			}
			return err
		}
		err = removeChildren(child)
		_ = unix.Close(child)
		if err != nil {
			return err
		}
		// Still busy is left to the caller's next round.
		if err := unix.Unlinkat(fd, name, unix.AT_REMOVEDIR); err != nil && err != unix.EBUSY && err != unix.ENOTEMPTY && !gone(err) {
			return err
		}
	}
	return nil
}
