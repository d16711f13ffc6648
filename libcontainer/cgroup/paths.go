// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"berth/libcontainer/cgroup/systemd"
	"berth/libcontainer/config"
)

// Dir is the container's cgroup in one hierarchy.
type Dir struct {
	// Controllers of the hierarchy; those of v2 at the time of Resolve.
	Controllers []string `json:"controllers,omitempty"`
	// Mount is where the hierarchy is mounted, Root the cgroup mounted there.
	Mount string `json:"mount"`
	Root  string `json:"root,omitempty"` // "" is "/"
	// Path is the directory of the container's cgroup, below Mount.
	Path string `json:"path"`
}

// Paths are all the directories of one container's cgroup: what delete needs.
// It is empty when cgroups are disabled.
type Paths struct {
	V1 []Dir `json:"v1,omitempty"`
	V2 *Dir  `json:"v2,omitempty"`
	// Unit is the systemd unit that the cgroup is, nil with the cgroupfs driver.
	Unit *systemd.Unit `json:"unit,omitempty"`
	// Rootless makes missing permissions no error where nothing was asked.
	Rootless bool `json:"rootless,omitempty"`
}

// Resolve says where the cgroup of container id is. An absolute cgroupsPath is
// below the mount points. A relative one, or the id in place of an empty one,
// is below our own cgroup on v1 (and on the v2 part of a hybrid), and beside
// it on v2: our own cgroup has processes, so it cannot give controllers to
// its children.
func Resolve(c config.Cgroup, id string, rootless bool, f Facts) (Paths, error) {
	p := Paths{Rootless: rootless}
	switch c.Driver {
	case config.CgroupDisabled:
		return p, nil
	case config.CgroupSystemd:
		if len(f.Hierarchies) > 0 || f.Unified {
			return resolveUnit(c, id, rootless, f)
		}
	}
	if len(f.Hierarchies) == 0 && f.V2Mount == "" {
		if rootless && c.Path == "" {
			return p, nil
		}
		return p, errors.New("no cgroup hierarchy is mounted")
	}
	inner, err := innerPath(c.Path, id)
	if err != nil {
		return p, err
	}
	for _, h := range f.Hierarchies {
		p.V1 = append(p.V1, dirOf(h.Controllers, h.Mountpoint, h.Root, f.Own[h.Key()], inner))
	}
	// A hybrid's v2 part has no controllers for containers, and entering it
	// costs half a millisecond at birth: only a unified hierarchy is used.
	if f.Unified {
		own := f.Own[""]
		if own != "" {
			own = filepath.Dir(own)
		}
		d := dirOf(f.V2Controllers, f.V2Mount, f.V2Root, own, inner)
		p.V2 = &d
	}
	return p, nil
}

// innerPath checks cgroupsPath, or takes the id for it.
func innerPath(path, id string) (string, error) {
	if path == "" {
		path = id
	}
	// Peers follow "..": a config could then name any cgroup of the host.
	if slices.Contains(strings.Split(path, "/"), "..") {
		return "", fmt.Errorf("linux.cgroupsPath: %q must not contain \"..\"", path)
	}
	if strings.Contains(path, "\n") {
		return "", fmt.Errorf("linux.cgroupsPath: %q must not contain a newline", path)
	}
	clean := filepath.Clean(path)
	if clean == "/" || clean == "." {
		return "", fmt.Errorf("linux.cgroupsPath: %q is not below the root cgroup", path)
	}
	return clean, nil
}

func dirOf(controllers []string, mount, root, own, inner string) Dir {
	d := Dir{Controllers: controllers, Mount: mount, Root: rootOf(root)}
	if filepath.IsAbs(inner) {
		d.Path = filepath.Join(mount, inner)
	} else {
		d.Path = filepath.Join(d.below(own), inner)
	}
	return d
}

// rootOf is Dir.Root for a Hierarchy's.
func rootOf(root string) string {
	if root == "/" {
		return ""
	}
	return root
}

// below maps a cgroup as /proc/PID/cgroup names it to its directory. A cgroup
// that is not below the mounted one becomes the mount point.
func (d Dir) below(cgroup string) string {
	root := d.Root
	if root == "" {
		root = "/"
	}
	rel, err := filepath.Rel(root, cgroup)
	// "/.." is a cgroup outside of our cgroup namespace; cgroup_namespaces(7).
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") || strings.HasPrefix(cgroup, "/..") {
		return d.Mount
	}
	return filepath.Join(d.Mount, rel)
}

// Dirs returns all directories, v2 last.
func (p Paths) Dirs() []Dir {
	dirs := slices.Clip(p.V1)
	if p.V2 != nil {
		dirs = append(dirs, *p.V2)
	}
	return dirs
}

// Empty says that there is no cgroup to manage.
func (p Paths) Empty() bool { return len(p.V1) == 0 && p.V2 == nil }

// find returns the directory of a v1 controller.
func (p Paths) find(controller string) (Dir, bool) {
	for _, d := range p.V1 {
		if slices.Contains(d.Controllers, controller) {
			return d, true
		}
	}
	return Dir{}, false
}

// main returns the directory that counts for questions about processes: any
// hierarchy would do, but devices is the one that runc looks at.
func (p Paths) main() (Dir, bool) {
	for _, c := range []string{"devices", "freezer", "pids", "memory"} {
		if d, ok := p.find(c); ok {
			return d, true
		}
	}
	if p.V2 != nil {
		return *p.V2, true
	}
	if len(p.V1) > 0 {
		return p.V1[0], true
	}
	return Dir{}, false
}
