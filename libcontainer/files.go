// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
	"berth/libcontainer/cgroup"
	"berth/libcontainer/plan"
	"berth/libcontainer/seccomp"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// openFiles returns the descriptors that the plan asks for, by their number
// in the image. closeFiles closes those that were opened here.
func (c *creation) openFiles() ([]*os.File, error) {
	files := make([]*os.File, len(c.plan.Files))
	for n, f := range c.plan.Files {
		var err error
		switch f.Kind {
		case plan.FileStdio, plan.FileNull:
			files[n], err = c.stdio(f)
		case plan.FilePreserved:
			files[n] = os.NewFile(uintptr(n), "preserved") // ours has the same number
		case plan.FileFifo:
			files[n] = c.fifo
		case plan.FileNamespace:
			files[n], err = c.open(f.Path, unix.O_RDONLY, fmt.Sprintf("linux.namespaces[%d].path", f.Index))
		case plan.FileTree:
			files[n], err = c.openTree(f.Index)
		case plan.FileHookOutput:
			files[n], err = c.hookOutput()
		}
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// stdio returns a standard descriptor of the image. None stays closed: the
// next one opened would take its number.
func (c *creation) stdio(f plan.File) (*os.File, error) {
	if s := c.o.Stdio[f.Index]; f.Kind == plan.FileStdio && isOpen(s) {
		return s, nil
	}
	return c.open("/dev/null", unix.O_RDWR, []string{"stdin", "stdout", "stderr"}[f.Index])
}

// isOpen says whether a file is one: stdio may be closed in our caller.
func isOpen(f *os.File) bool {
	if f == nil {
		return false
	}
	_, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
	return err == nil
}

func (c *creation) closeFiles() {
	for _, f := range c.files {
		f.Close()
	}
	c.files = nil
	if c.fifo != nil {
		c.fifo.Close()
		c.fifo = nil
	}
}

func (c *creation) open(path string, flags int, field string) (*os.File, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: open %s: %w", field, path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	c.files = append(c.files, f)
	return f, nil
}

// hookOutput collects what hooks within the container print.
func (c *creation) hookOutput() (*os.File, error) {
	fd, err := unix.MemfdCreate("hook-output", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "hook-output")
	c.files = append(c.files, f)
	return f, nil
}

// openTree opens a bind mount's source in our own mount namespace, detached
// and perhaps id-mapped: the container's root may not reach it, and may not
// map ids of a filesystem that it does not own. mount_setattr(2).
func (c *creation) openTree(index int) (*os.File, error) {
	for i := range c.cfg.Mounts {
		m := &c.cfg.Mounts[i]
		if m.Index != index {
			continue
		}
		flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
		if m.Recursive {
			flags |= unix.AT_RECURSIVE
		}
		fd, err := unix.OpenTree(unix.AT_FDCWD, m.Source, flags)
		if err != nil {
			return nil, fmt.Errorf("mounts[%d].source %s: open_tree: %w", m.Index, m.Source, err)
		}
		f := os.NewFile(uintptr(fd), m.Source)
		c.files = append(c.files, f)
		if m.IDMap == nil {
			return f, nil
		}
		uids, gids := m.IDMap.UIDMappings, m.IDMap.GIDMappings
		if len(uids) == 0 && len(gids) == 0 {
			uids, gids = c.cfg.UIDMappings, c.cfg.GIDMappings
		}
		ns, err := openUserNamespace(uids, gids, c.host)
		if err != nil {
			return nil, fmt.Errorf("mounts[%d].uidMappings: %w", m.Index, err)
		}
		defer ns.Close()
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())}
		how := uint(unix.AT_EMPTY_PATH)
		if m.IDMap.Recursive {
			how |= unix.AT_RECURSIVE
		}
		if err := unix.MountSetattr(fd, "", how, &attr); err != nil {
			return nil, fmt.Errorf("mounts[%d].options: idmap: mount_setattr %s: %w; hint: its filesystem may not support id-mapped mounts", m.Index, m.Source, err)
		}
		return f, nil
	}
	return nil, fmt.Errorf("BUG: no mount %d", index)
}

// cgroupFiles names the files that init enters its v1 cgroups with. A thread
// moves itself by writing to a v1 tasks file without waiting for every other
// process of the machine, as cgroup.procs does (32 µs instead of 6-15 ms).
func cgroupFiles(p cgroup.Paths) []string {
	var list []string
	for _, d := range p.V1 {
		list = append(list, d.Path+"/tasks")
	}
	return list
}

// compileFilter returns the filter for linux.seccomp, from the cache below
// the state root if the same profile was compiled before.
func compileFilter(root string, s *specs.LinuxSeccomp, warn func(string)) (*plan.Filter, error) {
	if s == nil {
		return nil, nil
	}
	f, warnings, err := seccomp.Cache{Dir: root + "/.seccomp"}.Compile(s)
	if err != nil {
		return nil, err
	}
	if warn != nil {
		for _, w := range warnings {
			warn(w)
		}
	}
	return &plan.Filter{BPF: f.BPF, Flags: uint64(f.Flags), Listener: f.Listener}, nil
}

// listener takes the seccomp listener from init and gives it to the agent.
func (c *creation) listener(_ plan.Step, m boot.Message) ([]byte, error) {
	s := c.cfg.Process.Seccomp
	return nil, passListener(m, s.ListenerPath, s.ListenerMetadata, specState(c.rec, "creating", c.driver.pid), c.driver.pid)
}

func passListener(m boot.Message, path, metadata string, st *specs.State, pid int) error {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("linux.seccomp.listenerPath: pidfd_open: %w", err)
	}
	defer unix.Close(pidfd)
	if len(m.Payload) < 4 {
		return fmt.Errorf("linux.seccomp.listenerPath: no listener")
	}
	number := int(m.Payload[0]) | int(m.Payload[1])<<8 | int(m.Payload[2])<<16
	fd, err := unix.PidfdGetfd(pidfd, number, 0)
	if err != nil {
		return fmt.Errorf("linux.seccomp.listenerPath: pidfd_getfd: %w", err)
	}
	defer unix.Close(fd)
	if err := seccomp.SendListener(path, metadata, st, fd, pid); err != nil {
		return fmt.Errorf("linux.seccomp.listenerPath %s: %w", path, err)
	}
	return nil
}
