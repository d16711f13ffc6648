// SPDX-License-Identifier: Apache-2.0

// Package fs2 compiles resource limits to writes for cgroup v2 controllers.
// It is pure; Documentation/admin-guide/cgroup-v2.rst in the kernel describes
// the files. Device rules are no file there and are not compiled here.
package fs2

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/cgroup/limit"
)

// Compile turns the limits of r, which is not nil, into writes for one v2
// controller.
func Compile(controller string, r *specs.LinuxResources, l *limit.List) error {
	switch controller {
	case "memory":
		return memory(r, l)
	case "cpu":
		return cpu(r, l)
	case "cpuset":
		return cpuset(r, l)
	case "pids":
		return pids(r, l)
	case "io":
		return io(r, l)
	case "hugetlb":
		return hugetlb(r, l)
	case "rdma":
		return limit.RDMA(r, l)
	}
	return fmt.Errorf("cgroup v2 has no controller %q", controller)
}

func memory(r *specs.LinuxResources, l *limit.List) error {
	m := r.Memory
	n, err := limit.CheckMemory(m)
	if err != nil {
		return err
	}
	check := m.CheckBeforeUpdate != nil && *m.CheckBeforeUpdate
	swap, set, err := limit.SwapMax(n.Limit, n.Swap)
	if err != nil {
		return err
	}
	if set {
		origin := "memory.swap"
		if n.Swap == 0 {
			origin = "memory.limit"
		}
		w := l.Add(origin, "memory.swap.max", swap)
		// Without swap there is no file, and neither of these is wrong then.
		w.Optional = swap == "max" || swap == "0"
		if check && swap != "max" {
			w.Floor = "memory.swap.current"
		}
	}
	if v := limit.V2Number(n.Limit); v != "" {
		w := l.Add("memory.limit", "memory.max", v)
		if check && n.Limit > 0 {
			w.Floor = "memory.current"
		}
	}
	if v := limit.V2Number(n.Reservation); v != "" {
		l.Add("memory.reservation", "memory.low", v)
	}
	if (m.Kernel != nil && *m.Kernel != 0) || (m.KernelTCP != nil && *m.KernelTCP != 0) {
		l.Warn("memory.kernel", "kernel memory settings are ignored")
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		l.Warn("memory.disableOOMKiller", "ignored: cgroup v2 has no such setting")
	}
	if m.Swappiness != nil && *m.Swappiness != ^uint64(0) {
		l.Warn("memory.swappiness", "ignored: cgroup v2 has no such setting")
	}
	return nil
}

func cpu(r *specs.LinuxResources, l *limit.List) error {
	c := r.CPU
	if err := limit.CheckCPU(c); err != nil {
		return err
	}
	idle := c.Idle != nil && *c.Idle == 1
	if c.Shares != nil && *c.Shares != 0 && !idle {
		l.Add("cpu.shares", "cpu.weight", strconv.FormatUint(limit.CPUWeight(*c.Shares), 10)).Again = true // refused while idle
	}
	if c.Idle != nil {
		l.Add("cpu.idle", "cpu.idle", strconv.FormatInt(*c.Idle, 10))
	}
	quota := c.Quota != nil && *c.Quota != 0
	period := c.Period != nil && *c.Period != 0
	if quota || period {
		origin, q, p := "cpu.period", "max", uint64(100000) // the kernel's default period
		if quota {
			origin = "cpu.quota"
			if *c.Quota > 0 {
				q = strconv.FormatInt(*c.Quota, 10)
			}
		}
		if period {
			p = *c.Period
		}
		l.Add(origin, "cpu.max", q+" "+strconv.FormatUint(p, 10)).Again = true // refused below the old burst
	}
	if c.Burst != nil {
		l.Add("cpu.burst", "cpu.max.burst", strconv.FormatUint(*c.Burst, 10))
	}
	if (c.RealtimeRuntime != nil && *c.RealtimeRuntime != 0) || (c.RealtimePeriod != nil && *c.RealtimePeriod != 0) {
		l.Warn("cpu.realtimeRuntime", "ignored: cgroup v2 has no real-time bandwidth")
	}
	return nil
}

func cpuset(r *specs.LinuxResources, l *limit.List) error {
	c := r.CPU
	if err := limit.CheckCPU(c); err != nil {
		return err
	}
	if c.Cpus != "" {
		l.Add("cpu.cpus", "cpuset.cpus", c.Cpus)
	}
	if c.Mems != "" {
		l.Add("cpu.mems", "cpuset.mems", c.Mems)
	}
	return nil
}

func pids(r *specs.LinuxResources, l *limit.List) error {
	if r.Pids.Limit != nil {
		l.Add("pids.limit", "pids.max", limit.PIDsMax(*r.Pids.Limit))
	}
	return nil
}

func io(r *specs.LinuxResources, l *limit.List) error {
	b := r.BlockIO
	if w := b.Weight; w != nil && *w != 0 {
		weight(l, "blockIO.weight", "", *w)
	}
	if (b.LeafWeight != nil && *b.LeafWeight != 0) || slices.ContainsFunc(b.WeightDevice, func(d specs.LinuxWeightDevice) bool {
		return d.LeafWeight != nil && *d.LeafWeight != 0
	}) {
		l.Warn("blockIO.leafWeight", "ignored: cgroup v2 has no leaf weights")
	}
	for i, d := range b.WeightDevice {
		field := "blockIO.weightDevice[" + strconv.Itoa(i) + "]"
		number, err := limit.DeviceNumber(field, d.LinuxBlockIODevice)
		if err != nil {
			return err
		}
		if d.Weight != nil && *d.Weight != 0 {
			weight(l, field+".weight", number+" ", *d.Weight)
		}
	}
	for _, t := range []struct {
		field, key string
		devices    []specs.LinuxThrottleDevice
	}{
		{"blockIO.throttleReadBpsDevice", "rbps", b.ThrottleReadBpsDevice},
		{"blockIO.throttleWriteBpsDevice", "wbps", b.ThrottleWriteBpsDevice},
		{"blockIO.throttleReadIOPSDevice", "riops", b.ThrottleReadIOPSDevice},
		{"blockIO.throttleWriteIOPSDevice", "wiops", b.ThrottleWriteIOPSDevice},
	} {
		for i, d := range t.devices {
			field := t.field + "[" + strconv.Itoa(i) + "]"
			number, err := limit.DeviceNumber(field, d.LinuxBlockIODevice)
			if err != nil {
				return err
			}
			rate := "max" // as on v1, 0 lifts the throttle
			if d.Rate != 0 {
				rate = strconv.FormatUint(d.Rate, 10)
			}
			l.Add(field, "io.max", number+" "+t.key+"="+rate)
		}
	}
	return nil
}

// weight prefers the file of the BFQ scheduler, which takes the spec's range
// as it is, to that of io.cost.
func weight(l *limit.List, field, prefix string, w uint16) {
	l.Add(field, "io.bfq.weight", prefix+strconv.Itoa(int(w))).Else = []limit.Alternative{
		{File: "io.weight", Value: prefix + strconv.FormatUint(limit.IOWeight(w), 10)},
	}
}

func hugetlb(r *specs.LinuxResources, l *limit.List) error {
	for i, h := range r.HugepageLimits {
		field := "hugepageLimits[" + strconv.Itoa(i) + "]"
		if err := limit.CheckPageSize(field+".pageSize", h.Pagesize); err != nil {
			return err
		}
		value := strconv.FormatUint(h.Limit, 10)
		l.Add(field, "hugetlb."+h.Pagesize+".max", value)
		// Reservations are charged apart since Linux 5.7.
		l.Add(field, "hugetlb."+h.Pagesize+".rsvd.max", value).Optional = true
	}
	return nil
}

// coreFiles are limits; the others (cgroup.procs, cgroup.freeze, cgroup.type…)
// would move strangers into the container or keep init out of it.
var coreFiles = []string{"cgroup.max.depth", "cgroup.max.descendants", "cgroup.pressure"}

// Unified compiles linux.resources.unified; available are the controllers of
// the hierarchy. Several lines of one value are several writes.
func Unified(r *specs.LinuxResources, available []string, l *limit.List) error {
	for _, file := range slices.Sorted(maps.Keys(r.Unified)) {
		field := "unified[" + file + "]"
		if strings.Contains(file, "/") {
			return limit.Refuse(field, "unified resource %q must be a file name (no slashes)", file)
		}
		controller, _, ok := strings.Cut(file, ".")
		if !ok || controller == "" {
			return limit.Refuse(field, "unified resource %q must be in the form CONTROLLER.PARAMETER", file)
		}
		if controller == "cgroup" && !slices.Contains(coreFiles, file) {
			return limit.Refuse(field, "unified resource %q can't be set: of the core files only %s can", file, strings.Join(coreFiles, ", "))
		}
		if controller != "cgroup" && !slices.Contains(available, controller) {
			return limit.Refuse(field, "unified resource %q can't be set: controller %q not available", file, controller)
		}
		l.Controller = controller
		for line := range strings.SplitSeq(strings.TrimSpace(r.Unified[file]), "\n") {
			l.Add(field, file, line)
		}
	}
	return nil
}
