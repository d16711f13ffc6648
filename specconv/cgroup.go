// SPDX-License-Identifier: Apache-2.0

package specconv

import (
	"errors"
	"fmt"
	"math"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/config"
)

func (c *converter) cgroup() error {
	l := c.spec.Linux
	out := config.Cgroup{Driver: c.o.CgroupDriver, Path: l.CgroupsPath, Resources: l.Resources}
	if out.Driver == "" {
		out.Driver = config.CgroupFS
	}
	if strings.ContainsAny(l.CgroupsPath, "\n\x00") {
		return fmt.Errorf("linux.cgroupsPath: %q contains a newline or a NUL byte", l.CgroupsPath)
	}
	for _, part := range strings.Split(l.CgroupsPath, "/") {
		if part == ".." {
			return fmt.Errorf("linux.cgroupsPath: %q must not contain \"..\"", l.CgroupsPath)
		}
	}
	if out.Driver == config.CgroupSystemd && l.CgroupsPath != "" && strings.Count(l.CgroupsPath, ":") != 2 {
		return fmt.Errorf("linux.cgroupsPath: expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got %q instead", l.CgroupsPath)
	}
	out.Resources = config.WithoutZeroPIDs(l.Resources, c.spec.Version)
	c.out.Cgroup = out
	if l.Resources == nil {
		return nil
	}
	return CheckResources(l.Resources)
}

// CheckResources refuses names that become parts of file names
// (GHSA-5g49-rx9x-qfc6) and values that no driver could apply. r is not nil.
func CheckResources(r *specs.LinuxResources) error {
	for i, h := range r.HugepageLimits {
		if !fileNamePart(h.Pagesize) {
			return fmt.Errorf("linux.resources.hugepageLimits[%d].pageSize: invalid size %q", i, h.Pagesize)
		}
	}
	for name := range r.Unified {
		if !fileNamePart(name) || !strings.Contains(name, ".") {
			return fmt.Errorf("linux.resources.unified: invalid file name %q", name)
		}
	}
	for name := range r.Rdma {
		if !fileNamePart(name) || strings.Contains(name, " ") {
			return fmt.Errorf("linux.resources.rdma: invalid device name %q", name)
		}
	}
	for i, d := range r.Devices {
		if d.Type != "" && (len(d.Type) != 1 || !strings.Contains("abc", d.Type)) {
			return fmt.Errorf("linux.resources.devices[%d].type: unknown type %q", i, d.Type)
		}
		if strings.Trim(d.Access, "rwm") != "" {
			return fmt.Errorf("linux.resources.devices[%d].access: %q is not made of r, w and m", i, d.Access)
		}
	}
	if r.Network != nil {
		for i, p := range r.Network.Priorities {
			if !deviceName(p.Name) {
				return fmt.Errorf("linux.resources.network.priorities[%d].name: invalid network device name %q", i, p.Name)
			}
		}
	}
	if c := r.CPU; c != nil {
		// kernel/sched: one millisecond to one second.
		if c.Period != nil && *c.Period != 0 && (*c.Period < 1000 || *c.Period > 1000000) {
			return fmt.Errorf("linux.resources.cpu.period: %d µs is not from 1000 to 1000000", *c.Period)
		}
		if c.Quota != nil && *c.Quota > 0 && *c.Quota < 1000 {
			return fmt.Errorf("linux.resources.cpu.quota: %d µs is less than 1000", *c.Quota)
		}
	}
	if m := r.Memory; m != nil {
		if m.Swap != nil && m.Limit != nil && *m.Swap > 0 && *m.Limit > 0 && *m.Swap < *m.Limit {
			return errors.New("linux.resources.memory.swap: must not be less than limit, it counts memory and swap")
		}
		if m.Swappiness != nil && *m.Swappiness > 100 && *m.Swappiness != math.MaxUint64 { // engines send -1 so
			return fmt.Errorf("linux.resources.memory.swappiness: %d is more than 100", *m.Swappiness)
		}
	}
	return nil
}

func fileNamePart(s string) bool {
	return s != "" && !strings.ContainsAny(s, "/\n\x00") && !strings.Contains(s, "..")
}

func (c *converter) rdt() error {
	r := c.spec.Linux.IntelRdt
	if r == nil {
		return nil
	}
	if id := r.ClosID; id == "." || id == ".." || id != "/" && strings.ContainsAny(id, "/\n\x00") {
		return fmt.Errorf("linux.intelRdt.closID: invalid group name %q", id)
	}
	c.out.IntelRDT = &config.IntelRDT{
		ClosID: r.ClosID, Schemata: r.Schemata, L3CacheSchema: r.L3CacheSchema,
		MemBwSchema: r.MemBwSchema, EnableMonitoring: r.EnableMonitoring,
	}
	return nil
}
