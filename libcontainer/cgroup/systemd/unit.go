// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

const (
	sliceSuffix = ".slice"
	scopeSuffix = ".scope"
	// maxName is UNIT_NAME_MAX of systemd without its NUL; systemd.unit(5).
	maxName = 255
)

// Unit is the systemd unit that holds a container. It is stored in the
// container's record: Stop needs Name and User when nothing else is left.
type Unit struct {
	Name  string `json:"name"`  // "berth-id.scope", or a slice
	Slice string `json:"slice"` // the parent as the config names it: "a-b.slice"
	// Cgroup is the path of the unit's cgroup: below the root of the hierarchy
	// for the system manager, below the manager's own cgroup (see
	// Bus.ControlGroup) for a user's.
	Cgroup string `json:"cgroup"`
	User   bool   `json:"user,omitempty"` // a unit of the user's manager
}

// IsSlice says that the unit is a slice: it is not given processes by systemd.
func (u Unit) IsSlice() bool { return strings.HasSuffix(u.Name, sliceSuffix) }

// Below returns the unit's cgroup as a path below the hierarchy's root; control
// is what Bus.ControlGroup says.
func (u Unit) Below(control string) string { return path.Join("/", control, u.Cgroup) }

// perpetual units exist always and are never ours to start or to stop.
var perpetual = []string{"-.slice", "system.slice", "user.slice", "machine.slice", "init.scope"}

// Resolve says which unit container id gets for linux.cgroupsPath, which is
// "slice:prefix:name", or empty for the default slice, the prefix "berth" and
// the id. An empty slice is the default one, system.slice or user.slice. A name
// that ends in ".slice" is the unit itself, any other becomes the scope
// prefix-name.scope, or name.scope without a prefix. What a unit name cannot
// hold is escaped as \xNN, systemd.unit(5); engines rely on "-" staying as it is.
func Resolve(cgroupsPath, id string, user bool) (Unit, error) {
	slice, prefix, name := "", "berth", id
	if cgroupsPath != "" {
		parts := strings.Split(cgroupsPath, ":")
		if len(parts) != 3 {
			return Unit{}, fmt.Errorf("linux.cgroupsPath: expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, "+
				"got %q instead (a path needs the cgroupfs driver: --cgroup-manager cgroupfs)", cgroupsPath)
		}
		slice, prefix, name = parts[0], parts[1], parts[2]
	}
	if slice == "" {
		slice = "system.slice"
		if user {
			slice = "user.slice"
		}
	}
	parent, err := ExpandSlice(slice)
	if err != nil {
		return Unit{}, fmt.Errorf("linux.cgroupsPath: %w", err)
	}
	u := Unit{Slice: slice, User: user}
	switch {
	case name == "":
		return Unit{}, fmt.Errorf("linux.cgroupsPath: %q names no unit after the last colon", cgroupsPath)
	case strings.HasSuffix(name, sliceSuffix):
		// systemd finds the place of a slice by its name alone.
		u.Name = strings.ReplaceAll(escape(name), "@", `\x40`)
		if u.Cgroup, err = ExpandSlice(u.Name); err != nil {
			return Unit{}, fmt.Errorf("linux.cgroupsPath: %w", err)
		}
	default:
		u.Name = scopeName(prefix, name)
		u.Cgroup = path.Join(parent, u.Name)
	}
	u.Cgroup = escapeCgroup(u.Cgroup)
	if slices.Contains(perpetual, u.Name) {
		return Unit{}, fmt.Errorf("linux.cgroupsPath: %q is a unit of the host, not of a container", u.Name)
	}
	if err := u.check(); err != nil {
		return Unit{}, fmt.Errorf("linux.cgroupsPath: %w", err)
	}
	return u, nil
}

// scopeName joins and escapes the parts of a scope's name.
func scopeName(prefix, name string) string {
	if prefix != "" {
		name = prefix + "-" + name
	}
	name = escape(name)
	// An @ makes an instance, if something stands on both of its sides.
	if rest, ok := strings.CutPrefix(name, "@"); ok {
		name = `\x40` + rest
	}
	if at := strings.IndexByte(name, '@'); at >= 0 && at == len(name)-1 {
		name = name[:at] + `\x40`
	}
	return name + scopeSuffix
}

// inName says whether a unit name may hold c: VALID_CHARS_WITH_AT of systemd.
func inName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(`:_.\-@`, c) >= 0
}

// escape replaces each byte that a unit name may not hold by \xNN.
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if inName(c) {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, `\x%02x`, c)
	}
	return b.String()
}

// check refuses a name that systemd would refuse, whoever wrote the record.
func (u Unit) check() error {
	if len(u.Name) > maxName {
		return fmt.Errorf("the unit name %q has %d characters, more than %d", u.Name, len(u.Name), maxName)
	}
	stem, ok := strings.CutSuffix(u.Name, scopeSuffix)
	if !ok {
		stem, ok = strings.CutSuffix(u.Name, sliceSuffix)
	}
	if !ok || stem == "" {
		return fmt.Errorf("the unit name %q is neither a scope nor a slice", u.Name)
	}
	for _, c := range []byte(stem) {
		if !inName(c) {
			return fmt.Errorf("the unit name %q must not contain %q", u.Name, c)
		}
	}
	return nil
}

// ExpandSlice returns the path of a slice's cgroup, which its name gives: a
// dash parts the name of the parent from the rest. "a-b.slice" is
// "/a.slice/a-b.slice", and "-.slice" the root.
func ExpandSlice(name string) (string, error) {
	refuse := func(reason string) (string, error) {
		return "", fmt.Errorf("invalid slice name %q: %s", name, reason)
	}
	stem, ok := strings.CutSuffix(name, sliceSuffix)
	switch {
	case !ok:
		return refuse("it must end in .slice")
	case len(name) > maxName:
		return refuse("it is longer than 255 characters")
	case stem == "-":
		return "/", nil
	}
	for _, c := range []byte(stem) {
		if !inName(c) || c == '@' {
			return refuse(fmt.Sprintf("it must not contain %q", c))
		}
	}
	expanded, parent := "", ""
	for part := range strings.SplitSeq(stem, "-") {
		if part == "" {
			return refuse("a dash parts two names, and one of them is empty")
		}
		parent += part
		expanded += "/" + parent + sliceSuffix
		parent += "-"
	}
	return expanded, nil
}

// controllers are those whose files a cgroup's directory can hold.
var controllers = []string{"cpu", "cpuacct", "cpuset", "io", "blkio", "memory", "devices", "pids", "cgroup"}

// escapeCgroup adds the underscore with which systemd keeps the directories of
// units apart from the kernel's files: memory.slice is /_memory.slice. It is
// cg_escape of systemd's cgroup-util.c.
func escapeCgroup(p string) string {
	parts := strings.Split(p, "/")
	for i, part := range parts {
		first, _, dotted := strings.Cut(part, ".")
		if part != "" && (part[0] == '_' || part[0] == '.' || dotted && slices.Contains(controllers, first)) {
			parts[i] = "_" + part
		}
	}
	return strings.Join(parts, "/")
}

// valid refuses a Unit that did not come from Resolve.
func (u Unit) valid() error {
	if u.Name == "" {
		return errors.New("no systemd unit is recorded for this container")
	}
	if slices.Contains(perpetual, u.Name) {
		return fmt.Errorf("%q is a unit of the host, not of a container", u.Name)
	}
	return u.check()
}
