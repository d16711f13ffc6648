// SPDX-License-Identifier: Apache-2.0

package fs1

import (
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/cgroup/limit"
)

// every is a major or minor number that matches all.
const every = int64(-1)

// access is a set of the letters r, w and m.
type access uint8

const (
	read access = 1 << iota
	write
	mknod
	all = read | write | mknod
)

func (a access) String() string {
	var b strings.Builder
	for i, c := range "rwm" {
		if a&(1<<i) != 0 {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// rule is one exception to the default of a device cgroup.
type rule struct {
	kind         byte // 'c' or 'b'
	major, minor int64
	access       access
	origin       string
}

func (r rule) number(n int64) string {
	if n == every {
		return "*"
	}
	return strconv.FormatInt(n, 10)
}

func (r rule) String() string {
	return string(r.kind) + " " + r.number(r.major) + ":" + r.number(r.minor) + " " + r.access.String()
}

// covers says whether every node of s is one of r, whatever the access.
func (r rule) covers(s rule) bool {
	return r.kind == s.kind && (r.major == every || r.major == s.major) && (r.minor == every || r.minor == s.minor)
}

// overlaps says whether some node is one of both.
func (r rule) overlaps(s rule) bool {
	return r.kind == s.kind &&
		(r.major == every || s.major == every || r.major == s.major) &&
		(r.minor == every || s.minor == every || r.minor == s.minor)
}

func (r rule) same(s rule) bool {
	return r.kind == s.kind && r.major == s.major && r.minor == s.minor
}

// defaults are allowed to every container: making nodes (their use is another
// access), the default nodes of the spec, pseudo-terminals and tun.
var defaults = []rule{
	{'c', every, every, mknod, ""},
	{'b', every, every, mknod, ""},
	{'c', 1, 3, all, ""}, // null
	{'c', 1, 5, all, ""}, // zero
	{'c', 1, 7, all, ""}, // full
	{'c', 1, 8, all, ""}, // random
	{'c', 1, 9, all, ""}, // urandom
	{'c', 5, 0, all, ""}, // tty
	{'c', 5, 2, all, ""}, // ptmx
	{'c', 136, every, all, ""},
	{'c', 10, 200, all, ""}, // tun
}

// table is a device cgroup as the kernel keeps it: a default and exceptions.
type table struct {
	allowed    bool // the default
	exceptions []rule
}

// devices compiles the device rules to one default and its exceptions. The
// default without rules is to deny; a rule of type "a" sets it.
func devices(r *specs.LinuxResources, l *limit.List) error {
	var t table
	for i := range r.Devices {
		d := &r.Devices[i]
		origin := "devices[" + strconv.Itoa(i) + "]"
		if wildcard(d) {
			t = table{allowed: d.Allow}
			continue
		}
		rules, err := parse(d, origin)
		if err != nil {
			return err
		}
		for _, x := range rules {
			if err := t.apply(x, d.Allow); err != nil {
				return err
			}
		}
	}
	for _, d := range defaults {
		d.origin = "devices (defaults)"
		if err := t.apply(d, true); err != nil {
			return err
		}
	}
	t.emit(l)
	return nil
}

// wildcard says whether d is about all nodes and so sets the default. The
// kernel ignores numbers and access of a rule of type "a".
func wildcard(d *specs.LinuxDeviceCgroup) bool {
	return d.Type == "a" || (d.Type == "" && d.Major == nil && d.Minor == nil && isAll(d.Access))
}

func isAll(s string) bool {
	a, ok := parseAccess(s)
	return ok && a == all
}

func parseAccess(s string) (access, bool) {
	if s == "" {
		return all, true
	}
	var a access
	for _, c := range s {
		i := strings.IndexRune("rwm", c)
		if i < 0 {
			return 0, false
		}
		a |= 1 << i
	}
	return a, true
}

// parse turns one rule of the config into rules for 'c' and 'b'.
func parse(d *specs.LinuxDeviceCgroup, origin string) ([]rule, error) {
	a, ok := parseAccess(d.Access)
	if !ok {
		return nil, limit.Refuse(origin+".access", "invalid access %q", d.Access)
	}
	x := rule{major: every, minor: every, access: a, origin: origin}
	if d.Major != nil {
		x.major = *d.Major
	}
	if d.Minor != nil {
		x.minor = *d.Minor
	}
	if x.major < every || x.minor < every || x.major > 1<<32-1 || x.minor > 1<<32-1 {
		return nil, limit.Refuse(origin, "invalid device number %d:%d", x.major, x.minor)
	}
	switch d.Type {
	case "c", "u", "b":
		x.kind = d.Type[0]
		if x.kind == 'u' {
			x.kind = 'c'
		}
		return []rule{x}, nil
	case "":
		c, b := x, x
		c.kind, b.kind = 'c', 'b'
		return []rule{c, b}, nil
	}
	return nil, limit.Refuse(origin+".type", "invalid device type %q", d.Type)
}

// apply adds x to the table, or takes it away, as a write to devices.allow or
// devices.deny does.
func (t *table) apply(x rule, allow bool) error {
	if allow != t.allowed {
		t.add(x)
		return nil
	}
	kept := t.exceptions[:0]
	for _, e := range t.exceptions {
		switch {
		case x.covers(e):
			e.access &^= x.access
		case !allow && e.overlaps(x) && e.access&x.access != 0:
			// runtime-spec allows it, but the kernel has no holes in a rule
			// and would silently go on allowing.
			return limit.Refuse(x.origin, "cgroup v1 cannot deny %q, a part of the allowed %q", x, e)
		}
		if e.access != 0 {
			kept = append(kept, e)
		}
	}
	t.exceptions = kept
	return nil
}

// add puts x among the exceptions, unless some rule already says so.
func (t *table) add(x rule) {
	for i := range t.exceptions {
		e := &t.exceptions[i]
		if e.same(x) {
			e.access |= x.access
			return
		}
		if e.covers(x) && x.access&^e.access == 0 {
			return
		}
	}
	t.exceptions = append(t.exceptions, x)
}

// emit writes the table, leaving out rules that a wider one covers.
func (t *table) emit(l *limit.List) {
	base, exception := "devices.deny", "devices.allow"
	if t.allowed {
		base, exception = exception, base
	}
	l.Add("devices", base, "a")
	for i, x := range t.exceptions {
		redundant := false
		for j, e := range t.exceptions {
			if i != j && e.covers(x) && !e.same(x) && x.access&^e.access == 0 {
				redundant = true
			}
		}
		if !redundant {
			l.Add(x.origin, exception, x.String())
		}
	}
}
