// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/cgroup/limit"
)

// unified sets the properties for files that linux.resources.unified names, so
// that systemd and the kernel agree on them; it leaves other files alone. A
// value that is not the kernel's is refused here, before anything is made.
func unified(r *specs.LinuxResources, h Host, p *Properties, l *limit.List) error {
	for _, file := range slices.Sorted(maps.Keys(r.Unified)) {
		field := "unified[" + file + "]"
		if strings.Contains(file, "/") {
			return limit.Refuse(field, "unified resource %q must be a file name (no slashes)", file)
		}
		if strings.IndexByte(file, '.') <= 0 {
			return limit.Refuse(field, "unified resource %q must be in the form CONTROLLER.PARAMETER", file)
		}
		if err := unifiedFile(r, file, field, strings.TrimSpace(r.Unified[file]), h, p, l); err != nil {
			return err
		}
	}
	return nil
}

func unifiedFile(r *specs.LinuxResources, file, field, v string, h Host, p *Properties, l *limit.List) error {
	switch file {
	case "memory.high":
		return number(p, field, "MemoryHigh", v)
	case "memory.low":
		return number(p, field, "MemoryLow", v)
	case "memory.max":
		return number(p, field, "MemoryMax", v)
	case "memory.min":
		return number(p, field, "MemoryMin", v)
	case "memory.swap.max":
		return number(p, field, "MemorySwapMax", v)
	case "pids.max":
		if v == "0" {
			v = "1" // systemd refuses 0
		}
		return number(p, field, "TasksMax", v)
	case "cpu.idle":
		if v == "1" && h.Version >= sinceIdle {
			p.add(field, "CPUWeight", uint64(0))
		}
	case "cpu.weight":
		if strings.TrimSpace(r.Unified["cpu.idle"]) == "1" && h.Version >= sinceIdle {
			l.Warn(field, "not given to systemd: cpu.idle excludes it")
			return nil
		}
		return weight(p, field, v)
	case "cpu.max":
		return cpuMax(r, p, field, v, h)
	case "cpuset.cpus", "cpuset.mems":
		if h.Version < sinceCPUSets || v == "" {
			return nil // "" is the parent's set, which systemd needs no telling of
		}
		name := "AllowedCPUs"
		if file == "cpuset.mems" {
			name = "AllowedMemoryNodes"
		}
		return cpuset(p, field, name, v)
	case "memory.oom.group":
		if h.Version < sinceOOMPolicy {
			return nil
		}
		switch v {
		case "0":
			p.add(field, "OOMPolicy", "continue")
		case "1":
			p.add(field, "OOMPolicy", "kill")
		default:
			return limit.Refuse(field, "invalid value %q: must be 0 or 1", v)
		}
	}
	return nil
}

func weight(p *Properties, field, v string) error {
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil || n < 1 || n > 10000 {
		return limit.Refuse(field, "invalid weight %q: must be 1 to 10000", v)
	}
	p.add(field, "CPUWeight", n)
	return nil
}

// cpuMax takes "QUOTA [PERIOD]". Without a period the file keeps the one that
// was written before.
func cpuMax(r *specs.LinuxResources, p *Properties, field, v string, h Host) error {
	parts := strings.Fields(v)
	if len(parts) < 1 || len(parts) > 2 {
		return limit.Refuse(field, "invalid value %q: must be \"QUOTA [PERIOD]\"", v)
	}
	q, period := int64(-1), uint64(defaultPeriod)
	if r.CPU != nil && value(r.CPU.Period) != 0 {
		period = *r.CPU.Period
	}
	var err error
	if parts[0] != "max" {
		if q, err = strconv.ParseInt(parts[0], 10, 64); err != nil || q <= 0 {
			return limit.Refuse(field, "invalid quota %q", parts[0])
		}
	}
	if len(parts) == 2 {
		if period, err = strconv.ParseUint(parts[1], 10, 64); err != nil || period == 0 {
			return limit.Refuse(field, "invalid period %q", parts[1])
		}
	}
	quota(p, field, field, q, period, h)
	return nil
}
