// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"berth/internal/procfs"
	"berth/libcontainer/cgroup"
	"berth/libcontainer/state"
)

// Errors about ids; engines match their texts.
var (
	ErrNotExist  = state.ErrNotExist
	ErrExists    = state.ErrExists
	ErrInvalidID = state.ErrInvalidID
	ErrEmptyID   = state.ErrEmptyID
)

// Container is one container of a state root.
type Container struct {
	store state.Store
	rec   *state.Record
	init  *Process // set by Create
}

// Load reads the container's record. The error is ErrNotExist if there is none.
func Load(root, id string) (*Container, error) {
	store := state.Store{Root: root}
	rec, err := store.Load(id)
	if err != nil {
		return nil, err
	}
	return &Container{store: store, rec: rec}, nil
}

// List returns the containers of a state root, and the errors of those whose
// record cannot be read.
func List(root string) ([]*Container, []error, error) {
	store := state.Store{Root: root}
	ids, err := store.List()
	if err != nil {
		return nil, nil, err
	}
	var list []*Container
	var broken []error
	for _, id := range ids {
		c, err := Load(root, id)
		if err != nil {
			broken = append(broken, fmt.Errorf("load container %s: %w", id, err))
			continue
		}
		list = append(list, c)
	}
	return list, broken, nil
}

// ID returns the container's id.
func (c *Container) ID() string { return c.rec.ID }

// Init returns the container's init, for whoever created it.
func (c *Container) Init() (*Process, error) {
	if c.init == nil {
		return nil, fmt.Errorf("container %s was not created by this process", c.rec.ID)
	}
	return c.init, nil
}

// alive says whether init runs: a process of this pid and start time that is
// no zombie.
func (c *Container) alive() bool {
	if c.rec.InitPid == 0 {
		return false
	}
	st, err := procfs.ReadStat(c.rec.InitPid)
	return err == nil && st.Start == c.rec.InitStart && !st.Dead()
}

// Status derives the container's status; nothing but the fifo records it.
func (c *Container) Status() (Status, error) {
	if c.rec.Phase == state.PhaseCreating {
		if c.rec.InitPid != 0 {
			return Stopped, nil
		}
		return Creating, nil
	}
	if !c.alive() {
		return Stopped, nil
	}
	if c.rec.Freezer != "" {
		if frozen, err := cgroup.FrozenFile(c.rec.Freezer); err == nil && frozen {
			return Paused, nil
		}
	}
	if waitsForStart(c.StateDir() + "/" + state.FifoName) {
		return Created, nil
	}
	return Running, nil
}

// waitsForStart says whether init holds the fifo. A start that was killed may
// have left the name behind.
func waitsForStart(fifo string) bool {
	fd, err := unix.Open(fifo, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err == nil {
		_ = unix.Close(fd) // nothing was written
	}
	return err == nil || errors.Is(err, unix.EACCES) // not ours to open
}

// cgroup returns the manager of the container's cgroup.
func (c *Container) cgroup() (*cgroup.Manager, error) { return managerOf(c.rec) }

func managerOf(rec *state.Record) (*cgroup.Manager, error) {
	var paths cgroup.Paths
	if len(rec.CgroupPaths) > 0 {
		if err := json.Unmarshal(rec.CgroupPaths, &paths); err != nil {
			return nil, fmt.Errorf("state of container %s: cgroup paths: %w", rec.ID, err)
		}
	}
	return cgroup.Open(paths), nil
}

// State returns what `state` prints. Pid is 0 for a stopped container.
func (c *Container) State() (State, error) {
	status, err := c.Status()
	if err != nil {
		return State{}, err
	}
	s := State{
		OCIVersion: c.rec.OCIVersion, ID: c.rec.ID, Pid: c.rec.InitPid, Status: status,
		Bundle: c.rec.Bundle, Rootfs: c.rec.Rootfs, Created: c.rec.Created, Annotations: c.rec.Annotations,
	}
	if status == Stopped {
		s.Pid = 0
	}
	return s, nil
}

// PIDs returns the host's pids of all processes in the container's cgroup; of
// init alone if it has none.
func (c *Container) PIDs() ([]int, error) {
	m, err := c.cgroup()
	if err != nil {
		return nil, err
	}
	if m.Paths().Empty() {
		if c.alive() {
			return []int{c.rec.InitPid}, nil
		}
		return nil, nil
	}
	if !m.Exists() { // rootless, without the right to make one
		return c.descendants()
	}
	return m.PIDs(true)
}

// descendants returns init and all below it, parents first.
func (c *Container) descendants() ([]int, error) {
	if !c.alive() {
		return nil, nil
	}
	list := []int{c.rec.InitPid}
	for i := 0; i < len(list); i++ {
		children, err := procfs.Children(list[i])
		if err != nil && !procfs.Gone(err) {
			return nil, err
		}
		list = append(list, children...)
	}
	return list, nil
}

// StateDir returns the container's directory below the state root.
func (c *Container) StateDir() string { return c.store.Dir(c.rec.ID) }
