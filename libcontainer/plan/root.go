// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
	"berth/libcontainer/config"
)

// Flags of move_mount(2): both ends are descriptors.
const moveByFD = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH

// propagationMask are the flags that mount(2) takes as a propagation type.
const propagationMask = unix.MS_SHARED | unix.MS_SLAVE | unix.MS_PRIVATE | unix.MS_UNBINDABLE

// root cuts the mount namespace off from the host and attaches a copy of the
// rootfs's mounts on top of the rootfs, whose descriptor is the handle for
// everything below.
func (c *compiler) root() {
	b := c.b
	b.At("root.path")
	b.Do(boot.Umask, 0) // modes below are exact
	if !c.cfg.Namespaces.Has(config.MountNS) {
		c.rootWithoutNamespace()
		return
	}
	if c.earlyRoot == 0 {
		c.cutOff()
	}
	b.At("root.path")
	if c.cfg.MountLabel != "" {
		b.At("linux.mountLabel")
	}
	c.bindRoot()
}

// cutOff sets the propagation of all mounts that the namespace came with.
func (c *compiler) cutOff() {
	propagation := c.cfg.RootPropagation
	if propagation == 0 {
		propagation = unix.MS_SLAVE | unix.MS_REC
	}
	c.b.At("linux.rootfsPropagation")
	c.b.Do(boot.Mount, 0, "/", 0, propagation, 0)
	if propagation&(unix.MS_SLAVE|unix.MS_PRIVATE) == 0 {
		c.privateParent()
	}
}

// bindRoot attaches a copy of the rootfs's mounts on top of it.
func (c *compiler) bindRoot() {
	b := c.b
	at := c.rootDirectory()
	c.rootfd = b.Word("rootfs")
	b.Do(boot.OpenTree, at, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE).Into(c.rootfd)
	b.Do(boot.MoveMount, c.rootfd, "", at, "", moveByFD)
	b.Do(boot.Close, at)
}

// rootDirectory returns a word with an O_PATH descriptor of the rootfs.
func (c *compiler) rootDirectory() boot.Word {
	if c.earlyRoot == 0 {
		w := c.b.Word("rootfs directory")
		c.openRoot(w)
		return w
	}
	opened := c.b.Label()
	c.b.JumpUnlessEqual(c.earlyRoot.Addr(), 0xffffffff, 0, opened)
	c.openRoot(c.earlyRoot)
	c.b.Place(opened)
	return c.earlyRoot
}

func (c *compiler) openRoot(w boot.Word) *boot.Op {
	return c.b.Do(boot.Openat, unix.AT_FDCWD, c.cfg.Rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0).Into(w)
}

// rootWithoutNamespace opens the rootfs for a bare chroot. The config's mounts
// are made on the host then, as the spec has it, but on a bind mount of the
// rootfs, which delete detaches with all that is on it.
func (c *compiler) rootWithoutNamespace() {
	switch {
	case len(c.cfg.Mounts) > 0 && c.cfg.Rootfs == "/":
		c.fail("mounts: there is no mount namespace, and root.path is the host's root; add one to linux.namespaces")
	case c.cfg.ReadonlyRoot:
		c.fail("root.readonly: there is no mount namespace, and remounting would change the host; add one to linux.namespaces")
	case len(c.cfg.MaskedPaths)+len(c.cfg.ReadonlyPaths) > 0:
		c.fail("linux.maskedPaths, linux.readonlyPaths: there is no mount namespace; add one to linux.namespaces")
	}
	if len(c.cfg.Mounts) > 0 {
		c.bindRoot()
		// What the host's mount below is shared with gets the bind, but not what is on it.
		c.propagate(c.rootfd, unix.MS_PRIVATE|unix.MS_REC)
		return
	}
	c.rootfd = c.rootDirectory()
}

// privateParent makes the mount that holds the rootfs private, whichever of
// the directories above it that is: pivot_root(2) refuses a shared one. EINVAL
// says that a directory is no mount point.
func (c *compiler) privateParent() {
	done := c.b.Label()
	for dir := c.cfg.Rootfs; ; dir = filepath.Dir(dir) {
		next := c.b.Label()
		c.b.Do(boot.Mount, 0, dir, 0, unix.MS_PRIVATE, 0).On(next, unix.EINVAL)
		c.b.Jump(done)
		c.b.Place(next)
		if dir == "/" {
			break
		}
	}
	c.b.Place(done)
}

// pivot makes the rootfs the root, and detaches the host's.
func (c *compiler) pivot() {
	b := c.b
	b.At("root.path")
	b.Do(boot.Fchdir, c.rootfd)
	switch {
	case !c.cfg.Namespaces.Has(config.MountNS):
		b.Do(boot.Chroot, ".")
	case c.cfg.NoPivot:
		c.moveRoot()
	default:
		old := b.Word("old root")
		b.Do(boot.Openat, unix.AT_FDCWD, "/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0).Into(old)
		b.Do(boot.PivotRoot, ".", ".")
		// The old root lies on top of the new one now. Its unmounting must not
		// propagate to the host.
		b.Do(boot.Fchdir, old)
		b.Do(boot.Mount, 0, ".", 0, unix.MS_SLAVE|unix.MS_REC, 0)
		b.Do(boot.Umount2, ".", unix.MNT_DETACH)
		c.closeWord(old)
	}
	b.Do(boot.Chdir, "/")
	if p := c.cfg.RootPropagation; p != 0 && c.cfg.Namespaces.Has(config.MountNS) {
		b.At("linux.rootfsPropagation")
		b.Do(boot.Mount, 0, "/", 0, p, 0)
		for _, again := range c.repropagate {
			again()
		}
	}
}

// moveRoot is --no-pivot, for a root that cannot be pivoted (an initramfs).
// A chroot leaves what it covers reachable, so the host's proc and sysfs go
// first; they cannot be unmounted if they are locked, then they are covered.
func (c *compiler) moveRoot() {
	b := c.b
	for _, path := range []string{"/proc", "/sys"} {
		again, cover, done := b.Label(), b.Label(), b.Label()
		b.At("--no-pivot: " + path)
		b.Place(again)
		b.Do(boot.Umount2, path, unix.MNT_DETACH).On(done, unix.EINVAL, unix.ENOENT).On(cover, unix.EPERM)
		b.Jump(again) // mounts may be stacked
		b.Place(cover)
		b.Do(boot.Mount, "tmpfs", path, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=0")
		b.Place(done)
	}
	b.At("--no-pivot")
	b.Do(boot.Mount, ".", "/", 0, unix.MS_MOVE, 0)
	b.Do(boot.Chroot, ".")
}

// mountAttr is struct mount_attr, mount_setattr(2).
func mountAttr(set, clear, propagation uint64) []byte {
	le := binary.LittleEndian
	v := le.AppendUint64(le.AppendUint64(nil, set), clear)
	return le.AppendUint64(le.AppendUint64(v, propagation), 0)
}

// attrs translates MS_* flags of one mount to MOUNT_ATTR_*. The access times
// are one field: setting one of them clears the field first.
func attrs(set, clear uint64) (attrSet, attrClear uint64) {
	for _, f := range []struct{ ms, attr uint64 }{
		{unix.MS_RDONLY, unix.MOUNT_ATTR_RDONLY},
		{unix.MS_NOSUID, unix.MOUNT_ATTR_NOSUID},
		{unix.MS_NODEV, unix.MOUNT_ATTR_NODEV},
		{unix.MS_NOEXEC, unix.MOUNT_ATTR_NOEXEC},
		{unix.MS_NODIRATIME, unix.MOUNT_ATTR_NODIRATIME},
		{unix.MS_NOSYMFOLLOW, unix.MOUNT_ATTR_NOSYMFOLLOW},
	} {
		if set&f.ms != 0 {
			attrSet |= f.attr
		}
		if clear&f.ms != 0 {
			attrClear |= f.attr
		}
	}
	const times = unix.MS_NOATIME | unix.MS_RELATIME | unix.MS_STRICTATIME
	if (set|clear)&times != 0 {
		attrClear |= unix.MOUNT_ATTR__ATIME
		switch {
		case set&unix.MS_NOATIME != 0:
			attrSet |= unix.MOUNT_ATTR_NOATIME
		case set&unix.MS_STRICTATIME != 0:
			attrSet |= unix.MOUNT_ATTR_STRICTATIME
		}
	}
	return attrSet, attrClear
}

// scratchFD is the number that kernels without mount_setattr(2) get at a mount
// through: above all that the container's mounts may need at a time.
func (c *compiler) scratchFD() int { return 250 + 2*len(c.cfg.Mounts) }

// setAttrs changes the attributes of an attached mount, or of a detached one
// where the kernel can. clear must not name what the mount inherited locked.
func (c *compiler) setAttrs(m boot.Word, set, clear uint64, recursive bool) *boot.Op {
	flags := unix.AT_EMPTY_PATH
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	return c.b.Do(boot.MountSetattr, m, "", flags, mountAttr(set, clear, 0), 32)
}

// remountOld is setAttrs for Linux 5.10 and 5.11: a bind remount, which
// replaces all flags of the mount.
func (c *compiler) remountOld(m boot.Word, flags uint64) {
	c.throughProc(m, func(path string) {
		c.b.Do(boot.Mount, 0, path, 0, flags|unix.MS_REMOUNT|unix.MS_BIND, 0)
	})
}

// throughProc names a descriptor by a path, for calls that take no descriptor.
func (c *compiler) throughProc(m boot.Word, use func(path string)) {
	fd := c.scratchFD()
	c.b.Do(boot.Dup3, m, fd, unix.O_CLOEXEC)
	use("/proc/self/fd/" + strconv.Itoa(fd))
	c.b.Do(boot.Close, fd)
}

// propagate changes a mount's propagation.
func (c *compiler) propagate(m boot.Word, flags uint64) {
	if !c.host.MountSetattr() {
		c.throughProc(m, func(path string) { c.b.Do(boot.Mount, 0, path, 0, flags, 0) })
		return
	}
	how := unix.AT_EMPTY_PATH
	if flags&unix.MS_REC != 0 {
		how |= unix.AT_RECURSIVE
	}
	c.b.Do(boot.MountSetattr, m, "", how, mountAttr(0, 0, flags&propagationMask), 32)
}

// below says whether path is dir or lies below it.
func below(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
