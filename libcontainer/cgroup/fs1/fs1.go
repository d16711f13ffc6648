// SPDX-License-Identifier: Apache-2.0

// Package fs1 compiles resource limits to writes for cgroup v1 controllers.
// It is pure; Documentation/admin-guide/cgroup-v1 in the kernel describes the files.
package fs1

import (
	"fmt"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/cgroup/limit"
)

// Compile turns the limits of r, which is not nil, into writes for one v1
// controller.
func Compile(controller string, r *specs.LinuxResources, l *limit.List) error {
	switch controller {
	case "devices":
		return devices(r, l)
	case "memory":
		return memory(r, l)
	case "cpu":
		return cpu(r, l)
	case "cpuset":
		return cpuset(r, l)
	case "pids":
		return pids(r, l)
	case "blkio":
		return blkio(r, l)
	case "hugetlb":
		return hugetlb(r, l)
	case "rdma":
		return rdma(r, l)
	case "net_cls":
		return netCls(r, l)
	case "net_prio":
		return netPrio(r, l)
	}
	return fmt.Errorf("cgroup v1 has no controller %q", controller)
}

func memory(r *specs.LinuxResources, l *limit.List) error {
	m := r.Memory
	n, err := limit.CheckMemory(m)
	if err != nil {
		return err
	}
	swapOrigin := "memory.swap"
	if n.Limit == -1 && n.Swap == 0 {
		// Unlimited memory lifts the swap limit too.
		n.Swap, swapOrigin = -1, "memory.limit"
	}
	if n.Limit > 0 && n.Swap > 0 && n.Swap < n.Limit {
		return limit.Refuse("memory.swap", "memory+swap limit should be >= memory limit")
	}
	if n.Limit != 0 {
		w := l.Add("memory.limit", "memory.limit_in_bytes", strconv.FormatInt(n.Limit, 10))
		w.Again = true // EINVAL while an old swap limit is lower
		if m.CheckBeforeUpdate != nil && *m.CheckBeforeUpdate && n.Limit > 0 {
			w.Floor = "memory.usage_in_bytes"
		}
	}
	if n.Swap != 0 {
		w := l.Add(swapOrigin, "memory.memsw.limit_in_bytes", strconv.FormatInt(n.Swap, 10))
		w.Again = true
		// The file is missing without swap accounting; unlimited is then true anyway.
		w.Optional = n.Swap == -1
	}
	if n.Reservation != 0 {
		l.Add("memory.reservation", "memory.soft_limit_in_bytes", strconv.FormatInt(n.Reservation, 10))
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		l.Add("memory.disableOOMKiller", "memory.oom_control", "1")
	}
	// Engines send the unsigned form of -1 for "leave it".
	if s := m.Swappiness; s != nil && *s != ^uint64(0) {
		if *s > 100 {
			return limit.Refuse("memory.swappiness", "invalid memory swappiness value: %d (valid range is 0-100)", *s)
		}
		l.Add("memory.swappiness", "memory.swappiness", strconv.FormatUint(*s, 10))
	}
	if (m.Kernel != nil && *m.Kernel != 0) || (m.KernelTCP != nil && *m.KernelTCP != 0) {
		l.Warn("memory.kernel", "kernel memory settings are ignored")
	}
	return nil
}

func cpu(r *specs.LinuxResources, l *limit.List) error {
	c := r.CPU
	if err := limit.CheckCPU(c); err != nil {
		return err
	}
	// Real-time bandwidth first: a real-time process cannot join without it.
	// The period may be refused until the runtime is set, and the other way round.
	if c.RealtimePeriod != nil && *c.RealtimePeriod != 0 {
		l.Add("cpu.realtimePeriod", "cpu.rt_period_us", strconv.FormatUint(*c.RealtimePeriod, 10)).Again = true
	}
	if c.RealtimeRuntime != nil && *c.RealtimeRuntime != 0 {
		l.Add("cpu.realtimeRuntime", "cpu.rt_runtime_us", strconv.FormatInt(*c.RealtimeRuntime, 10)).Again = true
	}
	idle := c.Idle != nil && *c.Idle == 1
	if s := c.Shares; s != nil && *s != 0 && !idle {
		switch {
		case *s < limit.MinShares:
			return limit.Refuse("cpu.shares", "the minimum allowed cpu-shares is %d", limit.MinShares)
		case *s > limit.MaxShares:
			return limit.Refuse("cpu.shares", "the maximum allowed cpu-shares is %d", limit.MaxShares)
		}
		l.Add("cpu.shares", "cpu.shares", strconv.FormatUint(*s, 10)).Again = true // refused while idle
	}
	if c.Idle != nil {
		l.Add("cpu.idle", "cpu.idle", strconv.FormatInt(*c.Idle, 10))
	}
	if c.Period != nil && *c.Period != 0 {
		l.Add("cpu.period", "cpu.cfs_period_us", strconv.FormatUint(*c.Period, 10)).Again = true
	}
	if c.Quota != nil && *c.Quota != 0 {
		l.Add("cpu.quota", "cpu.cfs_quota_us", strconv.FormatInt(*c.Quota, 10)).Again = true
	}
	if c.Burst != nil {
		l.Add("cpu.burst", "cpu.cfs_burst_us", strconv.FormatUint(*c.Burst, 10))
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

func hugetlb(r *specs.LinuxResources, l *limit.List) error {
	for i, h := range r.HugepageLimits {
		field := "hugepageLimits[" + strconv.Itoa(i) + "]"
		if err := limit.CheckPageSize(field+".pageSize", h.Pagesize); err != nil {
			return err
		}
		value := strconv.FormatUint(h.Limit, 10)
		l.Add(field, "hugetlb."+h.Pagesize+".limit_in_bytes", value)
		// Reservations are charged apart since Linux 5.7.
		l.Add(field, "hugetlb."+h.Pagesize+".rsvd.limit_in_bytes", value).Optional = true
	}
	return nil
}

func rdma(r *specs.LinuxResources, l *limit.List) error {
	return limit.RDMA(r, l)
}

func netCls(r *specs.LinuxResources, l *limit.List) error {
	if id := r.Network.ClassID; id != nil && *id != 0 {
		l.Add("network.classID", "net_cls.classid", strconv.FormatUint(uint64(*id), 10))
	}
	return nil
}

func netPrio(r *specs.LinuxResources, l *limit.List) error {
	for i, p := range r.Network.Priorities {
		field := "network.priorities[" + strconv.Itoa(i) + "]"
		l.Add(field, "net_prio.ifpriomap", p.Name+" "+strconv.FormatUint(uint64(p.Priority), 10))
	}
	return nil
}
