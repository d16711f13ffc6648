// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"berth/internal/inroot"
	"berth/libcontainer/cgroup"
	"berth/libcontainer/config"
	"berth/libcontainer/host"
	"berth/libcontainer/plan"
)

// gatherMounts looks at the sources and destinations of mounts. What it finds
// is a hint for the plan; the program itself does not trust it.
// made is a directory that create will make.
func gatherMounts(cfg *config.Container, f host.Facts, root *inroot.Root, made string) ([]plan.MountFacts, error) {
	facts := make([]plan.MountFacts, len(cfg.Mounts))
	userns := cfg.Namespaces.Has(config.UserNS)
	for i := range cfg.Mounts {
		m, fact := &cfg.Mounts[i], &facts[i]
		if m.Bind && !m.Remount {
			var err error
			if m.Source == made {
				fact.Source = plan.Directory
			} else if fact.Source, err = sourceKind(m); err != nil {
				return nil, err
			}
			fact.ParentTree = m.IDMap != nil
			fact.Fallback = !fact.ParentTree && userns && !f.Rootless() && !m.Recursive && unrestricted(m.Source)
		}
		if m.IDMap != nil && !m.Bind {
			return nil, fmt.Errorf("mounts[%d].options: idmap is for bind mounts", m.Index)
		}
		if root == nil || coveredBefore(cfg.Mounts[:i], m.Destination) {
			continue // what the rootfs has there is not what will be there
		}
		if path, _, err := root.Resolve(m.Destination); err == nil && path != m.Destination {
			fact.Destination = path
		}
	}
	return facts, nil
}

// unrestricted says whether the mount of a path has no flag that a less
// privileged mount namespace would have to keep, mount_namespaces(7).
func unrestricted(path string) bool {
	var st unix.Statfs_t
	const locked = unix.ST_RDONLY | unix.ST_NOSUID | unix.ST_NODEV | unix.ST_NOEXEC
	return unix.Statfs(path, &st) == nil && st.Flags&locked == 0
}

// sourceKind says what a bind mount's source is.
func sourceKind(m *config.Mount) (plan.SourceKind, error) {
	var st unix.Stat_t
	if err := unix.Stat(m.Source, &st); err != nil {
		if err == unix.EACCES {
			return plan.Unknown, nil
		}
		return plan.Unknown, fmt.Errorf("mounts[%d].source %s: stat: %w; hint: the source of a bind mount must exist", m.Index, m.Source, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return plan.Directory, nil
	}
	return plan.NotDirectory, nil
}

// coveredBefore says whether an earlier mount covers a destination.
func coveredBefore(list []config.Mount, path string) bool {
	for _, m := range list {
		if path != m.Destination && strings.HasPrefix(path, strings.TrimSuffix(m.Destination, "/")+"/") {
			return true
		}
	}
	return false
}

// gatherStdio looks at the standard descriptors.
func gatherStdio(files [3]*os.File) [3]plan.StdioFacts {
	var facts [3]plan.StdioFacts
	for i, f := range files {
		var st unix.Stat_t
		if f == nil || unix.Fstat(int(f.Fd()), &st) != nil {
			continue
		}
		null := unix.Mkdev(1, 3)
		facts[i] = plan.StdioFacts{
			Open: true, Owner: st.Uid,
			Null: st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == null,
		}
	}
	return facts
}

// cgroupView is what a cgroup mount in the container shows.
func cgroupView(cfg *config.Container, f cgroup.Facts, m *cgroup.Manager) plan.CgroupView {
	view := plan.CgroupView{Unified: f.Unified}
	for _, mount := range cfg.Mounts {
		if mount.Type == "cgroup" || mount.Type == "cgroup2" {
			for _, h := range f.MountPlan(m.Paths(), m.Denied) {
				if h.V2 && !f.Unified {
					continue // a hybrid's v2 part has no controllers to show
				}
				view.Dirs = append(view.Dirs, plan.CgroupDir{Name: h.Name, Links: h.Links, Options: strings.Split(h.Options, ","), Source: h.Source, V2: h.V2})
			}
			break
		}
	}
	return view
}

// withHome sets HOME from the container's /etc/passwd where the config does
// not: engines rely on it.
func withHome(p *config.Process, root *inroot.Root) {
	for _, e := range p.Env {
		if v, ok := strings.CutPrefix(e, "HOME="); ok && v != "" {
			return
		}
	}
	home := "/"
	if root != nil {
		const limit = 10 << 20
		if data, err := root.ReadFile("/etc/passwd", limit); err == nil {
			if dir := homeOf(string(data), p.UID); dir != "" {
				home = dir
			}
		}
	}
	env := make([]string, 0, len(p.Env)+1)
	for _, e := range p.Env {
		if !strings.HasPrefix(e, "HOME=") {
			env = append(env, e)
		}
	}
	p.Env = append(env, "HOME="+home)
}

// homeOf finds the home directory of a uid in the text of passwd(5).
func homeOf(passwd string, uid uint32) string {
	want := fmt.Sprint(uid)
	for line := range strings.Lines(passwd) {
		fields := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(fields) >= 6 && fields[2] == want {
			return fields[5]
		}
	}
	return ""
}
