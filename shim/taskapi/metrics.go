// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"context"
	"fmt"
	"maps"
	"slices"

	v1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	v2 "github.com/containerd/cgroups/v3/cgroup2/stats"
	task "github.com/containerd/containerd/api/runtime/task/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"berth/libcontainer/cgroup"
	"berth/libcontainer/cgroup/stats"
	"berth/shim/supervise"
)

// Stats reads the cgroup of init, whichever runtime made it.
func (s *Service) Stats(_ context.Context, r *task.StatsRequest) (*task.StatsResponse, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	x, err := c.Exit("")
	if err != nil {
		return nil, err
	}
	if state := c.Task.State(""); state == supervise.Stopped || state == supervise.Deleting {
		return nil, fmt.Errorf("the cgroup of a stopped container: %w", supervise.ErrNotFound)
	}
	dirs, err := cgroup.DirsOf(x.Pid)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, supervise.ErrNotFound)
	}
	read, err := stats.Read(dirs)
	if err != nil {
		return nil, err
	}
	var m proto.Message
	if len(dirs.V1) == 0 {
		m = metricsV2(read)
	} else {
		m = metricsV1(read)
	}
	any, err := anyOf(m)
	return &task.StatsResponse{Stats: any}, err
}

// fillRaw sets the fields that have the name of a line of memory.stat.
func fillRaw(m proto.Message, raw map[string]uint64) {
	r := m.ProtoReflect()
	fields := r.Descriptor().Fields()
	for name, n := range raw {
		if f := fields.ByName(protoreflect.Name(name)); f != nil && f.Kind() == protoreflect.Uint64Kind {
			r.Set(f, protoreflect.ValueOfUint64(n))
		}
	}
}

func metricsV1(s *stats.Stats) *v1.Metrics {
	m := &v1.Metrics{
		Pids: &v1.PidsStat{Current: s.Pids.Current, Limit: s.Pids.Limit},
		CPU: &v1.CPUStat{
			Usage:      &v1.CPUUsage{Total: s.CPU.Usage.Total, Kernel: s.CPU.Usage.Kernel, User: s.CPU.Usage.User, PerCPU: s.CPU.Usage.PerCPU},
			Throttling: &v1.Throttle{Periods: s.CPU.Throttling.Periods, ThrottledPeriods: s.CPU.Throttling.ThrottledPeriods, ThrottledTime: s.CPU.Throttling.ThrottledTime},
		},
		Memory: &v1.MemoryStat{
			Usage: entryV1(s.Memory.Usage), Swap: entryV1(s.Memory.Swap), Kernel: entryV1(s.Memory.Kernel), KernelTCP: entryV1(s.Memory.KernelTCP),
		},
		Blkio: &v1.BlkIOStat{
			IoServiceBytesRecursive: blkioV1(s.Blkio.IOServiceBytesRecursive), IoServicedRecursive: blkioV1(s.Blkio.IOServicedRecursive),
			IoQueuedRecursive: blkioV1(s.Blkio.IOQueuedRecursive), IoServiceTimeRecursive: blkioV1(s.Blkio.IOServiceTimeRecursive),
			IoWaitTimeRecursive: blkioV1(s.Blkio.IOWaitTimeRecursive), IoMergedRecursive: blkioV1(s.Blkio.IOMergedRecursive),
			IoTimeRecursive: blkioV1(s.Blkio.IOTimeRecursive), SectorsRecursive: blkioV1(s.Blkio.SectorsRecursive),
		},
	}
	fillRaw(m.Memory, s.Memory.Raw)
	if e := s.Memory.Events; e != nil {
		m.MemoryOomControl = &v1.MemoryOomControl{OomKill: e.OOMKill}
	}
	for _, size := range slices.Sorted(maps.Keys(s.Hugetlb)) {
		h := s.Hugetlb[size]
		m.Hugetlb = append(m.Hugetlb, &v1.HugetlbStat{Usage: h.Usage, Max: h.Max, Failcnt: h.Failcnt, Pagesize: size})
	}
	if s.RDMA != nil {
		m.Rdma = &v1.RdmaStat{}
		for _, e := range s.RDMA.Current {
			m.Rdma.Current = append(m.Rdma.Current, &v1.RdmaEntry{Device: e.Device, HcaHandles: clamp(e.HCAHandle), HcaObjects: clamp(e.HCAObject)})
		}
		for _, e := range s.RDMA.Limit {
			m.Rdma.Limit = append(m.Rdma.Limit, &v1.RdmaEntry{Device: e.Device, HcaHandles: clamp(e.HCAHandle), HcaObjects: clamp(e.HCAObject)})
		}
	}
	return m
}

// clamp is for fields that are 32 bits wide; "max" becomes their greatest value.
func clamp(n uint64) uint32 { return uint32(min(n, 1<<32-1)) }

func entryV1(e stats.MemoryEntry) *v1.MemoryEntry {
	return &v1.MemoryEntry{Limit: e.Limit, Usage: e.Usage, Max: e.Max, Failcnt: e.Failcnt}
}

func blkioV1(list []stats.BlkioEntry) []*v1.BlkIOEntry {
	out := make([]*v1.BlkIOEntry, 0, len(list))
	for _, e := range list {
		out = append(out, &v1.BlkIOEntry{Op: e.Op, Major: e.Major, Minor: e.Minor, Value: e.Value})
	}
	return out
}

func metricsV2(s *stats.Stats) *v2.Metrics {
	const usec = 1000 // in ns
	m := &v2.Metrics{
		Pids: &v2.PidsStat{Current: s.Pids.Current, Limit: s.Pids.Limit},
		CPU: &v2.CPUStat{
			UsageUsec: s.CPU.Usage.Total / usec, UserUsec: s.CPU.Usage.User / usec, SystemUsec: s.CPU.Usage.Kernel / usec,
			NrPeriods: s.CPU.Throttling.Periods, NrThrottled: s.CPU.Throttling.ThrottledPeriods, ThrottledUsec: s.CPU.Throttling.ThrottledTime / usec,
			PSI: pressure(s.CPU.PSI),
		},
		Memory: &v2.MemoryStat{},
		Io:     &v2.IOStat{Usage: ioV2(s.Blkio), PSI: pressure(s.Blkio.PSI)},
	}
	fillRaw(m.Memory, s.Memory.Raw)
	mem := m.Memory
	mem.Usage, mem.UsageLimit, mem.MaxUsage = s.Memory.Usage.Usage, s.Memory.Usage.Limit, s.Memory.Usage.Max
	// Ours are of memory and swap together, as v1 counts; containerd's are not.
	mem.SwapUsage = s.Memory.Swap.Usage - min(s.Memory.Swap.Usage, s.Memory.Usage.Usage)
	mem.SwapLimit = s.Memory.Swap.Limit
	if s.Memory.Swap.Limit != stats.Unlimited {
		mem.SwapLimit -= min(s.Memory.Swap.Limit, s.Memory.Usage.Limit)
	}
	mem.PSI = pressure(s.Memory.PSI)
	if e := s.Memory.Events; e != nil {
		m.MemoryEvents = &v2.MemoryEvents{Low: e.Low, High: e.High, Max: e.Max, Oom: e.OOM, OomKill: e.OOMKill, OomGroupKill: e.OOMGroupKill}
	}
	for _, size := range slices.Sorted(maps.Keys(s.Hugetlb)) {
		h := s.Hugetlb[size]
		m.Hugetlb = append(m.Hugetlb, &v2.HugeTlbStat{Current: h.Usage, Max: h.Max, Failcnt: h.Failcnt, Pagesize: size})
	}
	if s.RDMA != nil {
		m.Rdma = &v2.RdmaStat{}
		for _, e := range s.RDMA.Current {
			m.Rdma.Current = append(m.Rdma.Current, &v2.RdmaEntry{Device: e.Device, HcaHandles: clamp(e.HCAHandle), HcaObjects: clamp(e.HCAObject)})
		}
		for _, e := range s.RDMA.Limit {
			m.Rdma.Limit = append(m.Rdma.Limit, &v2.RdmaEntry{Device: e.Device, HcaHandles: clamp(e.HCAHandle), HcaObjects: clamp(e.HCAObject)})
		}
	}
	return m
}

func pressure(p *stats.PSI) *v2.PSIStats {
	if p == nil {
		return nil
	}
	one := func(d stats.PSIData) *v2.PSIData {
		return &v2.PSIData{Avg10: d.Avg10, Avg60: d.Avg60, Avg300: d.Avg300, Total: d.Total}
	}
	return &v2.PSIStats{Some: one(p.Some), Full: one(p.Full)}
}

// ioV2 puts the numbers of a device into one entry.
func ioV2(b stats.Blkio) []*v2.IOEntry {
	var list []*v2.IOEntry
	find := func(e stats.BlkioEntry) *v2.IOEntry {
		for _, x := range list {
			if x.Major == e.Major && x.Minor == e.Minor {
				return x
			}
		}
		list = append(list, &v2.IOEntry{Major: e.Major, Minor: e.Minor})
		return list[len(list)-1]
	}
	for _, e := range b.IOServiceBytesRecursive {
		switch e.Op {
		case "Read":
			find(e).Rbytes = e.Value
		case "Write":
			find(e).Wbytes = e.Value
		}
	}
	for _, e := range b.IOServicedRecursive {
		switch e.Op {
		case "Read":
			find(e).Rios = e.Value
		case "Write":
			find(e).Wios = e.Value
		}
	}
	return list
}
