// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
	"berth/libcontainer/config"
)

// mounts makes the config's mounts, in its order.
func (c *compiler) mounts() {
	for i := range c.cfg.Mounts {
		m := &c.cfg.Mounts[i]
		c.b.At(mountOrigin(m))
		if m.Destination == "/" && !m.Remount {
			c.fail("mounts[%d].destination: / is the root filesystem itself", m.Index)
			return
		}
		if m.RecSet|m.RecClear != 0 && !c.host.MountSetattr() {
			c.unsupported(fmt.Sprintf("mounts[%d].options", m.Index), "a recursive mount attribute", 5, 12)
			return
		}
		c.mount(m, c.mountFacts(i))
	}
}

// mountOrigin names a mount in the printed plan and in errors.
func mountOrigin(m *config.Mount) string {
	kind := m.Type
	if m.Bind {
		kind = "bind of " + m.Source
	}
	return fmt.Sprintf("mounts[%d] %s (%s)", m.Index, m.Destination, kind)
}

func (c *compiler) mountFacts(i int) MountFacts {
	if i < len(c.in.Mounts) {
		return c.in.Mounts[i]
	}
	return MountFacts{}
}

// openSources opens the rootfs and what will be bound while we are still the
// caller's user, since directories above them may be closed to the container's
// root, as containerd's are. What is closed to the caller without his
// capabilities is opened again when its turn comes. It is done in the new mount
// namespace, where the host's flags and submounts are locked,
// mount_namespaces(7).
func (c *compiler) openSources() {
	c.cutOff()
	c.b.At("root.path")
	c.earlyRoot = c.b.Flag("rootfs directory")
	c.openRoot(c.earlyRoot).Skip(unix.EACCES)
	c.sources = map[*config.Mount]boot.Word{}
	for i := range c.cfg.Mounts {
		m := &c.cfg.Mounts[i]
		if !m.Bind || m.Remount || c.mountFacts(i).ParentTree {
			continue
		}
		c.b.At(mountOrigin(m))
		w := c.b.Flag("source")
		// Without OPEN_TREE_CLONE it is an open with O_PATH that mounts what automounts.
		c.b.Do(boot.OpenTree, unix.AT_FDCWD, m.Source, unix.OPEN_TREE_CLOEXEC).Into(w).Skip(unix.EACCES)
		c.sources[m] = w
	}
}

// mount makes one mount.
func (c *compiler) mount(m *config.Mount, facts MountFacts) {
	path := m.Destination
	if facts.Destination != "" && m.Type != "proc" && m.Type != "sysfs" && !plain(m.Destination) {
		path = facts.Destination
	}
	switch {
	case m.Remount:
		c.remount(m, path)
	case m.Bind:
		c.bind(m, path, facts)
	case m.Type == "cgroup" || m.Type == "cgroup2":
		c.cgroupMount(m, path)
	default:
		c.filesystem(m, path)
	}
}

// filesystem mounts a new instance of a filesystem.
func (c *compiler) filesystem(m *config.Mount, path string) {
	b := c.b
	resolve, created := uint64(0), boot.Word(0)
	if m.Type == "proc" || m.Type == "sysfs" || plain(m.Destination) {
		// A symbolic link would put it where masks do not reach (CVE-2019-19921).
		resolve = unix.RESOLVE_NO_SYMLINKS
	}
	inherit := m.Type == "tmpfs" && !hasKey(m.Data, "mode")
	if inherit {
		created = b.Flag("created")
	}
	dst := c.target(path, false, resolve, created)
	if m.Type != "proc" {
		c.refuseProc(m, dst)
	}
	if tooLong(m.Data) {
		c.filesystemByPath(m, path, dst)
		return
	}
	set, _ := attrs(m.Set, m.Clear)
	// Read-only only when everything is in it: the devices, the copied files.
	late := set&unix.MOUNT_ATTR_RDONLY != 0 && (m.Destination == "/dev" || m.CopyUp)
	if late {
		set &^= unix.MOUNT_ATTR_RDONLY
	}
	w := c.newFilesystem(m.Type, m.Source, c.parameters(m), set)
	if inherit {
		c.inheritMode(dst, w, created)
	}
	if m.CopyUp {
		c.barrierWithFile(Step{Kind: StepCopyFrom, Index: m.Index, Origin: b.Origin()}, dst)
		c.barrierWithFile(Step{Kind: StepCopyTo, Index: m.Index, Origin: b.Origin()}, w)
	}
	b.Do(boot.MoveMount, w, "", dst, "", moveByFD)
	c.closeWord(dst)
	c.shape(m, w)
	if !late {
		if !c.keepPropagation(m, w) {
			c.closeWord(w)
		}
		return
	}
	origin := b.Origin()
	c.deferred = append(c.deferred, func() {
		b.At(origin)
		c.readonly(w, set)
		c.closeWord(w)
	})
}

// inheritMode gives a tmpfs the mode of the directory that it covers, unless
// that was made for it.
func (c *compiler) inheritMode(dst, w, created boot.Word) {
	skip := c.b.Label()
	stat := c.b.Buffer("statx", 256)
	c.b.JumpIfEqual(created.Addr(), 1, 1, skip)
	c.b.Do(boot.Statx, dst, "", unix.AT_EMPTY_PATH, unix.STATX_MODE, stat)
	// stx_mode is 16 bits at offset 28, and fchmodat takes no more than 16.
	c.b.Do(boot.Fchmodat, w, ".", boot.Loaded(stat+28))
	c.b.Place(skip)
}

// readonly makes an attached mount read-only; set are its other attributes.
func (c *compiler) readonly(w boot.Word, set uint64) {
	if c.host.MountSetattr() {
		c.setAttrs(w, unix.MOUNT_ATTR_RDONLY, 0, false)
		return
	}
	flags := uint64(unix.MS_RDONLY)
	for _, f := range [][2]uint64{
		{unix.MOUNT_ATTR_NOSUID, unix.MS_NOSUID}, {unix.MOUNT_ATTR_NODEV, unix.MS_NODEV},
		{unix.MOUNT_ATTR_NOEXEC, unix.MS_NOEXEC}, {unix.MOUNT_ATTR_NOATIME, unix.MS_NOATIME},
	} {
		if set&f[0] != 0 {
			flags |= f[1]
		}
	}
	c.remountOld(w, flags)
}

// Commands of fsconfig(2).
const (
	fsconfigSetFlag     = 0
	fsconfigSetString   = 1
	fsconfigCreate      = 6
	fsconfigReconfigure = 7
)

// newFilesystem makes a filesystem and returns a word with its detached mount.
func (c *compiler) newFilesystem(kind, source string, parameters []string, set uint64) boot.Word {
	b := c.b
	fs, w := b.Word("filesystem"), b.Word("mount")
	b.Do(boot.Fsopen, kind, unix.FSOPEN_CLOEXEC).Into(fs)
	if source != "" {
		b.Do(boot.Fsconfig, fs, fsconfigSetString, "source", source, 0)
	}
	for _, p := range parameters {
		c.parameter(fs, p)
	}
	b.Do(boot.Fsconfig, fs, fsconfigCreate, 0, 0, 0)
	b.Do(boot.Fsmount, fs, unix.FSMOUNT_CLOEXEC, set).Into(w)
	c.closeWord(fs)
	return w
}

func (c *compiler) parameter(fs boot.Word, p string) {
	if key, value, ok := strings.Cut(p, "="); ok {
		c.b.Do(boot.Fsconfig, fs, fsconfigSetString, key, value, 0)
	} else {
		c.b.Do(boot.Fsconfig, fs, fsconfigSetFlag, key, 0, 0)
	}
}

// parameters returns a filesystem's own options, with those MS_* flags that
// belong to the superblock as words.
func (c *compiler) parameters(m *config.Mount) []string {
	list := m.Data
	for _, f := range []struct {
		flag uint64
		word string
	}{
		{unix.MS_SYNCHRONOUS, "sync"}, {unix.MS_DIRSYNC, "dirsync"},
		{unix.MS_MANDLOCK, "mand"}, {unix.MS_LAZYTIME, "lazytime"},
	} {
		if m.Set&f.flag != 0 {
			list = append(list[:len(list):len(list)], f.word)
		}
	}
	switch m.Type {
	case "proc", "sysfs", "tmpfs", "mqueue", "devpts":
		// Read-only as a mount is enough, and keeps a shared superblock as it is.
	default:
		if m.Set&unix.MS_RDONLY != 0 {
			list = append(list[:len(list):len(list)], "ro")
		}
	}
	if c.cfg.MountLabel != "" && m.Type != "proc" && m.Type != "sysfs" && !hasKey(m.Data, "context") {
		list = append(list[:len(list):len(list)], "context="+c.cfg.MountLabel)
	}
	return list
}

// tooLong says whether a parameter exceeds what fsconfig(2) takes, 255 bytes:
// the lowerdir of an overlay may.
func tooLong(data []string) bool {
	for _, p := range data {
		if _, value, _ := strings.Cut(p, "="); len(value) > 255 {
			return true
		}
	}
	return false
}

// filesystemByPath is filesystem for long parameters: mount(2) on the current
// directory, which is the target's descriptor.
func (c *compiler) filesystemByPath(m *config.Mount, path string, dst boot.Word) {
	b := c.b
	if m.CopyUp || m.Destination == "/dev" {
		c.fail("mounts[%d].options: a value of more than 255 bytes goes with neither tmpcopyup nor /dev", m.Index)
		return
	}
	b.Do(boot.Fchdir, dst)
	data := strings.Join(m.Data, ",")
	if l := c.cfg.MountLabel; l != "" && !hasKey(m.Data, "context") {
		data += `,context="` + l + `"` // quoted: a label's categories have commas
	}
	if len(data) > 4095 {
		c.fail("mounts[%d].options: %d bytes of filesystem options are too long, mount(2) takes 4095", m.Index, len(data))
	}
	source := any(0)
	if m.Source != "" {
		source = m.Source
	}
	b.Do(boot.Mount, source, ".", m.Type, m.Set, data)
	b.Do(boot.Chdir, "/")
	c.closeWord(dst)
	w := b.Word("mount")
	c.openIn(c.rootfd, path, unix.O_PATH|unix.O_DIRECTORY, 0, w)
	c.shape(m, w)
	c.closeWord(w)
}

// bind attaches a copy of part of the host's tree.
func (c *compiler) bind(m *config.Mount, path string, facts MountFacts) {
	b := c.b
	resolve := uint64(0)
	if plain(m.Destination) {
		resolve = unix.RESOLVE_NO_SYMLINKS
	}
	dst := c.target(path, facts.Source != Directory, resolve, 0)
	c.refuseProc(m, dst)
	w := c.tree(m, facts)
	set, clear := attrs(m.Set, m.Clear)
	if set|clear != 0 && c.host.MountSetattr() {
		c.bindAttrs(w, set, clear)
	}
	b.Do(boot.MoveMount, w, "", dst, "", moveByFD)
	c.closeWord(dst)
	if set|clear != 0 && !c.host.MountSetattr() {
		c.remountOld(w, m.Set)
	}
	c.shape(m, w)
	if c.keepPropagation(m, w) {
		return
	}
	if facts.ParentTree || facts.Fallback {
		b.Do(boot.Close, w)
	} else {
		c.closeWord(w)
	}
}

// tree returns a word with a detached copy of a bind mount's source: from the
// descriptor that openSources has, by its path, or what the parent passed.
func (c *compiler) tree(m *config.Mount, facts MountFacts) boot.Word {
	b := c.b
	flags := unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC
	if m.Recursive {
		flags |= unix.AT_RECURSIVE
	}
	if !facts.ParentTree && !facts.Fallback {
		w := b.Word("tree")
		c.openTree(m, flags, w)
		return w
	}
	passed := c.file(File{Kind: FileTree, Index: m.Index, Path: m.Source})
	w := b.Constant("tree", uint64(passed))
	if facts.Fallback {
		refused := b.Label()
		c.openTree(m, flags, w).On(refused, unix.EACCES)
		b.Do(boot.Close, passed)
		b.Place(refused)
	}
	return w
}

// openTree opens a source into w, and returns the operation that does it by path.
func (c *compiler) openTree(m *config.Mount, flags int, w boot.Word) *boot.Op {
	b, source := c.b, c.sources[m]
	if source == 0 {
		return b.Do(boot.OpenTree, unix.AT_FDCWD, m.Source, flags).Into(w)
	}
	again, opened := b.Label(), b.Label()
	b.JumpIfEqual(source.Addr(), 0xffffffff, 0, again)
	b.Do(boot.OpenTree, source, "", flags|unix.AT_EMPTY_PATH).Into(w)
	b.Do(boot.Close, source)
	b.Jump(opened)
	b.Place(again)
	byPath := b.Do(boot.OpenTree, unix.AT_FDCWD, m.Source, flags).Into(w)
	b.Place(opened)
	return byPath
}

// bindAttrs changes a bind mount's attributes. What is cleared may be locked,
// because the mount was inherited from a more privileged namespace: then it
// stays as it is, and only what is set is set.
func (c *compiler) bindAttrs(w boot.Word, set, clear uint64) {
	if clear == 0 {
		c.setAttrs(w, set, 0, false)
		return
	}
	locked, done := c.b.Label(), c.b.Label()
	c.setAttrs(w, set, clear, false).On(locked, unix.EPERM)
	c.b.Jump(done)
	c.b.Place(locked)
	if set != 0 {
		keep := uint64(0)
		if set&unix.MOUNT_ATTR__ATIME != 0 {
			keep = unix.MOUNT_ATTR__ATIME
		}
		c.setAttrs(w, set, keep, false)
	}
	c.b.Place(done)
}

// plain says whether a destination must be a directory of the rootfs itself: a
// link would put it, or what we make in it, somewhere else (CVE-2026-41579).
func plain(destination string) bool {
	return destination == "/dev" || destination == "/proc" || destination == "/sys"
}

// shape applies what belongs to the attached mount: recursive attributes,
// then propagation.
func (c *compiler) shape(m *config.Mount, w boot.Word) {
	if m.RecSet|m.RecClear != 0 {
		c.setAttrs(w, m.RecSet, m.RecClear, true)
	}
	for _, p := range m.Propagation {
		c.propagate(w, p)
	}
}

// keepPropagation keeps a mount's descriptor if a recursive rootfsPropagation,
// which can be applied to the new root only after the pivot, would undo the
// propagation that the mount itself asks for.
func (c *compiler) keepPropagation(m *config.Mount, w boot.Word) bool {
	if len(m.Propagation) == 0 || c.cfg.RootPropagation&unix.MS_REC == 0 || !c.host.MountSetattr() {
		return false
	}
	origin := c.b.Origin()
	c.repropagate = append(c.repropagate, func() {
		c.b.At(origin)
		for _, p := range m.Propagation {
			c.propagate(w, p)
		}
		c.b.Do(boot.Close, w)
	})
	return true
}

// remount changes what is mounted at the destination.
func (c *compiler) remount(m *config.Mount, path string) {
	b := c.b
	w := b.Word("mount")
	c.openIn(c.rootfd, path, unix.O_PATH, 0, w)
	if !m.Bind {
		fs := b.Word("filesystem")
		b.Do(boot.Fspick, w, "", unix.FSPICK_CLOEXEC|unix.FSPICK_EMPTY_PATH).Into(fs)
		for _, p := range c.parameters(m) {
			c.parameter(fs, p)
		}
		b.Do(boot.Fsconfig, fs, fsconfigReconfigure, 0, 0, 0)
		c.closeWord(fs)
	}
	set, clear := attrs(m.Set, m.Clear)
	switch {
	case set|clear == 0:
	case c.host.MountSetattr():
		c.bindAttrs(w, set, clear)
	default:
		c.remountOld(w, m.Set)
	}
	c.shape(m, w)
	c.closeWord(w)
}

const procSuperMagic = 0x9fa0 // statfs(2)

// refuseProc ends the program if a link in the rootfs leads a mount into a
// procfs. Destinations that the config itself puts there were checked when it
// was read.
func (c *compiler) refuseProc(m *config.Mount, dst boot.Word) {
	if below(m.Destination, "/proc") {
		return
	}
	fine := c.b.Label()
	stat := c.statfsBuffer()
	c.b.Do(boot.Fstatfs, dst, stat)
	c.b.JumpUnlessEqual(stat, 0xffffffff, procSuperMagic, fine)
	c.b.Fail(int(unix.ELOOP))
	c.b.Place(fine)
}

// statfsBuffer returns the buffer that all fstatfs calls share.
func (c *compiler) statfsBuffer() boot.Addr {
	if c.statfs == 0 {
		c.statfs = c.b.Buffer("statfs", 128)
	}
	return c.statfs
}

// hasKey says whether options name a key.
func hasKey(options []string, key string) bool {
	for _, o := range options {
		if k, _, _ := strings.Cut(o, "="); k == key {
			return true
		}
	}
	return false
}
