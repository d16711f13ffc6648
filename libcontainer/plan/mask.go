// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
)

// mask applies readonlyPaths, maskedPaths and the read-only root, each on a
// descriptor opened within the rootfs. What does not exist needs no mask.
func (c *compiler) mask() {
	for _, p := range c.cfg.ReadonlyPaths {
		c.b.At("linux.readonlyPaths " + p)
		c.readonlyPath(p)
	}
	if len(c.cfg.MaskedPaths) > 0 {
		c.maskPaths()
	}
	if c.cfg.ReadonlyRoot {
		c.makeCwd()
		c.b.At("root.readonly")
		c.readonly(c.rootfd, 0)
	}
}

// makeCwd makes the working directory while the root can still be written to.
// What else may be wrong with it is for enterCwd to say.
func (c *compiler) makeCwd() {
	if c.proc.Cwd == "/" {
		return
	}
	b := c.b
	b.At("process.cwd " + c.proc.Cwd)
	missing, done, at := b.Label(), b.Label(), b.Word("path")
	c.openIn(c.rootfd, c.proc.Cwd, unix.O_PATH, 0, at).On(missing, unix.ENOENT).On(done, boot.AnyErrno)
	c.closeWord(at)
	b.Jump(done)
	b.Place(missing)
	c.closeWord(c.target(c.proc.Cwd, false, 0, 0))
	b.Place(done)
}

func (c *compiler) readonlyPath(path string) {
	b := c.b
	absent := b.Label()
	at, w := b.Word("path"), b.Word("read-only copy")
	c.openIn(c.rootfd, path, unix.O_PATH, 0, at).On(absent, unix.ENOENT, unix.ENOTDIR)
	b.Do(boot.OpenTree, at, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE).Into(w)
	if c.host.MountSetattr() {
		c.setAttrs(w, unix.MOUNT_ATTR_RDONLY, 0, false)
	}
	b.Do(boot.MoveMount, w, "", at, "", moveByFD)
	if !c.host.MountSetattr() {
		// procfs and sysfs, which these paths lie in, are mounted so.
		c.remountOld(w, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC)
	}
	c.closeWord(w)
	c.closeWord(at)
	b.Place(absent)
}

// maskPaths covers files with the host's /dev/null, which no image can have
// replaced (CVE-2025-31133), and directories with one empty read-only tmpfs.
func (c *compiler) maskPaths() {
	b := c.b
	b.At("linux.maskedPaths")
	null := b.Word("host /dev/null")
	b.Do(boot.Openat, unix.AT_FDCWD, "/dev/null", unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0).Into(null)
	empty := b.Flag("empty directory") // 0 until the first masked directory
	for _, p := range c.cfg.MaskedPaths {
		b.At("linux.maskedPaths " + p)
		c.maskPath(p, null, empty)
	}
	c.closeWord(null)
}

func (c *compiler) maskPath(path string, null, empty boot.Word) {
	b := c.b
	file, first, attach, absent := b.Label(), b.Label(), b.Label(), b.Label()
	at, w := b.Word("path"), b.Flag("mask")
	c.openIn(c.rootfd, path, unix.O_PATH|unix.O_DIRECTORY, 0, at).
		On(absent, unix.ENOENT, unix.EACCES).On(file, unix.ENOTDIR)
	b.JumpIfEqual(empty.Addr(), 0xffffffff, 0, first)
	b.Do(boot.OpenTree, empty, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH).Into(w)
	b.Jump(attach)

	b.Place(first) // made once; later ones are copies of the attached one
	made := c.newFilesystem("tmpfs", "tmpfs", []string{"nr_blocks=1", "nr_inodes=1", "mode=0755"},
		unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	b.Set(empty, made)
	b.Do(boot.MoveMount, made, "", at, "", moveByFD)
	b.Release(made)
	b.Do(boot.Close, at)
	b.Jump(absent)

	b.Place(file) // ENOTDIR also says that a parent is no directory
	c.openIn(c.rootfd, path, unix.O_PATH, 0, at).On(absent, unix.ENOENT, unix.ENOTDIR, unix.EACCES)
	b.Do(boot.OpenTree, null, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH).Into(w)
	b.Place(attach)
	b.Do(boot.MoveMount, w, "", at, "", moveByFD)
	b.Do(boot.Close, w)
	b.Do(boot.Close, at)
	b.Place(absent)
	b.Release(at)
}
