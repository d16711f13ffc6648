// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"berth/libcontainer/cgroup"
	"berth/libcontainer/cgroup/systemd"
	"berth/libcontainer/config"
	"berth/libcontainer/plan"
	"berth/libcontainer/state"
)

// resolveCgroup says where the cgroup will be and what its limits are, and
// changes nothing.
func (c *creation) resolveCgroup() (cgroup.Paths, error) {
	var none cgroup.Paths
	g := c.cfg.Cgroup
	if err := cgroup.CheckDriver(g.Driver); err != nil {
		return none, err
	}
	if g.Driver == config.CgroupSystemd && c.cfg.Rootless {
		if err := c.groups.FindUserManager(); err != nil {
			return none, err
		}
	}
	paths, err := cgroup.Resolve(g, c.o.ID, c.cfg.Rootless, c.groups)
	if err != nil {
		return none, err
	}
	c.cgroup = cgroup.Open(paths)
	if paths.Empty() {
		return paths, nil
	}
	c.limits, err = cgroup.Compile(g.Resources, c.groups)
	for _, w := range c.limits.Warnings {
		c.warn(w)
	}
	if err == nil && !c.cfg.Rootless && c.limits.Devices.Empty() {
		err = errors.New("linux.resources.devices: the devices hierarchy of cgroup v1 is not mounted, " +
			"and without it the container could open every device (hint: mount it, or give --cgroup-manager disabled)")
	}
	return paths, err
}

// unitRequest is what systemd is told.
func (c *creation) unitRequest(pid int) cgroup.UnitRequest {
	return cgroup.UnitRequest{ID: c.o.ID, PID: pid, Resources: c.cfg.Cgroup.Resources, Annotations: c.cfg.Annotations}
}

// makeCgroup makes the cgroup and sets the limits, before there is a process.
func (c *creation) makeCgroup() error {
	c.made = true
	if err := c.createCgroup(); err != nil {
		var used *cgroup.NotEmptyError
		if errors.As(err, &used) || errors.Is(err, cgroup.ErrFrozen) || errors.Is(err, systemd.ErrUnitExists) {
			c.rec.CgroupPaths = nil // another container's, not ours to clean
			_ = c.store.Save(c.o.ID, c.rec)
		}
		return err
	}
	early, _ := c.limits.Split(c.holder != nil)
	return c.cgroup.Apply(early)
}

func (c *creation) createCgroup() error {
	if c.cgroup.Paths().Unit != nil {
		var err error
		if c.holder, err = startHolder(0); err != nil {
			return err
		}
		warnings, err := c.cgroup.StartUnit(c.unitRequest(c.holder.pid))
		if err != nil {
			return err
		}
		for _, w := range warnings {
			c.warn(w)
		}
	}
	needed := c.cfg.Cgroup.Path != "" || len(c.limits.Writes) > 0 // device rules are not missed: the kernel guards those
	if err := c.cgroup.Create(needed); err != nil {
		return err
	}
	c.cgroup.Mark(cgroupMark(c.rec))
	if uid, ok := c.cgroupOwner(); ok {
		return c.cgroup.Delegate(uid)
	}
	return nil
}

// cgroupMark tells apart containers of one id, in different state roots or one
// after the other. It names no path: one directory has several.
func cgroupMark(rec *state.Record) string {
	return rec.ID + " " + rec.Created.Format(time.RFC3339Nano)
}

// cgroupOwner is the host's id of the process's user, if the container is to
// own its cgroup: it has a cgroup namespace and a writable mount of the cgroup.
// Runtime-spec config-linux.md, "Cgroup ownership".
func (c *creation) cgroupOwner() (uint32, bool) {
	if !c.cfg.Namespaces.New(config.CgroupNS) || c.cfg.Process == nil {
		return 0, false
	}
	for i := range c.cfg.Mounts {
		m := &c.cfg.Mounts[i]
		if m.Destination == "/sys/fs/cgroup" && (m.Type == "cgroup" || m.Type == "cgroup2") && m.Set&unix.MS_RDONLY == 0 {
			if c.cfg.Namespaces.Has(config.UserNS) && !c.cfg.Namespaces.New(config.UserNS) {
				return 0, false // a joined one: whose ids these are is not known
			}
			return hostID(c.cfg.UIDMappings, c.cfg.Process.UID)
		}
	}
	return 0, false
}

// hostID maps an id of the container; without maps they are the same. It is
// false for one that is not mapped.
func hostID(list []config.IDMap, id uint32) (uint32, bool) {
	for _, m := range list {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return m.HostID + id - m.ContainerID, true
		}
	}
	return id, len(list) == 0
}

// finishCgroup does what has to wait until init is in the cgroup.
func (c *creation) finishCgroup() error {
	if c.holder == nil {
		return nil
	}
	c.holder.end()
	c.holder = nil
	if err := c.cgroup.FinishUnit(c.cfg.Cgroup.Resources); err != nil {
		return err
	}
	if w := c.limits.Devices.Writes; len(w) > 0 { // v1's systemd has its own idea of them
		if err := c.cgroup.ApplyLate(w); err != nil {
			return err
		}
	}
	_, late := c.limits.Split(true)
	return c.cgroup.ApplyLate(late)
}

// cgroupSteps is makeCgroup, to be printed.
func (c *creation) cgroupSteps() ([]plan.CgroupStep, error) {
	var steps []plan.CgroupStep
	paths := c.cgroup.Paths()
	if paths.Unit != nil {
		props, _, err := c.cgroup.UnitProperties(c.unitRequest(0), 0)
		if err != nil {
			return nil, err
		}
		steps = append(steps, plan.CgroupStep{Do: "start unit " + paths.Unit.Name, Origin: "linux.cgroupsPath"})
		for line := range strings.Lines(props.String()) {
			do, origin, _ := strings.Cut(strings.TrimSpace(line), "  # ")
			steps = append(steps, plan.CgroupStep{Do: "property " + do, Origin: origin})
		}
	}
	made := len(paths.Dirs()) == 0
	for _, d := range paths.Dirs() {
		if paths.Unit == nil && c.cgroup.Denied(d) {
			steps = append(steps, plan.CgroupStep{Do: "nothing at " + d.Path + ": no permission", Origin: "linux.cgroupsPath"})
			continue
		}
		steps = append(steps, plan.CgroupStep{Do: "mkdir " + d.Path, Origin: "linux.cgroupsPath"})
		made = true
	}
	if !made { // and what needs a cgroup is refused or left out
		return steps, nil
	}
	for _, w := range c.limits.Devices.Writes {
		steps = append(steps, writeStep(w))
	}
	if c.limits.Devices.V2 {
		for line := range strings.Lines(c.limits.Devices.String()) {
			steps = append(steps, plan.CgroupStep{Do: "device program " + strings.TrimSpace(line), Origin: "linux.resources.devices"})
		}
	}
	for _, w := range c.limits.Writes {
		steps = append(steps, writeStep(w))
	}
	return steps, nil
}

func writeStep(w cgroup.Write) plan.CgroupStep {
	return plan.CgroupStep{Do: fmt.Sprintf("write %q to %s", w.Value, w.File), Origin: w.Origin}
}
