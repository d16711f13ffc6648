// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	killTimeout = 10 * time.Second
	// pidfdBatch bounds the descriptors that signalling holds at a time.
	pidfdBatch = 256
)

// PIDs returns the processes of the cgroup, sorted; with recursive also those
// of the cgroups below. A cgroup that does not exist has none.
func (m *Manager) PIDs(recursive bool) ([]int, error) {
	d, ok := m.paths.main()
	if !ok {
		return nil, nil
	}
	return pidsOf(d.Path, recursive)
}

func pidsOf(dir string, recursive bool) ([]int, error) {
	if !recursive {
		pids, err := readPIDs(dir)
		if gone(err) {
			err = nil
		}
		slices.Sort(pids)
		return slices.Compact(pids), err
	}
	var pids []int
	err := walk(dir, func(fd int) error {
		more, err := readPIDsAt(fd)
		if gone(err) {
			return nil
		}
		pids = append(pids, more...)
		return err
	})
	slices.Sort(pids)
	return slices.Compact(pids), err
}

// KillAll sends sig to every process of the cgroup and of those below. With
// SIGKILL it returns when they are all gone, and kills frozen ones too.
func (m *Manager) KillAll(sig unix.Signal) error {
	if m.paths.Empty() {
		return nil
	}
	if sig != unix.SIGKILL {
		return m.signalFrozen(sig)
	}
	// cgroup.kill (Linux 5.14) outruns any fork. On a hybrid it misses those
	// that someone has moved in the v2 hierarchy; the scan below finds them.
	if m.paths.V2 != nil {
		err := writeFile(m.paths.V2.Path, "cgroup.kill", "1")
		if err != nil && !gone(err) && !denied(err) {
			return fmt.Errorf("cannot kill the container's cgroup: %w", err)
		}
		if err == nil {
			m.thawTree()
			// A timeout shows in the scan, with the processes.
			_ = waitEvent(m.paths.V2.Path, "populated 0", time.Now().Add(killTimeout/2))
		}
	}
	deadline := time.Now().Add(killTimeout)
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		pids, err := m.PIDs(true)
		if err != nil {
			return fmt.Errorf("cannot kill the container's cgroup: %w", err)
		}
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cannot kill the container's cgroup: %d process(es) still there after %v, the first %d: %w",
				len(pids), killTimeout, pids[0], unix.ETIMEDOUT)
		}
		if err := m.signalFrozen(sig); err != nil {
			return err
		}
		m.thawTree()
		time.Sleep(wait)
	}
}

// signalFrozen freezes the cgroup, so that no process can fork away, sends the
// signal to each, and thaws.
func (m *Manager) signalFrozen(sig unix.Signal) error {
	wasFrozen, _ := m.Frozen() // an unreadable state counts as not frozen
	// Not being able to freeze is no reason not to signal: the caller rescans.
	frozen := m.Freeze() == nil
	err := m.signalEach(sig)
	if frozen && (!wasFrozen || sig == unix.SIGKILL) {
		if thawErr := m.Thaw(); err == nil && !gone(thawErr) {
			err = thawErr
		}
	}
	return err
}

// signalEach signals through pidfds: a number that is listed again after its
// pidfd was opened is no process that only took a dead one's number.
func (m *Manager) signalEach(sig unix.Signal) error {
	pids, err := m.PIDs(true)
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(pids, pidfdBatch) {
		if err := m.signalBatch(batch, sig); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manager) signalBatch(pids []int, sig unix.Signal) error {
	fds := make(map[int]int, len(pids))
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		switch {
		case err == nil:
			fds[pid] = fd
		case err != unix.ESRCH:
			return fmt.Errorf("cannot signal process %d: %w", pid, err)
		}
	}
	still, err := m.PIDs(true)
	if err != nil {
		return err
	}
	for pid, fd := range fds {
		if _, ok := slices.BinarySearch(still, pid); !ok {
			continue
		}
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && err != unix.ESRCH {
			return fmt.Errorf("cannot signal process %d: %w", pid, err)
		}
	}
	return nil
}

// thawTree thaws the v1 cgroup and all below: frozen processes of v1 do not
// die. A nested engine may have frozen its own.
func (m *Manager) thawTree() {
	d, ok := m.freezer()
	if !ok || !isV1Freezer(d) {
		return // v2 kills frozen processes
	}
	_ = walk(d.Path, func(fd int) error {
		file, err := unix.Openat(fd, "freezer.state", unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if err == nil {
			_ = writeFD(file, "freezer.state", "THAWED") // gone is as good
			_ = unix.Close(file)
		}
		return nil
	})
}

// walk calls f for dir and every cgroup below, children first; dir may be
// gone. It goes by descriptors: whoever nests cgroups deep enough makes paths
// that are too long.
func walk(dir string, f func(fd int) error) error {
	fd, err := openFile(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		if gone(err) {
			return nil
		}
		return err
	}
	defer unix.Close(fd)
	return walkAt(fd, f)
}

func walkAt(fd int, f func(fd int) error) error {
	names, err := readDirs(fd)
	if err != nil {
		return err
	}
	for _, name := range names {
		child, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			if gone(err) {
				continue
			}
			return err
		}
		err = walkAt(child, f)
		_ = unix.Close(child)
		if err != nil {
			return err
		}
	}
	return f(fd)
}

// readDirs lists the directories in fd, by the entry type alone: kernfs always
// fills it in, so that no entry needs a stat.
func readDirs(fd int) ([]string, error) {
	var names []string
	buf := make([]byte, 16384)
	for {
		n, err := unix.Getdents(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			if gone(err) {
				err = nil
			}
			return names, err
		}
		// struct linux_dirent64: ino 8, off 8, reclen 2, type 1, name.
		for b := buf[:n]; len(b) > 19; {
			reclen := int(b[16]) | int(b[17])<<8
			if reclen < 20 || reclen > len(b) {
				break
			}
			name, _, _ := strings.Cut(string(b[19:reclen]), "\x00")
			if b[18] == unix.DT_DIR && name != "." && name != ".." {
				names = append(names, name)
			}
			b = b[reclen:]
		}
	}
}
