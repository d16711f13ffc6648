// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"strings"

	"github.com/godbus/dbus/v5"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/cgroup/fs1"
	"berth/libcontainer/cgroup/limit"
)

// DeviceAllow is one entry of DeviceAllow=, "(ss)" on the bus: a node as
// "/dev/char/1:3" or a group of them as "char-136" or "block-*", and the
// letters r, w and m.
type DeviceAllow struct {
	Path, Access string
}

// Devices returns DevicePolicy= and DeviceAllow= for the device rules of r,
// which replace those that the unit has. They are the table that cgroup v1
// gets, the spec's default devices included. systemd can only list what it
// allows: for other tables the policy is "auto", which allows all, and the
// exact program or table that is written afterwards does the work alone.
// On v1 a daemon-reload overwrites that table, hence a warning.
func Devices(r *specs.LinuxResources, h Host) (Properties, []string, error) {
	if r == nil {
		r = &specs.LinuxResources{}
	}
	table, holes, err := compileDevices(r, h)
	if err != nil {
		return nil, nil, err
	}
	var allowed []DeviceAllow
	expressible := !holes && table[0].File == "devices.deny"
	everything := !holes && !expressible && len(table) == 1
	for _, w := range table[min(1, len(table)):] {
		if !expressible {
			break
		}
		d, ok := deviceAllow(w.Value, h)
		if !ok {
			expressible = false
		}
		allowed = append(allowed, d)
	}
	p := Properties{deviceProperty("DeviceAllow", []DeviceAllow{})} // empties the list of a unit that exists
	if expressible {
		p = append(p, deviceProperty("DevicePolicy", "strict"), deviceProperty("DeviceAllow", allowed))
		return p, nil, nil
	}
	p = append(p, deviceProperty("DevicePolicy", "auto"))
	if everything || h.V2 {
		return p, nil, nil
	}
	return p, []string{"linux.resources.devices: systemd cannot express these rules; they are in force, but not after a systemctl daemon-reload"}, nil
}

func deviceProperty(name string, value any) Property {
	return Property{Name: name, Value: dbus.MakeVariant(value), Origin: "linux.resources.devices"}
}

// compileDevices returns the table of cgroup v1: the default, then exceptions.
// That cgroup has no rules with holes, whereas the program of v2 does.
func compileDevices(r *specs.LinuxResources, h Host) (table limit.Writes, holes bool, err error) {
	var l limit.List
	err = fs1.Compile("devices", r, &l)
	if err == nil || !h.V2 {
		return l.Writes, false, err
	}
	// A rule that is wrong by itself is no hole.
	for i := range r.Devices {
		one := specs.LinuxResources{Devices: r.Devices[i : i+1]}
		if fs1.Compile("devices", &one, new(limit.List)) != nil {
			return nil, false, err
		}
	}
	return nil, true, nil
}

// deviceAllow translates an entry of devices.allow, "c 136:* rwm". It cannot
// for one minor of every major, nor, before systemd 240, for a major that no
// driver of the host has a name for.
func deviceAllow(rule string, h Host) (DeviceAllow, bool) {
	kind, rest, _ := strings.Cut(rule, " ")
	number, access, _ := strings.Cut(rest, " ")
	major, minor, _ := strings.Cut(number, ":")
	class := "char"
	if kind == "b" {
		class = "block"
	}
	switch {
	case minor != "*" && major == "*":
		return DeviceAllow{}, false
	case minor != "*":
		return DeviceAllow{"/dev/" + class + "/" + number, access}, true
	case major == "*" || h.Version >= sinceDeviceMajor:
		return DeviceAllow{class + "-" + major, access}, true
	}
	name, ok := driver(h.ProcDevices, class, major)
	return DeviceAllow{class + "-" + name, access}, ok
}

// driver finds the first name of a major number in the text of /proc/devices,
// proc(5): two lists of "MAJOR NAME" under headings.
func driver(procDevices, class, major string) (string, bool) {
	in := ""
	for line := range strings.Lines(procDevices) {
		number, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case name == "devices:" && number == "Character":
			in = "char"
		case name == "devices:" && number == "Block":
			in = "block"
		case in == class && number == major && name != "":
			return name, true
		}
	}
	return "", false
}
