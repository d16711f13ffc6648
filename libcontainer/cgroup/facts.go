// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Hierarchy is a mounted cgroup v1 hierarchy.
type Hierarchy struct {
	// Controllers share the hierarchy; a named one has the single entry
	// "name=systemd" or the like.
	Controllers []string
	Mountpoint  string
	// Root is the cgroup that is mounted: "/" but for binds of a subtree.
	Root string
}

// Key names the hierarchy as /proc/self/cgroup does: "cpu,cpuacct".
func (h Hierarchy) Key() string { return strings.Join(h.Controllers, ",") }

// Facts is what the host has of cgroups.
type Facts struct {
	// Unified says that there is cgroup v2 and nothing else.
	Unified bool
	// Hierarchies are those of v1, in the order of mounting.
	Hierarchies []Hierarchy
	// V2Mount is where v2 is mounted, alone or in a hybrid; "" for nowhere.
	V2Mount string
	// V2Root is the cgroup mounted there, as in Hierarchy.
	V2Root string
	// V2Controllers are those that the v2 hierarchy has.
	V2Controllers []string
	// UserManager is the cgroup of the user's systemd, for its units only; see
	// FindUserManager.
	UserManager string
	// Own is our own cgroup by Hierarchy.Key; "" is the key of v2.
	Own map[string]string
}

// Has says whether controller can be used, and whether on v2.
func (f Facts) Has(controller string) (ok, v2 bool) {
	for _, h := range f.Hierarchies {
		if slices.Contains(h.Controllers, controller) {
			return true, false
		}
	}
	if slices.Contains(f.V2Controllers, controller) {
		return true, true
	}
	return false, false
}

// defaultMount is where every distribution mounts cgroups.
const defaultMount = "/sys/fs/cgroup"

// Probe looks at the host: one statfs on cgroup v2, else one read of
// /proc/self/mountinfo; and one of /proc/self/cgroup.
func Probe() (Facts, error) {
	var f Facts
	own, err := readAll("/proc/self/cgroup")
	if err != nil {
		return f, fmt.Errorf("cannot read our own cgroup: %w", err)
	}
	f.Own = parseOwn(own)

	var fs unix.Statfs_t
	if err := unix.Statfs(defaultMount, &fs); err == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC {
		f.Unified, f.V2Mount, f.V2Root = true, defaultMount, "/"
	} else {
		mounts, err := readAll("/proc/self/mountinfo")
		if err != nil {
			return f, fmt.Errorf("cannot read the mount table: %w", err)
		}
		parseMounts(&f, mounts)
	}
	if f.V2Mount != "" {
		s, err := readAll(filepath.Join(f.V2Mount, "cgroup.controllers"))
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return f, fmt.Errorf("cannot read the controllers of cgroup v2: %w", err)
		}
		f.V2Controllers = strings.Fields(s)
	}
	return f, nil
}

// parseOwn reads the format of /proc/PID/cgroup, cgroups(7).
func parseOwn(s string) map[string]string {
	own := make(map[string]string, 16)
	for line := range strings.Lines(s) {
		_, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		key, path, ok2 := strings.Cut(rest, ":")
		if ok && ok2 {
			own[key] = path
		}
	}
	return own
}

// parseMounts takes the cgroup mounts from mountinfo, proc_pid_mountinfo(5).
func parseMounts(f *Facts, s string) {
	for line := range strings.Lines(s) {
		// Cheap test first: a host may have thousands of other mounts.
		i := strings.Index(line, " - cgroup")
		if i < 0 {
			continue
		}
		head, tail := strings.Fields(line[:i]), strings.Fields(line[i+3:])
		if len(head) < 6 || len(tail) < 3 {
			continue
		}
		root, mount := unescape(head[3]), unescape(head[4])
		switch tail[0] {
		case "cgroup2":
			if f.V2Mount == "" {
				f.V2Mount, f.V2Root = mount, root
			}
		case "cgroup":
			controllers := controllersOf(tail[len(tail)-1], f.Own)
			h := Hierarchy{Controllers: controllers, Mountpoint: mount, Root: root}
			// A hierarchy may be mounted many times; the first is the host's.
			if len(controllers) > 0 && !slices.ContainsFunc(f.Hierarchies, func(o Hierarchy) bool { return o.Key() == h.Key() }) {
				f.Hierarchies = append(f.Hierarchies, h)
			}
		}
	}
	f.Unified = f.V2Mount != "" && len(f.Hierarchies) == 0
}

// controllersOf picks the controllers among the options of a v1 mount: those
// that are part of a hierarchy in /proc/self/cgroup.
func controllersOf(options string, own map[string]string) []string {
	opts := strings.Split(options, ",")
	for key := range own {
		controllers := strings.Split(key, ",")
		if key != "" && slices.Contains(opts, controllers[0]) {
			return controllers
		}
	}
	return nil
}

// unescape undoes the octal escapes of mountinfo (space, tab, newline, \).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && isOctal(s[i+1]) && isOctal(s[i+2]) && isOctal(s[i+3]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isOctal(c byte) bool { return c >= '0' && c <= '7' }
