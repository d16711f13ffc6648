// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"berth/libcontainer/boot"
	"berth/libcontainer/lsm"
	"berth/libcontainer/netdev"
	"berth/libcontainer/plan"
	"berth/libcontainer/rdt"
)

// checkLabels refuses labels that no security module would apply.
func (c *creation) checkLabels() error {
	p := c.cfg.Process
	if c.cfg.MountLabel != "" && !lsm.SELinuxEnabled() {
		c.warn("linux.mountLabel: SELinux is not enabled, the label is not set")
		c.cfg.MountLabel = ""
	}
	return lsm.Check(p.AppArmorProfile, p.SELinuxLabel)
}

// moveDevices moves linux.netDevices into the container's network namespace.
func (c *creation) moveDevices(plan.Step, boot.Message) ([]byte, error) {
	return nil, netdev.Move(c.cfg.NetDevices, c.driver.pid)
}

// joinRDT assigns init to its resctrl group, which is recorded first.
func (c *creation) joinRDT() error {
	if c.cfg.IntelRDT == nil {
		return nil
	}
	group, err := rdt.Plan(c.o.ID, c.cfg.IntelRDT)
	if err != nil {
		return err
	}
	c.rec.RDT = group
	if err := c.store.Save(c.o.ID, c.rec); err != nil {
		return err
	}
	return rdt.Apply(group, c.driver.pid)
}
