// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
	"berth/libcontainer/config"
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
	if err := lsm.CheckMount(c.cfg.MountLabel); err != nil {
		return err
	}
	return lsm.Check(p.AppArmorProfile, p.SELinuxLabel)
}

// checkJoined refuses what would change the host: settings of a namespace that
// is joined by path, where that path is the host's own namespace.
func (c *creation) checkJoined() error {
	uses := map[config.NamespaceType]string{}
	for _, s := range c.cfg.Sysctls {
		t := config.IPCNS
		switch {
		case strings.HasPrefix(s.Path, "net/"):
			t = config.NetworkNS
		case strings.HasPrefix(s.Path, "user/"):
			t = config.UserNS
		case s.Path == "kernel/domainname":
			t = config.UTSNS
		}
		uses[t] = "linux.sysctl " + s.Key
	}
	if c.cfg.Hostname != "" || c.cfg.Domainname != "" {
		uses[config.UTSNS] = "hostname, domainname"
	}
	for _, ns := range c.cfg.Namespaces {
		field := uses[ns.Type]
		if ns.Path == "" || field == "" {
			continue
		}
		same, err := sameNamespace(ns)
		if err != nil {
			return err
		}
		if same {
			return fmt.Errorf("%s: not allowed, linux.namespaces[%d].path %s is the host %s namespace", field, ns.Index, ns.Path, ns.Type)
		}
	}
	return nil
}

// sameNamespace says whether a namespace to join is our own, namespaces(7).
func sameNamespace(ns config.Namespace) (bool, error) {
	files := map[config.NamespaceType]string{config.NetworkNS: "net", config.MountNS: "mnt"}
	file, ok := files[ns.Type]
	if !ok {
		file = string(ns.Type)
	}
	var theirs, ours unix.Stat_t
	if err := unix.Stat(ns.Path, &theirs); err != nil {
		return false, fmt.Errorf("linux.namespaces[%d].path: stat %s: %w", ns.Index, ns.Path, err)
	}
	if err := unix.Stat("/proc/self/ns/"+file, &ours); err != nil {
		return false, fmt.Errorf("stat /proc/self/ns/%s: %w", file, err)
	}
	return theirs.Dev == ours.Dev && theirs.Ino == ours.Ino, nil
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
