// SPDX-License-Identifier: Apache-2.0

package device

import (
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/cgroup/limit"
)

// Every is a major or minor number that matches all.
const Every = int64(-1)

// Access is a set of the letters r, w and m.
type Access uint8

// The bits are BPF_DEVCG_ACC_* of linux/bpf.h.
const (
	Mknod Access = 1 << iota
	Read
	Write
	All = Mknod | Read | Write
)

// letters are in the order of devices.allow.
var letters = []struct {
	char rune
	bit  Access
}{{'r', Read}, {'w', Write}, {'m', Mknod}}

// String is "rwm", or less of it.
func (a Access) String() string {
	var b strings.Builder
	for _, l := range letters {
		if a&l.bit != 0 {
			b.WriteRune(l.char)
		}
	}
	return b.String()
}

// Rule allows or denies access to the nodes that it names.
type Rule struct {
	Allow        bool
	Kind         byte  // 'c', 'b', or 'a' for all nodes, with all accesses
	Major, Minor int64 // 32 bits, or Every
	Access       Access
	Origin       string // the field below linux.resources: "devices[0]"
}

// String is the rule as devices.allow takes it: "c 136:* rwm".
func (r Rule) String() string {
	return string(r.Kind) + " " + number(r.Major) + ":" + number(r.Minor) + " " + r.Access.String()
}

func number(n int64) string {
	if n == Every {
		return "*"
	}
	return strconv.FormatInt(n, 10)
}

// Covers says whether every node of s is one of r, whatever the access.
func (r Rule) Covers(s Rule) bool {
	return (r.Kind == 'a' || r.Kind == s.Kind) &&
		(r.Major == Every || r.Major == s.Major) &&
		(r.Minor == Every || r.Minor == s.Minor)
}

// Overlaps says whether some node is one of both.
func (r Rule) Overlaps(s Rule) bool {
	return (r.Kind == 'a' || s.Kind == 'a' || r.Kind == s.Kind) &&
		(r.Major == Every || s.Major == Every || r.Major == s.Major) &&
		(r.Minor == Every || s.Minor == Every || r.Minor == s.Minor)
}

// List are rules in the order of the config: for each access to a node, the
// last rule about both decides. What no rule is about is denied.
type List []Rule

// defaults are allowed to every container: making nodes (their use is another
// access), the default nodes of the spec, pseudo-terminals and tun.
var defaults = []Rule{
	allow('c', Every, Every, Mknod),
	allow('b', Every, Every, Mknod),
	allow('c', 1, 3, All), // null
	allow('c', 1, 5, All), // zero
	allow('c', 1, 7, All), // full
	allow('c', 1, 8, All), // random
	allow('c', 1, 9, All), // urandom
	allow('c', 5, 0, All), // tty
	allow('c', 5, 2, All), // ptmx
	allow('c', 136, Every, All),
	allow('c', 10, 200, All), // tun
}

func allow(kind byte, major, minor int64, a Access) Rule {
	return Rule{Allow: true, Kind: kind, Major: major, Minor: minor, Access: a, Origin: "devices (defaults)"}
}

// Rules returns the device rules of r, which is not nil, and after them the
// default devices, which no config can take away. An error is a
// *limit.FieldError that names the rule.
func Rules(r *specs.LinuxResources) (List, error) {
	list := make(List, 0, len(r.Devices)+len(defaults))
	for i := range r.Devices {
		rules, err := parse(&r.Devices[i], "devices["+strconv.Itoa(i)+"]")
		if err != nil {
			return nil, err
		}
		list = append(list, rules...)
	}
	return append(list, defaults...), nil
}

// wildcard says whether d is about all nodes. A rule of type "a" with numbers or
// less than all accesses is about both kinds of nodes: cgroup v1 would ignore
// what narrows it, and open every device.
func wildcard(d *specs.LinuxDeviceCgroup) bool {
	every := func(n *int64) bool { return n == nil || *n == Every }
	a, ok := parseAccess(d.Access)
	return (d.Type == "" || d.Type == "a") && every(d.Major) && every(d.Minor) && ok && a == All
}

func parseAccess(s string) (Access, bool) {
	if s == "" {
		return All, true
	}
	var a Access
	for _, c := range s {
		i := strings.IndexRune("rwm", c)
		if i < 0 {
			return 0, false
		}
		a |= letters[i].bit
	}
	return a, true
}

// parse turns one rule of the config into one for all nodes, or into rules for
// 'c' and 'b'.
func parse(d *specs.LinuxDeviceCgroup, origin string) ([]Rule, error) {
	if wildcard(d) {
		return []Rule{{Allow: d.Allow, Kind: 'a', Major: Every, Minor: Every, Access: All, Origin: origin}}, nil
	}
	a, ok := parseAccess(d.Access)
	if !ok {
		return nil, limit.Refuse(origin+".access", "invalid access %q", d.Access)
	}
	x := Rule{Allow: d.Allow, Major: Every, Minor: Every, Access: a, Origin: origin}
	if d.Major != nil {
		x.Major = *d.Major
	}
	if d.Minor != nil {
		x.Minor = *d.Minor
	}
	if x.Major < Every || x.Minor < Every || x.Major > 1<<32-1 || x.Minor > 1<<32-1 {
		return nil, limit.Refuse(origin, "invalid device number %d:%d", x.Major, x.Minor)
	}
	switch d.Type {
	case "c", "u":
		x.Kind = 'c'
		return []Rule{x}, nil
	case "b":
		x.Kind = 'b'
		return []Rule{x}, nil
	case "", "a":
		c, b := x, x
		c.Kind, b.Kind = 'c', 'b'
		return []Rule{c, b}, nil
	}
	return nil, limit.Refuse(origin+".type", "invalid device type %q", d.Type)
}
