// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
	"berth/libcontainer/config"
)

// CgroupView is what a mount of type cgroup shows of the host's hierarchies.
type CgroupView struct {
	// Unified says that the host has cgroup v2 alone; then there is one Dir.
	Unified bool
	Dirs    []CgroupDir
}

// CgroupDir is one hierarchy.
type CgroupDir struct {
	// Name is its directory's name: "cpu,cpuacct".
	Name string
	// Links are the names of its controllers where they differ from Name.
	Links []string
	// Options select the hierarchy for mount(2): "cpu", "cpuacct", or "none"
	// and "name=systemd".
	Options []string
	// Source is the host's directory of the container's own cgroup.
	Source string
	// V2: the v2 part of a hybrid.
	V2 bool
}

// cgroupMount shows the container its own cgroups: with a cgroup namespace as
// mounts of the hierarchies, without one as binds of the container's cgroup.
func (c *compiler) cgroupMount(m *config.Mount, path string) {
	view := c.in.CgroupView
	if len(view.Dirs) == 0 {
		c.warn("mounts[%d]: the container has no cgroup to show", m.Index)
		return
	}
	dst := c.target(path, false, 0, 0)
	c.refuseProc(m, dst)
	set, _ := attrs(m.Set, m.Clear)
	if view.Unified {
		w := c.cgroupDir(&view.Dirs[0], set)
		c.b.Do(boot.MoveMount, w, "", dst, "", moveByFD)
		c.closeWord(dst)
		c.shape(m, w)
		c.closeWord(w)
		return
	}
	b := c.b
	tmp := c.newFilesystem("tmpfs", "tmpfs", []string{"mode=755"}, set&^unix.MOUNT_ATTR_RDONLY)
	b.Do(boot.MoveMount, tmp, "", dst, "", moveByFD)
	c.closeWord(dst)
	for i := range view.Dirs {
		d := &view.Dirs[i]
		at := b.Word("hierarchy")
		b.Do(boot.Mkdirat, tmp, d.Name, 0o755)
		c.openIn(tmp, d.Name, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS, at)
		w := c.cgroupDir(d, set)
		b.Do(boot.MoveMount, w, "", at, "", moveByFD)
		c.closeWord(w)
		c.closeWord(at)
		for _, l := range d.Links {
			b.Do(boot.Symlinkat, d.Name, tmp, l)
		}
	}
	c.shape(m, tmp)
	if set&unix.MOUNT_ATTR_RDONLY != 0 {
		c.readonly(tmp, set)
	}
	c.closeWord(tmp)
}

// cgroupDir returns a word with a detached mount of one hierarchy. A kernel
// or a user namespace may refuse a new mount; then it is a bind all the same.
func (c *compiler) cgroupDir(d *CgroupDir, set uint64) boot.Word {
	b := c.b
	w := b.Flag("cgroup mount")
	bind, done := b.Label(), b.Label()
	if c.cfg.Namespaces.New(config.CgroupNS) {
		kind := "cgroup"
		if d.V2 || c.in.CgroupView.Unified {
			kind = "cgroup2"
		}
		fs := b.Word("filesystem")
		b.Do(boot.Fsopen, kind, unix.FSOPEN_CLOEXEC).Into(fs).On(bind, unix.EPERM, unix.ENODEV)
		b.Do(boot.Fsconfig, fs, fsconfigSetString, "source", "cgroup", 0)
		if kind == "cgroup" {
			for _, o := range d.Options {
				c.parameter(fs, o)
			}
		}
		b.Do(boot.Fsconfig, fs, fsconfigCreate, 0, 0, 0).On(bind, unix.EPERM, unix.EBUSY)
		b.Do(boot.Fsmount, fs, unix.FSMOUNT_CLOEXEC, set).Into(w).On(bind, unix.EPERM, unix.EBUSY)
		c.closeWord(fs)
		b.Jump(done)
	}
	b.Place(bind)
	b.Do(boot.OpenTree, unix.AT_FDCWD, d.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE).Into(w)
	if set != 0 && c.host.MountSetattr() {
		c.setAttrs(w, set, 0, true)
	}
	b.Place(done)
	return w
}
