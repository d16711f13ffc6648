// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
	"berth/libcontainer/plan"
)

// copyFrom keeps the directory that a tmpfs is about to cover.
func (c *creation) copyFrom(s plan.Step, m boot.Message) ([]byte, error) {
	if len(m.FDs) != 1 {
		return nil, fmt.Errorf("%s: tmpcopyup: no directory", s.Origin)
	}
	c.files = append(c.files, m.FDs[0])
	c.covered = m.FDs[0]
	return nil, nil
}

// copyTo copies its contents into the tmpfs.
func (c *creation) copyTo(s plan.Step, m boot.Message) ([]byte, error) {
	if len(m.FDs) != 1 || c.covered == nil {
		return nil, fmt.Errorf("%s: tmpcopyup: no tmpfs", s.Origin)
	}
	defer m.FDs[0].Close()
	// The descriptors from the image are O_PATH.
	from, err := reopenDirectory(int(c.covered.Fd()))
	if err != nil {
		return nil, fmt.Errorf("%s: tmpcopyup: %w", s.Origin, err)
	}
	defer from.Close()
	to, err := reopenDirectory(int(m.FDs[0].Fd()))
	if err != nil {
		return nil, fmt.Errorf("%s: tmpcopyup: %w", s.Origin, err)
	}
	defer to.Close()
	if err := c.asContainerRoot(func() error { return c.copyOver(from, to) }); err != nil {
		return nil, fmt.Errorf("%s: tmpcopyup: %w", s.Origin, err)
	}
	return nil, nil
}

// copyOver copies all but the mode of the tmpfs itself, which it has already:
// that of its options, or of the directory that it covers.
func (c *creation) copyOver(from, to *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(to.Fd()), &st); err != nil {
		return fmt.Errorf("fstat: %w", err)
	}
	if err := (&copyUp{left: c.copyBudget()}).tree(from, to, 0); err != nil {
		return err
	}
	if err := unix.Fchmod(int(to.Fd()), st.Mode&0o7777); err != nil {
		return fmt.Errorf("fchmod: %w", err)
	}
	return nil
}

// asContainerRoot runs f as the host's id of the container's root where there
// is a user namespace of ours: a filesystem of that namespace takes no files
// from ids that it does not map. Reading and changing owners stays privileged,
// since only the ids for files change, setfsuid(2), and capabilities are kept.
func (c *creation) asContainerRoot(f func() error) error {
	root, mapped := hostID(c.cfg.UIDMappings, 0)
	group, grouped := hostID(c.cfg.GIDMappings, 0)
	if len(c.cfg.UIDMappings) == 0 || c.cfg.Rootless {
		return f()
	}
	if !mapped || !grouped {
		return errors.New("linux.uidMappings, linux.gidMappings: tmpcopyup needs a root of the container's")
	}
	uid, gid := int(root), int(group)
	// The ids are the thread's. It ends with its goroutine, locked as it is.
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setfsgid(gid); err != nil {
			done <- fmt.Errorf("setfsgid %d: %w", gid, err)
			return
		}
		if err := setFsuidKeepingCaps(uid); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// setFsuidKeepingCaps changes the thread's fsuid, and raises the capabilities
// for files again that the kernel drops with it, capabilities(7).
func setFsuidKeepingCaps(uid int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	if err := unix.Setfsuid(uid); err != nil {
		return fmt.Errorf("setfsuid %d: %w", uid, err)
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}

func reopenDirectory(fd int) (*os.File, error) {
	n, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("openat: %w", err)
	}
	return os.NewFile(uintptr(n), "directory"), nil
}

// maxDepth bounds a tree, which may be hostile: each level holds a descriptor.
const maxDepth = 256

// copyUp is one copy in progress.
type copyUp struct{ left int64 } // bytes that may still be copied

// copyBudget is the container's memory limit: what we copy is charged to us,
// and must not become a way around it.
func (c *creation) copyBudget() int64 {
	if r := c.cfg.Cgroup.Resources; r != nil && r.Memory != nil && r.Memory.Limit != nil && *r.Memory.Limit > 0 {
		return *r.Memory.Limit
	}
	return math.MaxInt64
}

// tree copies the contents of a directory: names, types, modes, owners,
// extended attributes and times; sockets are left out. Every name is used
// once, on the descriptor of its directory, without following links.
func (c *copyUp) tree(from, to *os.File, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("more than %d directories below each other", maxDepth)
	}
	if err := copyAttributes(from, to); err != nil {
		return err
	}
	for {
		names, err := from.Readdirnames(256)
		for _, name := range names {
			if err := c.entry(from, to, name, depth); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (c *copyUp) entry(from, to *os.File, name string, depth int) error {
	src, dst := int(from.Fd()), int(to.Fd())
	var st unix.Stat_t
	if err := unix.Fstatat(src, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("fstatat: %w", err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return c.directory(src, dst, name, depth)
	case unix.S_IFREG:
		return c.file(src, dst, name, &st)
	case unix.S_IFLNK:
		return copyLink(src, dst, name, &st)
	case unix.S_IFCHR, unix.S_IFBLK, unix.S_IFIFO:
		err := unix.Mknodat(dst, name, st.Mode, int(st.Rdev))
		if errors.Is(err, unix.EPERM) {
			return nil // a user namespace makes no device nodes
		}
		if err != nil {
			return fmt.Errorf("mknodat: %w", err)
		}
		return chown(dst, name, &st)
	}
	return nil
}

func (c *copyUp) directory(src, dst int, name string, depth int) error {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	a, err := unix.Openat(src, name, flags, 0)
	if err != nil {
		return fmt.Errorf("openat: %w", err)
	}
	from := os.NewFile(uintptr(a), name)
	defer from.Close()
	if err := unix.Mkdirat(dst, name, 0o700); err != nil {
		return fmt.Errorf("mkdirat: %w", err)
	}
	b, err := unix.Openat(dst, name, flags, 0)
	if err != nil {
		return fmt.Errorf("openat: %w", err)
	}
	to := os.NewFile(uintptr(b), name)
	defer to.Close()
	return c.tree(from, to, depth+1)
}

func (c *copyUp) file(src, dst int, name string, st *unix.Stat_t) error {
	a, err := unix.Openat(src, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("openat: %w", err)
	}
	from := os.NewFile(uintptr(a), name)
	defer from.Close()
	b, err := unix.Openat(dst, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("openat: %w", err)
	}
	to := os.NewFile(uintptr(b), name)
	defer to.Close()
	if err := c.data(from, to, st.Size); err != nil {
		return err
	}
	return copyAttributes(from, to)
}

// data copies what of a file is not a hole, and no more than the size it had:
// it may grow as fast as we copy.
func (c *copyUp) data(from, to *os.File, size int64) error {
	if err := to.Truncate(size); err != nil {
		return err
	}
	for at := int64(0); at < size; {
		start, err := from.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // nothing but a hole follows
		}
		if err != nil {
			return err
		}
		end, err := from.Seek(start, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		at = min(end, size)
		if c.left -= at - start; c.left < 0 {
			return errors.New("more than linux.resources.memory.limit to copy")
		}
		for _, f := range []*os.File{from, to} {
			if _, err := f.Seek(start, io.SeekStart); err != nil {
				return err
			}
		}
		if _, err := io.CopyN(to, from, at-start); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}

func copyLink(src, dst int, name string, st *unix.Stat_t) error {
	buf := make([]byte, 4096)
	n, err := unix.Readlinkat(src, name, buf)
	if err != nil {
		return fmt.Errorf("readlinkat: %w", err)
	}
	if err := unix.Symlinkat(string(buf[:n]), dst, name); err != nil {
		return fmt.Errorf("symlinkat: %w", err)
	}
	return chown(dst, name, st)
}

// chown gives a new entry its owner; without the privilege, it stays ours.
func chown(dir int, name string, st *unix.Stat_t) error {
	err := unix.Fchownat(dir, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW)
	if err != nil && !unmapped(err) {
		return fmt.Errorf("fchownat: %w", err)
	}
	return nil
}

// unmapped says whether an owner could not be set for lack of privilege or
// because the filesystem's user namespace does not map it.
func unmapped(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOVERFLOW)
}

// copyAttributes copies owner, mode, extended attributes and times, in this
// order: chown clears set-id bits and capabilities.
func copyAttributes(from, to *os.File) error {
	src, dst := int(from.Fd()), int(to.Fd())
	var st unix.Stat_t
	if err := unix.Fstat(src, &st); err != nil {
		return fmt.Errorf("fstat: %w", err)
	}
	if err := unix.Fchown(dst, int(st.Uid), int(st.Gid)); err != nil && !unmapped(err) {
		return fmt.Errorf("fchown: %w", err)
	}
	if err := unix.Fchmod(dst, st.Mode&0o7777); err != nil {
		return fmt.Errorf("fchmod: %w", err)
	}
	copyXattrs(src, dst)
	times := []unix.Timeval{
		{Sec: st.Atim.Sec, Usec: st.Atim.Nsec / 1000}, {Sec: st.Mtim.Sec, Usec: st.Mtim.Nsec / 1000},
	}
	_ = unix.Futimes(dst, times) // /proc may be missing; times are not worth a failure
	return nil
}

// copyXattrs copies what the tmpfs takes; it need not support them all.
func copyXattrs(src, dst int) {
	list := make([]byte, 64<<10)
	n, err := unix.Flistxattr(src, list)
	if err != nil || n == 0 {
		return
	}
	value := make([]byte, 64<<10)
	for _, name := range strings.Split(strings.TrimRight(string(list[:n]), "\x00"), "\x00") {
		if n, err := unix.Fgetxattr(src, name, value); err == nil {
			_ = unix.Fsetxattr(dst, name, value[:n], 0)
		}
	}
}
