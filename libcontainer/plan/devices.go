// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
	"berth/libcontainer/config"
)

// devices fills /dev: nodes, links, ptmx. A /dev that the config does not
// mount, or binds from the host, is left alone, but for the nodes that the
// config names itself.
func (c *compiler) devices() {
	own := c.ownsDev()
	for i := range c.cfg.Devices {
		d := &c.cfg.Devices[i]
		if own || !d.Default && c.cfg.Namespaces.Has(config.MountNS) {
			c.device(d)
		}
	}
	if !own {
		c.undefer()
		return
	}
	b := c.b
	b.At("/dev links")
	dev := c.target("/dev", false, unix.RESOLVE_NO_SYMLINKS, 0)
	links := [][2]string{
		{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"},
		{"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"},
	}
	if c.host.Kcore {
		links = append(links, [2]string{"/proc/kcore", "core"})
	}
	for _, l := range links {
		b.Do(boot.Symlinkat, l[0], dev, l[1]).Skip(unix.EEXIST)
	}
	b.At("/dev/ptmx")
	b.Do(boot.Unlinkat, dev, "ptmx", 0).Skip(unix.ENOENT)
	b.Do(boot.Symlinkat, "pts/ptmx", dev, "ptmx")
	c.closeWord(dev)
	// The placeholder must exist before /dev may become read-only.
	if c.proc != nil && c.proc.Terminal {
		b.At("/dev/console")
		c.closeWord(c.target("/dev/console", true, unix.RESOLVE_NO_SYMLINKS, 0))
	}
	c.undefer()
}

// undefer applies the attributes that waited for the devices.
func (c *compiler) undefer() {
	for _, f := range c.deferred {
		f()
	}
	c.deferred = nil
}

// ownsDev says whether the config mounts a /dev of the container's own.
func (c *compiler) ownsDev() bool {
	own := false
	for _, m := range c.cfg.Mounts {
		if m.Destination == "/dev" && !m.Remount {
			own = !m.Bind
		}
	}
	return own
}

// device makes one node, or binds the host's where mknod is not allowed: in
// a user namespace, and in a sandbox that refuses it.
func (c *compiler) device(d *config.Device) {
	b := c.b
	b.At(fmt.Sprintf("%s %s", d.Origin, d.Path))
	dir, name := path.Split(d.Path)
	resolve := uint64(0)
	if below(d.Path, "/dev") {
		resolve = unix.RESOLVE_NO_SYMLINKS
	}
	parent := c.target(dir, false, resolve, 0)
	if c.cfg.Namespaces.Has(config.UserNS) {
		c.bindDevice(d, parent, name)
		c.closeWord(parent)
		return
	}
	kinds := map[byte]uint32{'c': unix.S_IFCHR, 'u': unix.S_IFCHR, 'b': unix.S_IFBLK, 'p': unix.S_IFIFO}
	kind := kinds[d.Type]
	exists, refused, done := b.Label(), b.Label(), b.Label()
	number := unix.Mkdev(d.Major, d.Minor)
	b.Do(boot.Mknodat, parent, name, kind|d.Mode, uint64(uint32(number))).
		On(exists, unix.EEXIST).On(refused, unix.EPERM)
	if d.UID != 0 || d.GID != 0 {
		b.Do(boot.Fchownat, parent, name, d.UID, d.GID, unix.AT_SYMLINK_NOFOLLOW)
	}
	b.Jump(done)
	b.Place(exists)
	c.sameDevice(d, kind, parent, name)
	b.Jump(done)
	b.Place(refused)
	c.bindDevice(d, parent, name)
	b.Place(done)
	c.closeWord(parent)
}

// sameDevice accepts what is there already if it is the very node; the image
// may have put anything at this name.
func (c *compiler) sameDevice(d *config.Device, kind uint32, parent boot.Word, name string) {
	c.checkDevice(d, kind, parent, name, unix.AT_SYMLINK_NOFOLLOW, unix.EEXIST)
}

// checkDevice fails with an errno unless a file is the device, statx(2).
func (c *compiler) checkDevice(d *config.Device, kind uint32, parent boot.Word, name string, flags int, errno unix.Errno) {
	b := c.b
	if c.statx == 0 {
		c.statx = b.Buffer("statx", 256)
	}
	wrong, fine := b.Label(), b.Label()
	b.Do(boot.Statx, parent, name, flags, unix.STATX_TYPE, c.statx)
	b.JumpUnlessEqual(c.statx+28, unix.S_IFMT, kind, wrong) // stx_mode
	if kind != unix.S_IFIFO {
		b.JumpUnlessEqual(c.statx+128, 0xffffffff, d.Major, wrong) // stx_rdev_major
		b.JumpUnlessEqual(c.statx+132, 0xffffffff, d.Minor, wrong)
	}
	b.Jump(fine)
	b.Place(wrong)
	b.Fail(int(errno))
	b.Place(fine)
}

// bindDevice mounts the host's node of the same path on a file.
func (c *compiler) bindDevice(d *config.Device, parent boot.Word, name string) {
	b := c.b
	if d.Type == 'p' {
		b.Do(boot.Mknodat, parent, name, unix.S_IFIFO|d.Mode, 0).Skip(unix.EEXIST)
		return
	}
	file, tree := b.Word("file"), b.Word("host device")
	b.Do(boot.OpenTree, unix.AT_FDCWD, d.Path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC).Into(tree)
	kinds := map[byte]uint32{'c': unix.S_IFCHR, 'u': unix.S_IFCHR, 'b': unix.S_IFBLK}
	c.checkDevice(d, kinds[d.Type], tree, "", unix.AT_EMPTY_PATH, unix.ENODEV)
	b.Do(boot.Mknodat, parent, name, unix.S_IFREG|0o644, 0).Skip(unix.EEXIST)
	c.openIn(parent, name, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_NO_SYMLINKS, file)
	b.Do(boot.MoveMount, tree, "", file, "", moveByFD)
	c.closeWord(file)
	c.closeWord(tree)
}
