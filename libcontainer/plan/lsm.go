// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
)

// usesAttr says whether a label is written to /proc/self/attr.
func (c *compiler) usesAttr() bool {
	return c.proc != nil && (c.proc.AppArmorProfile != "" || c.proc.SELinuxLabel != "")
}

// openAttr opens the files of the labels for the next execve while the host's
// procfs is still in reach, so that nothing the image mounts can stand in for
// them (CVE-2019-16884).
func (c *compiler) openAttr() {
	if !c.usesAttr() {
		return
	}
	open := func(origin, path string) boot.Word {
		w := c.b.Flag("label file")
		c.b.At(origin)
		how := openHow(unix.O_WRONLY, 0, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV|unix.RESOLVE_NO_MAGICLINKS)
		c.b.Do(boot.Openat2, c.procfd, path, how, 24).Into(w)
		return w
	}
	if c.proc.AppArmorProfile != "" {
		path := "self/attr/exec"
		if c.host.AppArmorAttr {
			path = "self/attr/apparmor/exec"
		}
		c.apparmor = open("process.apparmorProfile", path)
	}
	if c.proc.SELinuxLabel != "" {
		c.selinux = open("process.selinuxLabel", "self/attr/exec")
	}
}

// writeLabels sets the labels that the next execve takes on.
func (c *compiler) writeLabels() {
	if c.apparmor != 0 {
		v := "exec " + c.proc.AppArmorProfile
		c.b.At("process.apparmorProfile " + c.proc.AppArmorProfile)
		c.b.Do(boot.Write, c.apparmor, v, len(v))
		c.b.Do(boot.Close, c.apparmor)
	}
	if c.selinux != 0 {
		c.b.At("process.selinuxLabel " + c.proc.SELinuxLabel)
		c.b.Do(boot.Write, c.selinux, c.proc.SELinuxLabel, len(c.proc.SELinuxLabel))
		c.b.Do(boot.Close, c.selinux)
	}
}
