// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Manager works on one container's cgroup. It keeps no descriptors.
type Manager struct {
	paths Paths
}

// Open returns the Manager of the cgroup at p, which need not exist.
func Open(p Paths) *Manager { return &Manager{paths: p} }

// Paths returns what Open was given.
func (m *Manager) Paths() Paths { return m.paths }

// dirs calls f for every directory, v2 last.
func (m *Manager) dirs(f func(d Dir) error) error {
	for _, d := range m.paths.Dirs() {
		if err := f(d); err != nil {
			return err
		}
	}
	return nil
}

// Exists says whether the cgroup is there.
func (m *Manager) Exists() bool {
	d, ok := m.paths.main()
	return ok && unix.Access(d.Path, unix.F_OK) == nil
}

// NotEmptyError is Create's and Check's refusal of a cgroup with processes:
// such a cgroup is not ours, and must be neither killed nor removed.
type NotEmptyError struct {
	Path      string
	Processes int
}

// Error is runc's text.
func (e *NotEmptyError) Error() string {
	return fmt.Sprintf("container's cgroup is not empty: %d process(es) found", e.Processes)
}

// ErrFrozen is Create's and Check's refusal of a frozen cgroup; runc's text.
var ErrFrozen = errors.New("container's cgroup unexpectedly frozen")

// Check refuses a cgroup that exists and has processes or is frozen. Call it
// before the Paths are stored: a delete that finds them kills and removes
// whatever is there.
func (m *Manager) Check() error {
	// systemd removes its own hierarchies alone: in the others of v1 something
	// may be left where the first has nothing.
	if !m.Exists() && m.paths.Unit == nil {
		return nil
	}
	return m.dirs(func(d Dir) error {
		if m.paths.Unit != nil && unix.Access(d.Path, unix.F_OK) != nil {
			return nil
		}
		return m.checkExisting(d)
	})
}

// checkExisting refuses the pre-existing directory d.
func (m *Manager) checkExisting(d Dir) error {
	pids, err := pidsOf(d.Path, true) // children too: delete would kill them
	if err != nil {
		return err
	}
	if len(pids) > 0 {
		return &NotEmptyError{Path: d.Path, Processes: len(pids)}
	}
	if f, ok := m.freezer(); ok && f.Path == d.Path {
		frozen, err := isFrozen(f)
		if err != nil {
			return err
		}
		if frozen {
			return ErrFrozen
		}
	}
	return nil
}

// readPIDs reads the processes of one cgroup, without its children.
func readPIDs(dir string) ([]int, error) {
	s, err := readFile(dir, "cgroup.procs")
	if errors.Is(err, unix.EOPNOTSUPP) {
		// A threaded cgroup v2 lists threads only.
		s, err = readFile(dir, "cgroup.threads")
	}
	if err != nil {
		return nil, err
	}
	return parsePIDs(s), nil
}

// readPIDsAt is readPIDs for an open directory.
func readPIDsAt(dir int) ([]int, error) {
	for _, name := range []string{"cgroup.procs", "cgroup.threads"} {
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if err != nil {
			return nil, err
		}
		s, err := readFD(fd, name)
		_ = unix.Close(fd) // read only
		if !errors.Is(err, unix.EOPNOTSUPP) {
			return parsePIDs(s), err
		}
	}
	return nil, unix.EOPNOTSUPP
}

func parsePIDs(s string) []int {
	var pids []int
	for line := range strings.Lines(s) {
		// 0 is a process outside of our pid namespace.
		if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// OOMKills returns how many processes of the cgroup the OOM killer has killed;
// 0 where there is no memory controller.
func (m *Manager) OOMKills() (uint64, error) {
	var n uint64
	var err error
	if d, ok := m.paths.find("memory"); ok {
		n, _, err = readKey(d.Path, "memory.oom_control", "oom_kill")
	} else if m.paths.V2 != nil {
		n, _, err = readKey(m.paths.V2.Path, "memory.events", "oom_kill")
	}
	if gone(err) {
		return 0, nil
	}
	return n, err
}
