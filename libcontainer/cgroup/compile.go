// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/cgroup/fs1"
	"berth/libcontainer/cgroup/fs2"
	"berth/libcontainer/cgroup/limit"
)

// Write is one value for one file; Writes are printable.
type (
	Write  = limit.Write
	Writes = limit.Writes
)

// ErrNoUnified is runc's error for linux.resources.unified on v1.
var ErrNoUnified = errors.New("linux.resources.unified: invalid configuration: cannot use unified on cgroup v1")

// controller says which fields need which controller. v1 is "" where v2 has no
// counterpart, and the other way round.
type controller struct {
	v1, v2 string
	asked  func(r *specs.LinuxResources) bool
}

// controllers is the order of writing.
var controllers = []controller{
	{"memory", "memory", func(r *specs.LinuxResources) bool { return r.Memory != nil }},
	{"cpu", "cpu", func(r *specs.LinuxResources) bool {
		c := r.CPU
		return c != nil && (c.Shares != nil || c.Quota != nil || c.Period != nil || c.Burst != nil ||
			c.Idle != nil || c.RealtimeRuntime != nil || c.RealtimePeriod != nil)
	}},
	{"cpuset", "cpuset", func(r *specs.LinuxResources) bool {
		return r.CPU != nil && (r.CPU.Cpus != "" || r.CPU.Mems != "")
	}},
	{"pids", "pids", func(r *specs.LinuxResources) bool { return r.Pids != nil && r.Pids.Limit != nil }},
	{"blkio", "io", func(r *specs.LinuxResources) bool { return r.BlockIO != nil }},
	{"hugetlb", "hugetlb", func(r *specs.LinuxResources) bool { return len(r.HugepageLimits) > 0 }},
	{"rdma", "rdma", func(r *specs.LinuxResources) bool { return len(r.Rdma) > 0 }},
	{"net_cls", "", func(r *specs.LinuxResources) bool {
		return r.Network != nil && r.Network.ClassID != nil && *r.Network.ClassID != 0
	}},
	{"net_prio", "", func(r *specs.LinuxResources) bool {
		return r.Network != nil && len(r.Network.Priorities) > 0
	}},
}

// Limits are linux.resources, compiled.
type Limits struct {
	// Devices are the device rules, for v1 or v2.
	Devices Devices
	// Writes are all others.
	Writes Writes
	// Warnings say what is ignored.
	Warnings []string
}

// Compile turns resources into writes, each controller in the form of the
// hierarchy that has it: on a hybrid, one left to v2 gets v2's files. A nil r
// still limits devices, to the spec's default ones.
func Compile(r *specs.LinuxResources, f Facts) (Limits, error) {
	var l Limits
	var err error
	if r == nil {
		r = &specs.LinuxResources{}
	}
	if l.Devices, err = compileDevices(r, f); err != nil {
		return l, err
	}
	l.Writes, l.Warnings, err = compile(r, f)
	return l, err
}

// Split returns the limits to set before there is a process, and those that
// have to wait because holder, which systemd needs, counts against them.
func (l Limits) Split(holder bool) (early Limits, late Writes) {
	if !holder {
		return l, nil
	}
	early = Limits{Devices: l.Devices}
	for _, w := range l.Writes {
		if w.File == "pids.max" && (w.Value == "0" || w.Value == "1") {
			late = append(late, w)
		} else {
			early.Writes = append(early.Writes, w)
		}
	}
	return early, late
}

func compile(r *specs.LinuxResources, f Facts) (Writes, []string, error) {
	var all limit.List
	for _, c := range controllers {
		if !c.asked(r) {
			continue
		}
		l := limit.List{Writes: all.Writes, Warnings: all.Warnings}
		if err := c.compile(r, f, &l); err != nil {
			return nil, nil, err
		}
		all = l
	}
	if len(r.Unified) > 0 {
		if !f.Unified {
			return nil, nil, ErrNoUnified
		}
		all.V2 = true
		if err := fs2.Unified(r, f.V2Controllers, &all); err != nil {
			return nil, nil, err
		}
	}
	return all.Writes, all.Warnings, nil
}

// compile adds the writes of one controller that r asks for.
func (c controller) compile(r *specs.LinuxResources, f Facts, l *limit.List) error {
	if ok, v2 := f.Has(c.v1); ok && !v2 {
		l.Controller = c.v1
		return fs1.Compile(c.v1, r, l)
	}
	if ok, v2 := f.Has(c.v2); ok && v2 {
		l.Controller, l.V2 = c.v2, true
		return fs2.Compile(c.v2, r, l)
	}
	return c.missing(r, f, l)
}

// missing is for a controller that no hierarchy has.
func (c controller) missing(r *specs.LinuxResources, f Facts, l *limit.List) error {
	switch c.v1 {
	case "net_cls", "net_prio":
		if f.Unified {
			l.Warn("network", "ignored: cgroup v2 has no such setting")
			return nil
		}
	}
	// Empty objects ask for nothing: see what would have been written.
	var probe limit.List
	if err := fs1.Compile(c.v1, r, &probe); err != nil {
		return err
	}
	if len(probe.Writes) == 0 {
		l.Warnings = append(l.Warnings, probe.Warnings...)
		return nil
	}
	name := c.v1
	if f.Unified {
		name = c.v2
	}
	return fmt.Errorf("%s: cannot set %s limit: no mounted cgroup hierarchy has the %s controller", probe.Writes[0].Origin, name, name)
}
