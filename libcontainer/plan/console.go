// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
)

const devptsSuperMagic = 0x1cd1 // statfs(2)

// console allocates the container's terminal from its own devpts, binds it at
// /dev/console, and gives the master to the parent.
func (c *compiler) console() {
	if c.proc == nil || !c.proc.Terminal {
		return
	}
	c.allocateConsole(c.rootfd)
	if !c.ownsDev() {
		return
	}
	b := c.b
	b.At("/dev/console")
	dst, tree := b.Word("console file"), b.Word("console")
	c.openIn(c.rootfd, "/dev/console", unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_NO_SYMLINKS, dst)
	b.Do(boot.OpenTree, c.terminal, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH).Into(tree)
	b.Do(boot.MoveMount, tree, "", dst, "", moveByFD)
	c.closeWord(tree)
	c.closeWord(dst)
}

// execConsole is console for exec: the root is the container's.
func (c *compiler) execConsole() {
	if !c.proc.Terminal {
		return
	}
	c.rootfd = c.b.Word("root")
	c.b.At("process.terminal")
	c.b.Do(boot.Openat, unix.AT_FDCWD, "/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0).Into(c.rootfd)
	c.allocateConsole(c.rootfd)
}

// allocateConsole opens a pty: the multiplexer must be a devpts's, and the
// slave comes from the master itself, never by a path (CVE-2025-52565).
func (c *compiler) allocateConsole(root boot.Word) {
	b := c.b
	b.At("process.terminal")
	master := b.Word("pty master")
	c.terminal = b.Flag("pty slave")
	stat := c.statfsBuffer()
	genuine := b.Label()
	pts := b.Word("/dev/pts")
	c.openIn(root, "/dev/pts", unix.O_PATH|unix.O_DIRECTORY, 0, pts)
	b.Do(boot.Fstatfs, pts, stat)
	b.JumpIfEqual(stat, 0xffffffff, devptsSuperMagic, genuine)
	b.Fail(int(unix.ENODEV))
	b.Place(genuine)
	c.openIn(pts, "ptmx", unix.O_RDWR|unix.O_NOCTTY, unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_XDEV, master)
	c.closeWord(pts)
	b.Do(boot.Ioctl, master, unix.TIOCSPTLCK, make([]byte, 8)) // 0: unlock
	// The flags of the new descriptor are the argument itself, ioctl_tty(2).
	b.Do(boot.Ioctl, master, unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC).Into(c.terminal)
	if rows, cols := c.proc.ConsoleRows, c.proc.ConsoleCols; rows != 0 || cols != 0 {
		b.At("process.consoleSize")
		size := binary.LittleEndian.AppendUint16(nil, rows)
		size = binary.LittleEndian.AppendUint16(size, cols)
		b.Do(boot.Ioctl, master, unix.TIOCSWINSZ, append(size, 0, 0, 0, 0))
	}
	b.At("process.terminal")
	c.barrierWithFile(Step{Kind: StepConsole, Origin: "process.terminal"}, master)
	c.closeWord(master)
}

// session starts a session of our own and gives it the terminal.
func (c *compiler) session() {
	b := c.b
	b.At("session")
	b.Do(boot.Setsid).Skip(unix.EPERM) // pid 1 of a pid namespace may lead one
	if c.terminal == 0 {
		return
	}
	b.At("process.terminal")
	for fd := range 3 {
		b.Do(boot.Dup3, c.terminal, fd, 0)
	}
	b.Do(boot.Ioctl, 0, unix.TIOCSCTTY, 0)
	b.Do(boot.Close, c.terminal)
}
