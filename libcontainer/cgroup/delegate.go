// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// delegateFiles are those of every kernel; /sys/kernel/cgroup/delegate lists
// them since Linux 4.15.
const delegateFiles = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n"

// Delegate gives the v2 cgroup to uid of the host, so that the container can
// divide it up: the directory and the files that the kernel means for that,
// not the limits. Runtime-spec config-linux.md, "Cgroup ownership".
func (m *Manager) Delegate(uid uint32) error {
	if m.paths.V2 == nil || len(m.paths.V1) > 0 {
		return nil
	}
	names, err := readAll("/sys/kernel/cgroup/delegate")
	if err != nil {
		names = delegateFiles
	}
	dir, err := openFile(m.paths.V2.Path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		if m.skipMissing(err) {
			return nil
		}
		return fmt.Errorf("cannot delegate the container's cgroup: %w", err)
	}
	defer unix.Close(dir)
	if err := unix.Fchown(dir, int(uid), -1); err != nil {
		if m.paths.Rootless && denied(err) {
			return nil // to one of our subordinate ids: then it stays ours
		}
		return fmt.Errorf("cannot delegate the container's cgroup: fchown %s to %d: %w", m.paths.V2.Path, uid, err)
	}
	for _, name := range strings.Fields(names) {
		// The list is the kernel's; not every file of it is in every cgroup.
		err := unix.Fchownat(dir, name, int(uid), -1, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("cannot delegate the container's cgroup: fchownat %s/%s to %d: %w", m.paths.V2.Path, name, uid, err)
		}
	}
	return nil
}
