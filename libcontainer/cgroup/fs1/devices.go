// SPDX-License-Identifier: Apache-2.0

package fs1

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/cgroup/device"
	"berth/libcontainer/cgroup/limit"
)

// table is a device cgroup as the kernel keeps it: a default and exceptions.
type table struct {
	allowed    bool // the default
	exceptions []device.Rule
}

// devices compiles the device rules to one default and its exceptions. The
// default without rules is to deny; a rule of type "a" sets it.
func devices(r *specs.LinuxResources, l *limit.List) error {
	rules, err := device.Rules(r)
	if err != nil {
		return err
	}
	var t table
	for _, x := range rules {
		if x.Kind == 'a' {
			t = table{allowed: x.Allow}
			continue
		}
		if err := t.apply(x); err != nil {
			return err
		}
	}
	t.emit(l)
	return nil
}

func same(r, s device.Rule) bool {
	return r.Kind == s.Kind && r.Major == s.Major && r.Minor == s.Minor
}

// apply adds x to the table, or takes it away, as a write to devices.allow or
// devices.deny does.
func (t *table) apply(x device.Rule) error {
	if x.Allow != t.allowed {
		t.add(x)
		return nil
	}
	kept := t.exceptions[:0]
	for _, e := range t.exceptions {
		switch {
		case x.Covers(e):
			e.Access &^= x.Access
		case !x.Allow && e.Overlaps(x) && e.Access&x.Access != 0:
			// runtime-spec allows it, but the kernel has no holes in a rule
			// and would silently go on allowing.
			return limit.Refuse(x.Origin, "cgroup v1 cannot deny %q, a part of the allowed %q", x, e)
		}
		if e.Access != 0 {
			kept = append(kept, e)
		}
	}
	t.exceptions = kept
	return nil
}

// add puts x among the exceptions, unless some rule already says so.
func (t *table) add(x device.Rule) {
	for i := range t.exceptions {
		e := &t.exceptions[i]
		if same(*e, x) {
			e.Access |= x.Access
			return
		}
		if e.Covers(x) && x.Access&^e.Access == 0 {
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
			if i != j && e.Covers(x) && !same(e, x) && x.Access&^e.Access == 0 {
				redundant = true
			}
		}
		if !redundant {
			l.Add(x.Origin, exception, x.String())
		}
	}
}
