// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// infinity is "no limit" in systemd's 64-bit properties: USEC_INFINITY,
// CGROUP_LIMIT_MAX.
const infinity = uint64(math.MaxUint64)

// Property is one property of a unit, as org.freedesktop.systemd1(5) types it.
type Property struct {
	Name  string
	Value dbus.Variant
	// Origin is the config field: "linux.resources.memory.limit".
	Origin string
}

// Properties are set in this order; a later one of the same name replaces an
// earlier one, or adds to it where the property is a list.
type Properties []Property

// String prints one line per property: name, D-Bus type, value and origin.
func (p Properties) String() string {
	var b strings.Builder
	for _, x := range p {
		fmt.Fprintf(&b, "%s %s %s", x.Name, x.Value.Signature(), text(x.Value))
		if x.Origin != "" {
			fmt.Fprintf(&b, "  # %s", x.Origin)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// text prints a value as GVariant text, without its type.
func text(v dbus.Variant) string {
	switch x := v.Value().(type) {
	case uint64:
		if x == infinity {
			return "infinity"
		}
		return strconv.FormatUint(x, 10)
	case []uint32:
		return fmt.Sprint(x)
	case []byte:
		return fmt.Sprintf("%#x", x) // the lowest byte first
	case []DeviceAllow:
		s := make([]string, len(x))
		for i, d := range x {
			s[i] = d.Path + " " + d.Access
		}
		return "[" + strings.Join(s, ", ") + "]"
	}
	return v.String()
}

// add appends a property of the config field linux.resources.<field>, in place
// of an earlier one: linux.resources.unified has the last word, as in the files.
func (p *Properties) add(field, name string, value any) {
	*p = slices.DeleteFunc(*p, func(x Property) bool { return x.Name == name })
	*p = append(*p, Property{Name: name, Value: dbus.MakeVariant(value), Origin: "linux.resources." + field})
}

// frozen are the properties that systemd takes only for a new unit.
var frozen = []string{"OOMPolicy"}

// Changeable leaves out what systemd refuses to change in a running unit.
func (p Properties) Changeable() Properties {
	return slices.DeleteFunc(slices.Clone(p), func(x Property) bool { return slices.Contains(frozen, x.Name) })
}

// pid is the process in PIDs=, 0 when there is none.
func (p Properties) pid() uint32 {
	for _, x := range p {
		if pids, ok := x.Value.Value().([]uint32); ok && x.Name == "PIDs" && len(pids) > 0 {
			return pids[0]
		}
	}
	return 0
}

// Host is what the properties depend on beside the config.
type Host struct {
	V2      bool // the unified hierarchy
	Version int  // of systemd, see Bus.Version
	// ProcDevices is the text of /proc/devices; only needed before systemd 240.
	ProcDevices string
}

// Base returns the properties that make a unit a container's, whatever its
// limits. Accounting is always on: what joins the memory controller later is
// not counted in full, and it makes systemd enable the controllers. A scope
// must have a process, a slice cannot be given one and ignores pid.
func Base(u Unit, id string, pid uint32, v2 bool) Properties {
	var p Properties
	set := func(name string, value any) {
		p = append(p, Property{Name: name, Value: dbus.MakeVariant(value)})
	}
	set("Description", "berth container "+id)
	if u.IsSlice() {
		set("Wants", []string{u.Slice})
	} else {
		set("Slice", u.Slice)
		set("Delegate", true)
		if pid != 0 {
			set("PIDs", []uint32{pid})
		}
	}
	io := "IOAccounting"
	if !v2 {
		io = "BlockIOAccounting"
	}
	for _, accounting := range []string{"MemoryAccounting", "CPUAccounting", io, "TasksAccounting"} {
		set(accounting, true)
	}
	// Otherwise a scope conflicts with shutdown.target and is stopped early,
	// before the engine that runs the container can stop it in its own way.
	set("DefaultDependencies", false)
	return p
}

// Request is all that the properties of a new unit are made of.
type Request struct {
	Unit        Unit
	ID          string                // of the container, for the description
	PID         uint32                // its first process, as systemd sees it; 0 for slices
	Resources   *specs.LinuxResources // nil is no limits and the default devices
	Annotations map[string]string
}

// Properties returns what StartTransientUnit gets, and warnings. Resources come
// after annotations, so that a limit cannot be lifted by an annotation; runc
// has the same order.
func (q Request) Properties(h Host) (Properties, []string, error) {
	p := Base(q.Unit, q.ID, q.PID, h.V2)
	annotated, err := Annotations(q.Annotations)
	if err != nil {
		return nil, nil, err
	}
	limits, warnings, err := Resources(q.Resources, h)
	if err != nil {
		return nil, nil, err
	}
	if q.Unit.IsSlice() {
		limits = limits.Changeable() // OOMPolicy= is for what has processes
	}
	devices, more, err := Devices(q.Resources, h)
	if err != nil {
		return nil, nil, err
	}
	p = append(append(append(p, annotated...), devices...), limits...)
	return p, append(warnings, more...), nil
}
