// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// freezeTimeout bounds Freeze; a process in uninterruptible sleep may never freeze.
const freezeTimeout = 10 * time.Second

// ErrNoFreezer is returned where no hierarchy can freeze.
var ErrNoFreezer = errors.New("cannot freeze: no freezer cgroup")

// freezer returns the directory that freezes: v1's if there is one, since an
// engine on a hybrid looks there.
func (m *Manager) freezer() (Dir, bool) {
	if d, ok := m.paths.find("freezer"); ok {
		return d, true
	}
	if m.paths.V2 != nil {
		return *m.paths.V2, true
	}
	return Dir{}, false
}

func isV1Freezer(d Dir) bool { return slices.Contains(d.Controllers, "freezer") }

// Frozen says whether the cgroup is frozen or about to be; a cgroup that does
// not exist is not.
func (m *Manager) Frozen() (bool, error) {
	d, ok := m.freezer()
	if !ok {
		return false, nil
	}
	return isFrozen(d)
}

// FreezerFile is the file that FrozenFile reads, "" if nothing can freeze.
func (m *Manager) FreezerFile() string {
	if d, ok := m.freezer(); ok {
		return freezerFile(d)
	}
	return ""
}

func freezerFile(d Dir) string {
	if isV1Freezer(d) {
		return filepath.Join(d.Path, "freezer.state")
	}
	return filepath.Join(d.Path, "cgroup.freeze")
}

func isFrozen(d Dir) (bool, error) { return FrozenFile(freezerFile(d)) }

// FrozenFile is Manager.Frozen for who knows no more than FreezerFile's result.
func FrozenFile(path string) (bool, error) {
	s, err := readFile(filepath.Split(path))
	if gone(err) {
		return false, nil
	}
	s = strings.TrimSpace(s)
	return err == nil && s != "THAWED" && s != "0", err // v1's word, v2's number
}

// Freeze stops every process of the cgroup and returns when all are stopped.
// If that takes too long it thaws them again.
func (m *Manager) Freeze() error {
	d, ok := m.freezer()
	if !ok {
		return ErrNoFreezer
	}
	freeze := freezeV2
	if isV1Freezer(d) {
		freeze = freezeV1
	}
	if err := freeze(d); err != nil {
		_ = thaw(d) // the first error counts
		return fmt.Errorf("cannot freeze the container's cgroup: %w", err)
	}
	return nil
}

// Thaw lets the processes go on.
func (m *Manager) Thaw() error {
	d, ok := m.freezer()
	if !ok {
		return ErrNoFreezer
	}
	if err := thaw(d); err != nil {
		return fmt.Errorf("cannot thaw the container's cgroup: %w", err)
	}
	return nil
}

func thaw(d Dir) error {
	if isV1Freezer(d) {
		return writeFile(d.Path, "freezer.state", "THAWED")
	}
	return writeFile(d.Path, "cgroup.freeze", "0")
}

// freezeV1 writes FROZEN until that is the state. A v1 freezer can stay at
// FREEZING for ever when a process forks meanwhile, until it is thawed and
// frozen anew (runc issue 2774). There is no event to wait for.
func freezeV1(d Dir) error {
	deadline := time.Now().Add(freezeTimeout)
	for i := 1; ; i++ {
		if err := writeFile(d.Path, "freezer.state", "FROZEN"); err != nil {
			return err
		}
		s, err := readFile(d.Path, "freezer.state")
		if err != nil {
			return err
		}
		switch s = strings.TrimSpace(s); {
		case s == "FROZEN":
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("state is still %s after %v: %w", s, freezeTimeout, unix.ETIMEDOUT)
		case i%50 == 0:
			if err := thaw(d); err != nil {
				return err
			}
		}
		time.Sleep(min(time.Duration(i)*20*time.Microsecond, 10*time.Millisecond))
	}
}

// freezeV2 waits for the event that says all are frozen.
func freezeV2(d Dir) error {
	if err := writeFile(d.Path, "cgroup.freeze", "1"); err != nil {
		return err
	}
	return waitEvent(d.Path, "frozen 1", time.Now().Add(freezeTimeout))
}

// waitEvent waits until line is in cgroup.events of the v2 cgroup dir.
func waitEvent(dir, line string, deadline time.Time) error {
	path := filepath.Join(dir, "cgroup.events")
	fd, err := openFile(path, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buf := make([]byte, 256)
	for {
		// Reading also arms the poll for the next change.
		n, err := unix.Pread(fd, buf, 0)
		if err != nil {
			return err
		}
		if slices.Contains(strings.Split(string(buf[:n]), "\n"), line) {
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("no %q in %s: %w", line, path, unix.ETIMEDOUT)
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}
		if _, err := unix.Poll(fds, int(left.Milliseconds())+1); err != nil && err != unix.EINTR {
			return err
		}
	}
}
