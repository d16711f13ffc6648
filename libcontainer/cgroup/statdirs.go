// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"berth/libcontainer/cgroup/stats"
)

// StatDirs returns the directories to read statistics from, for packages stats
// and oom. Rootless callers may have made only some of them; the others are
// left out.
func (m *Manager) StatDirs() stats.Dirs {
	var s stats.Dirs
	for _, d := range m.paths.V1 {
		if m.paths.Rootless && unix.Access(d.Path, unix.F_OK) != nil {
			continue
		}
		for _, c := range d.Controllers {
			if strings.HasPrefix(c, "name=") {
				continue // counts nothing
			}
			if s.V1 == nil {
				s.V1 = make(map[string]string, len(m.paths.V1))
			}
			s.V1[c] = d.Path
		}
	}
	if d := m.paths.V2; d != nil && (!m.paths.Rootless || unix.Access(d.Path, unix.F_OK) == nil) {
		s.V2 = d.Path
	}
	return s
}

// DirsOf returns the directories of the cgroup that a process is in, for one
// whose container is not ours to know.
func DirsOf(pid int) (stats.Dirs, error) {
	var s stats.Dirs
	f, err := Probe()
	if err != nil {
		return s, err
	}
	text, err := readAll(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return s, err
	}
	own := parseOwn(text)
	for _, h := range f.Hierarchies {
		d := Dir{Mount: h.Mountpoint, Root: rootOf(h.Root)}
		for _, c := range h.Controllers {
			if s.V1 == nil {
				s.V1 = make(map[string]string)
			}
			s.V1[c] = d.below(own[strings.Join(h.Controllers, ",")])
		}
	}
	if f.V2Mount != "" {
		d := Dir{Mount: f.V2Mount, Root: rootOf(f.V2Root)}
		s.V2 = d.below(own[""])
	}
	return s, nil
}
