// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"errors"
	"fmt"
	"os"

	"berth/libcontainer/cgroup/stats"
)

// Pause stops all processes of a created or running container, and returns
// when they have stopped. The error is ErrNotRunning for any other, and
// stats.ErrNone for one without a cgroup, as rootless containers may be.
func (c *Container) Pause() error {
	status, err := c.Status()
	if err != nil {
		return err
	}
	if status != Running && status != Created {
		return ErrNotRunning
	}
	m, err := c.cgroup()
	if err != nil {
		return err
	}
	err = m.Freeze()
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("container %s: %w", c.rec.ID, stats.ErrNone)
	}
	return err
}

// Resume lets the processes of a paused container go on; for any other the
// error is ErrNotPaused.
func (c *Container) Resume() error {
	if !c.alive() {
		return ErrNotPaused
	}
	m, err := c.cgroup()
	if err != nil {
		return err
	}
	// The freezer and not Status: a container may be paused before its start.
	if frozen, err := m.Frozen(); err != nil {
		return err
	} else if !frozen {
		return ErrNotPaused
	}
	return m.Thaw()
}
