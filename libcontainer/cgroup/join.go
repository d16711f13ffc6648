// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// DirFile opens the v2 directory for CLONE_INTO_CGROUP, on v2 and on hybrids:
// the caller owns it. It is nil where there is none to join.
func (m *Manager) DirFile() (*os.File, error) {
	if m.paths.V2 == nil {
		return nil, nil
	}
	return m.openDir(m.paths.V2.Path)
}

func (m *Manager) openDir(dir string) (*os.File, error) {
	fd, err := openFile(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		if m.skipMissing(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("cannot join the container's cgroup: %w", err)
	}
	// Anybody may open a directory; entering it takes the right to write here,
	// and where we come from.
	if m.paths.Rootless && (unix.Faccessat(fd, "cgroup.procs", unix.W_OK, unix.AT_EACCESS) != nil || !m.paths.V2.enterable()) {
		_ = unix.Close(fd) // read only
		return nil, nil
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// skipMissing: rootless, Create may have made no cgroup, and one that root has
// made may not be ours to join.
func (m *Manager) skipMissing(err error) bool {
	return m.paths.Rootless && (gone(err) || denied(err))
}

func (m *Manager) openTasks(dirs []Dir) ([]*os.File, error) {
	files := make([]*os.File, 0, len(dirs))
	for _, d := range dirs {
		name := filepath.Join(d.Path, "tasks")
		fd, err := openFile(name, unix.O_WRONLY)
		if err != nil {
			if m.skipMissing(err) {
				continue
			}
			closeAll(files)
			return nil, fmt.Errorf("cannot join the container's cgroup: %w", err)
		}
		files = append(files, os.NewFile(uintptr(fd), name))
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // nothing was written
	}
}

// AddProcess moves a whole process that is not ours to command. It waits for
// an RCU grace period; DirFile and ExecProcs do not need it.
func (m *Manager) AddProcess(pid int) error {
	return m.dirs(func(d Dir) error {
		err := writeFile(d.Path, "cgroup.procs", strconv.Itoa(pid))
		if err != nil && !m.skipMissing(err) {
			return fmt.Errorf("cannot join the container's cgroup: %w", err)
		}
		return nil
	})
}

// ExecProcs opens what a process of exec joins with: the file to join each v1
// hierarchy with, to which a single-threaded child writes "0" (see the package
// comment for why this is the file tasks), and the directory of v2, as DirFile
// does. The caller owns them. cgroups are values of --cgroup, "[controller[,controller]:]path" below
// the container's cgroup. Without them a hierarchy where the recorded cgroup
// cannot be joined, because the container has removed it or divided it up, is
// joined where the container's init (initPid, 0 for none) now is.
func (m *Manager) ExecProcs(cgroups []string, initPid int) ([]*os.File, *os.File, error) {
	v1 := slices.Clone(m.paths.V1)
	var v2 *Dir
	if m.paths.V2 != nil {
		d := *m.paths.V2
		v2 = &d
	}
	if len(cgroups) > 0 {
		if err := subCgroups(cgroups, v1, v2); err != nil {
			return nil, nil, err
		}
	} else if initPid > 0 {
		followInit(v1, v2, initPid)
	}
	files, err := m.openTasks(v1)
	if err != nil || v2 == nil {
		return files, nil, err
	}
	dir, err := m.openDir(v2.Path)
	if err != nil {
		closeAll(files)
		return nil, nil, err
	}
	return files, dir, nil
}

// subCgroups changes the directories as the values of --cgroup say; the texts
// are runc's.
func subCgroups(cgroups []string, v1 []Dir, v2 *Dir) error {
	seen := map[string]bool{}
	for _, c := range cgroups {
		controllers, sub, ok := strings.Cut(c, ":")
		if !ok {
			if len(cgroups) != 1 {
				return fmt.Errorf("invalid --cgroup argument: %s (missing <controller>: prefix)", c)
			}
			return subAll(c, v1, v2)
		}
		for controller := range strings.SplitSeq(controllers, ",") {
			if controller == "" {
				return fmt.Errorf("invalid --cgroup argument: %s (empty <controller> prefix)", c)
			}
			if seen[controller] {
				return fmt.Errorf("invalid --cgroup argument(s): controller %s specified multiple times", controller)
			}
			seen[controller] = true
			i := slices.IndexFunc(v1, func(d Dir) bool {
				return slices.Contains(d.Controllers, controller) || slices.Contains(d.Controllers, "name="+controller)
			})
			if i < 0 {
				return fmt.Errorf("unknown controller %s in SubCgroupPaths", controller)
			}
			if err := descend(&v1[i], sub); err != nil {
				return err
			}
		}
	}
	return nil
}

// subAll is for a path without controllers: every hierarchy that has the
// sub-cgroup; in the others it is the container's own.
func subAll(sub string, v1 []Dir, v2 *Dir) error {
	found := false
	for i := range v1 {
		d := v1[i]
		if err := descend(&d, sub); err != nil {
			return err
		}
		if unix.Access(d.Path, unix.F_OK) == nil {
			v1[i], found = d, true
		}
	}
	if v2 == nil {
		if !found {
			return fmt.Errorf("no cgroup %q below the container's: %w", sub, unix.ENOENT)
		}
		return nil
	}
	d := *v2
	if err := descend(&d, sub); err != nil {
		return err
	}
	if len(v1) == 0 || unix.Access(d.Path, unix.F_OK) == nil {
		*v2 = d
	}
	return nil
}

// descend puts d at its sub-cgroup sub; "/x" is below it as "x" is.
func descend(d *Dir, sub string) error {
	if slices.Contains(strings.Split(sub, "/"), "..") {
		return fmt.Errorf("%s is not a sub cgroup path", sub)
	}
	d.Path = path.Join(d.Path, sub)
	return nil
}

// followInit puts hierarchies that cannot be joined at init's present cgroup.
func followInit(v1 []Dir, v2 *Dir, initPid int) {
	var own map[string]string
	move := func(d *Dir, key string) {
		if own == nil {
			s, err := readAll(fmt.Sprintf("/proc/%d/cgroup", initPid))
			if err != nil {
				s = "" // init is gone: the join will fail with the better error
			}
			own = parseOwn(s)
		}
		if cgroup, ok := own[key]; ok && !strings.HasPrefix(cgroup, "/..") {
			d.Path = d.below(cgroup)
		}
	}
	for i := range v1 {
		if errors.Is(unix.Access(v1[i].Path, unix.F_OK), unix.ENOENT) {
			move(&v1[i], strings.Join(v1[i].Controllers, ","))
		}
	}
	if v2 == nil {
		return
	}
	// With controllers given to children (a nested engine or systemd) a
	// cgroup takes no processes: EBUSY. cgroup-v2.rst, "no internal process".
	s, err := readFile(v2.Path, "cgroup.subtree_control")
	if gone(err) || strings.TrimSpace(s) != "" {
		move(v2, "")
	}
}
