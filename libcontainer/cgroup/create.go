// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrRootless is Create's refusal where limits or a path are asked for, but no
// permission is there; runc's text.
var ErrRootless = errors.New("rootless needs no limits + no cgrouppath when no permission is granted for cgroups")

// Create makes the cgroup in every hierarchy. needed says that limits or a
// path were asked for, so that rootless callers may not go without. When it
// fails it removes what it made, and only that.
func (m *Manager) Create(needed bool) (err error) {
	var made []string
	defer func() {
		if err != nil {
			for _, dir := range slices.Backward(made) {
				_ = unix.Rmdir(dir) // best effort: the first error counts
			}
		}
	}()
	return m.dirs(func(d Dir) error {
		err := m.createDir(d, &made)
		if err == nil && needed && m.cannotEnter(d) {
			err = fmt.Errorf("processes cannot be moved from our cgroup into %s: %w", d.Path, unix.EACCES)
		}
		if err == nil || !m.paths.Rootless || !denied(err) {
			return err
		}
		if needed {
			hint := howToDelegate("cpu cpuset io memory pids")
			if len(m.paths.V1) > 0 {
				hint = "hint: leave limits and linux.cgroupsPath out, or have root give you the directory in every v1 hierarchy"
			}
			return fmt.Errorf("%w: %w (%s)", ErrRootless, err, hint)
		}
		return nil
	})
}

// Denied says that Create will leave d out: rootless, below a directory that is
// not ours.
func (m *Manager) Denied(d Dir) bool {
	if !m.paths.Rootless {
		return false
	}
	for dir := d.Path; len(dir) >= len(d.Mount); dir = filepath.Dir(dir) {
		err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK, unix.AT_EACCESS)
		if err != unix.ENOENT {
			return err != nil
		}
	}
	return true
}

// cannotEnter: rootless, with a cgroup of our own that only root could give
// processes to. With systemd there is Attach.
func (m *Manager) cannotEnter(d Dir) bool {
	return m.paths.Rootless && m.paths.Unit == nil && m.paths.V2 != nil && d.Path == m.paths.V2.Path && !d.enterable()
}

// createDir makes one hierarchy's directory and gets it ready for processes.
func (m *Manager) createDir(d Dir, made *[]string) error {
	v2 := m.paths.V2 != nil && d.Path == m.paths.V2.Path
	existed, err := mkdirs(d, made)
	if err != nil {
		return err
	}
	// What systemd has just made has a process: see UnitRequest.PID.
	if existed && m.paths.Unit == nil {
		if err := m.checkExisting(d); err != nil {
			return err
		}
	}
	switch {
	case v2 && len(m.paths.V1) == 0:
		return enable(d)
	case slices.Contains(d.Controllers, "cpuset") && !v2:
		return fillCPUSet(d, existed)
	}
	return nil
}

// mkdirs makes d.Path and its missing parents below d.Mount.
func mkdirs(d Dir, made *[]string) (existed bool, err error) {
	for dir := d.Path; ; {
		err := unix.Mkdir(dir, 0o755)
		switch {
		case err == nil:
			*made = append(*made, dir)
			if dir == d.Path {
				return false, nil
			}
			dir = d.Path // down again; parents are rarely missing
		case err == unix.EEXIST && dir == d.Path:
			return true, nil
		case err == unix.EEXIST: // a parent that someone else made meanwhile
			dir = d.Path
		case err == unix.ENOENT && len(filepath.Dir(dir)) > len(d.Mount):
			dir = filepath.Dir(dir)
		case err == unix.EINTR:
		default:
			return false, fmt.Errorf("cannot create cgroup %s: %w", dir, err)
		}
	}
}

// fillCPUSet copies the parents' cpus and memory nodes, since a v1 cpuset
// starts without any and then takes no process.
func fillCPUSet(d Dir, existed bool) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		if existed {
			if _, err := inheritCPUSet(d.Mount, d.Path, file); err != nil {
				return fmt.Errorf("cannot copy the parent's %s: %w", file, err)
			}
			continue
		}
		value, err := inheritCPUSet(d.Mount, filepath.Dir(d.Path), file)
		if err == nil {
			err = writeFile(d.Path, file, value)
		}
		if err != nil {
			return fmt.Errorf("cannot copy the parent's %s: %w", file, err)
		}
	}
	return nil
}

// inheritCPUSet returns the value of file in dir, having first copied it from
// the nearest parent that has one.
func inheritCPUSet(mount, dir, file string) (string, error) {
	s, err := readFile(dir, file)
	if err != nil {
		return "", err
	}
	s = strings.TrimSpace(s)
	if s != "" || len(dir) <= len(mount) {
		return s, nil
	}
	if s, err = inheritCPUSet(mount, filepath.Dir(dir), file); err != nil {
		return "", err
	}
	return s, writeFile(dir, file, s)
}

// enable gives d all controllers of its hierarchy, top-down. A controller that
// cannot be had is no error here: the limit that needs it will say so.
func enable(d Dir) error {
	have, err := readFile(d.Path, "cgroup.controllers")
	if err != nil {
		return err
	}
	missing := without(d.Controllers, strings.Fields(have))
	if len(missing) == 0 {
		return nil // the engine or an earlier container has done it
	}
	return enableAll(d, missing)
}

// enableAll enables controllers in every cgroup from the mount point down to
// the parent of d.
func enableAll(d Dir, controllers []string) error {
	rel, err := filepath.Rel(d.Mount, filepath.Dir(d.Path))
	if err != nil {
		return err
	}
	dir := d.Mount
	for _, name := range append([]string{""}, strings.Split(rel, "/")...) {
		if name == "." {
			continue
		}
		dir = filepath.Join(dir, name)
		if err := writeFile(dir, "cgroup.subtree_control", "+"+strings.Join(controllers, " +")); err == nil {
			continue
		}
		// One that is refused must not keep the others away.
		for _, c := range controllers {
			_ = writeFile(dir, "cgroup.subtree_control", "+"+c)
		}
	}
	return nil
}

// whyMissing explains why d has no file of controller, for a message.
func whyMissing(d Dir, controller string) string {
	if !slices.Contains(d.Controllers, controller) {
		return fmt.Sprintf("the %s controller is not available", controller)
	}
	for dir := filepath.Dir(d.Path); len(dir) >= len(d.Mount); dir = filepath.Dir(dir) {
		s, err := readFile(dir, "cgroup.subtree_control")
		if err != nil || slices.Contains(strings.Fields(s), controller) {
			continue
		}
		err = writeFile(dir, "cgroup.subtree_control", "+"+controller)
		switch {
		case errors.Is(err, unix.EBUSY):
			return fmt.Sprintf("cannot enable the %s controller: %s has processes of its own", controller, dir)
		case errors.Is(err, unix.ENOENT):
			continue // not available here: the cause is further up
		case err != nil:
			return fmt.Sprintf("cannot enable the %s controller in %s: %v; %s", controller, dir, errors.Unwrap(err), howToDelegate(controller))
		}
	}
	return fmt.Sprintf("the kernel has no such file for the %s controller", controller)
}

// without returns the elements of all that are not in some.
func without(all, some []string) []string {
	var rest []string
	for _, s := range all {
		if !slices.Contains(some, s) {
			rest = append(rest, s)
		}
	}
	return rest
}
