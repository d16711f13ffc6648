// SPDX-License-Identifier: Apache-2.0

package stats

import "time"

// Percent is the CPU time since an earlier look, spent ago: 100 is one CPU all
// the time.
func (u CPUUsage) Percent(before CPUUsage, spent time.Duration) float64 {
	if spent <= 0 || u.Total <= before.Total { // as good as no time, or another cgroup
		return 0
	}
	return 100 * float64(u.Total-before.Total) / float64(spent)
}

// Percent is the share of periods since an earlier look in which the quota was
// used up.
func (t Throttling) Percent(before Throttling) float64 {
	if t.Periods <= before.Periods || t.ThrottledPeriods <= before.ThrottledPeriods {
		return 0
	}
	return 100 * float64(t.ThrottledPeriods-before.ThrottledPeriods) / float64(t.Periods-before.Periods)
}

// WorkingSet is the memory in use without the page cache that is given back
// first when memory gets short: what Docker and Kubernetes show.
func (m *Memory) WorkingSet() uint64 {
	inactive, ok := m.Raw["total_inactive_file"] // v1, with the cgroups below
	if !ok {
		inactive = m.Raw["inactive_file"]
	}
	return m.Usage.Usage - min(inactive, m.Usage.Usage)
}

// Bytes is what was read from and written to all devices.
func (b *Blkio) Bytes() (read, written uint64) {
	for _, e := range b.IOServiceBytesRecursive {
		switch e.Op {
		case "Read":
			read += e.Value
		case "Write":
			written += e.Value
		}
	}
	return read, written
}
