// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"path/filepath"
	"slices"
	"strings"
)

// HierarchyMount is what a mount of type cgroup shows of one hierarchy.
type HierarchyMount struct {
	// Name is the directory in the container: "cpu,cpuacct", "systemd".
	Name string
	// Source is the container's cgroup on the host, to bind-mount where there
	// is no cgroup namespace.
	Source string
	// Links are names of symbolic links to Name, one per controller of a
	// hierarchy with several.
	Links []string
	// Options are those of a v1 mount in a cgroup namespace: "cpu,cpuacct",
	// "none,name=systemd"; "" for v2.
	Options string
	// V2 says that it is the v2 part: mounted as cgroup2, and alone on v2. As
	// runc does, leave it out of the tmpfs of a hybrid.
	V2 bool
}

// MountPlan lists the hierarchies for a mount of type cgroup, v1 first. Where the
// container gets no cgroup of its own, which denied tells, it is in ours.
func (f Facts) MountPlan(p Paths, denied func(Dir) bool) []HierarchyMount {
	p.V1 = slices.Clone(p.V1)
	for i, d := range p.V1 {
		if denied(d) {
			p.V1[i].Path = d.below(f.Own[strings.Join(d.Controllers, ",")])
		}
	}
	if p.V2 != nil && denied(*p.V2) {
		own := *p.V2
		own.Path = own.below(f.Own[""])
		p.V2 = &own
	}
	var plan []HierarchyMount
	for _, d := range p.V1 {
		h := HierarchyMount{Name: filepath.Base(d.Mount), Source: d.Path}
		h.Options = strings.Join(d.Controllers, ",")
		if len(d.Controllers) == 1 && strings.HasPrefix(d.Controllers[0], "name=") {
			h.Options = "none," + d.Controllers[0] // mount(2) wants to hear that no controller is meant
		}
		if len(d.Controllers) > 1 {
			for _, c := range d.Controllers {
				if c = strings.TrimPrefix(c, "name="); c != h.Name {
					h.Links = append(h.Links, c)
				}
			}
		}
		plan = append(plan, h)
	}
	if p.V2 != nil {
		plan = append(plan, HierarchyMount{Name: filepath.Base(p.V2.Mount), Source: p.V2.Path, V2: true})
	}
	return plan
}
