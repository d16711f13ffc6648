// SPDX-License-Identifier: Apache-2.0

package stats

// Unlimited is a limit that is not set: "max" on v2. An unset memory limit of
// v1 is what the kernel says, the largest page-aligned int64; one of pids is 0.
const Unlimited = ^uint64(0)

// Stats are the statistics of one cgroup and all below it. The JSON is that of
// runc's types/events.go; rdma, misc and memory.events are ours.
type Stats struct {
	CPU     CPU                `json:"cpu"`
	CPUSet  CPUSet             `json:"cpuset"`
	Memory  Memory             `json:"memory"`
	Pids    Pids               `json:"pids"`
	Blkio   Blkio              `json:"blkio"`
	Hugetlb map[string]Hugetlb `json:"hugetlb"` // by page size: "2MB"
	RDMA    *RDMA              `json:"rdma,omitempty"`
	Misc    map[string]Misc    `json:"misc,omitempty"` // by resource: "sev"
}

// CPU is about processor time.
type CPU struct {
	Usage      CPUUsage   `json:"usage"`
	Throttling Throttling `json:"throttling"`
	PSI        *PSI       `json:"psi,omitempty"`
}

// CPUUsage is in nanoseconds since the cgroup was made. The kernel gives Kernel
// and User of v1 in ticks of 10 ms; v2 has nothing per CPU.
type CPUUsage struct {
	Total        uint64   `json:"total,omitempty"`
	PerCPU       []uint64 `json:"percpu,omitempty"`
	PerCPUKernel []uint64 `json:"percpu_kernel,omitempty"`
	PerCPUUser   []uint64 `json:"percpu_user,omitempty"`
	Kernel       uint64   `json:"kernel"`
	User         uint64   `json:"user"`
}

// Throttling counts periods of the CPU quota, and those in which it was used
// up; ThrottledTime is in nanoseconds.
type Throttling struct {
	Periods          uint64 `json:"periods,omitempty"`
	ThrottledPeriods uint64 `json:"throttledPeriods,omitempty"`
	ThrottledTime    uint64 `json:"throttledTime,omitempty"`
}

// CPUSet is where the cgroup may run and allocate. On v2 CPUs and Mems are the
// effective ones, as unset ones are empty there, and the flags do not exist.
type CPUSet struct {
	CPUs                  []uint16 `json:"cpus,omitempty"`
	CPUExclusive          uint64   `json:"cpu_exclusive"`
	Mems                  []uint16 `json:"mems,omitempty"`
	MemHardwall           uint64   `json:"mem_hardwall"`
	MemExclusive          uint64   `json:"mem_exclusive"`
	MemoryMigrate         uint64   `json:"memory_migrate"`
	MemorySpreadPage      uint64   `json:"memory_spread_page"`
	MemorySpreadSlab      uint64   `json:"memory_spread_slab"`
	MemoryPressure        uint64   `json:"memory_pressure"`
	SchedLoadBalance      uint64   `json:"sched_load_balance"`
	SchedRelaxDomainLevel int64    `json:"sched_relax_domain_level"`
}

// Memory is in bytes. Swap is memory and swap together, as v1 counts it.
type Memory struct {
	Cache     uint64            `json:"cache,omitempty"`
	Usage     MemoryEntry       `json:"usage"`
	Swap      MemoryEntry       `json:"swap"`
	Kernel    MemoryEntry       `json:"kernel"`
	KernelTCP MemoryEntry       `json:"kernelTCP"`
	Raw       map[string]uint64 `json:"raw,omitempty"` // memory.stat
	Events    *MemoryEvents     `json:"events,omitempty"`
	PSI       *PSI              `json:"psi,omitempty"`
}

// MemoryEntry is one kind of memory; Failcnt is how often Limit was met.
type MemoryEntry struct {
	Limit   uint64 `json:"limit"`
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"` // the highest Usage so far
	Failcnt uint64 `json:"failcnt"`
}

// MemoryEvents is memory.events; v1 has OOMKill only.
type MemoryEvents struct {
	Low          uint64 `json:"low,omitempty"`
	High         uint64 `json:"high,omitempty"`
	Max          uint64 `json:"max,omitempty"`
	OOM          uint64 `json:"oom,omitempty"`
	OOMKill      uint64 `json:"oom_kill"`
	OOMGroupKill uint64 `json:"oom_group_kill,omitempty"`
}

// Pids counts processes and threads. Limit 0 is none.
type Pids struct {
	Current uint64 `json:"current,omitempty"`
	Limit   uint64 `json:"limit,omitempty"`
}

// Hugetlb is about huge pages of one size, in bytes: reservations where the
// kernel counts them (Linux 5.7), else pages that were touched. Max is v1's.
type Hugetlb struct {
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

// Blkio is about block devices: bytes and operations, and with BFQ's debug
// statistics (v1) times in nanoseconds.
type Blkio struct {
	IOServiceBytesRecursive []BlkioEntry `json:"ioServiceBytesRecursive,omitempty"`
	IOServicedRecursive     []BlkioEntry `json:"ioServicedRecursive,omitempty"`
	IOQueuedRecursive       []BlkioEntry `json:"ioQueueRecursive,omitempty"`
	IOServiceTimeRecursive  []BlkioEntry `json:"ioServiceTimeRecursive,omitempty"`
	IOWaitTimeRecursive     []BlkioEntry `json:"ioWaitTimeRecursive,omitempty"`
	IOMergedRecursive       []BlkioEntry `json:"ioMergedRecursive,omitempty"`
	IOTimeRecursive         []BlkioEntry `json:"ioTimeRecursive,omitempty"`
	SectorsRecursive        []BlkioEntry `json:"sectorsRecursive,omitempty"`
	PSI                     *PSI         `json:"psi,omitempty"`
}

// BlkioEntry is one number of one device. Op is "Read", "Write", "Sync",
// "Async", "Discard" or their "Total"; v2 gives the first two.
type BlkioEntry struct {
	Major uint64 `json:"major,omitempty"`
	Minor uint64 `json:"minor,omitempty"`
	Op    string `json:"op,omitempty"`
	Value uint64 `json:"value,omitempty"`
}

// PSI is pressure: the share of time that some, or all, processes waited.
type PSI struct {
	Some PSIData `json:"some"`
	Full PSIData `json:"full"`
}

// PSIData has averages in percent over 10, 60 and 300 seconds, and the total in
// microseconds.
type PSIData struct {
	Avg10  float64 `json:"avg10"`
	Avg60  float64 `json:"avg60"`
	Avg300 float64 `json:"avg300"`
	Total  uint64  `json:"total"`
}

// RDMA has one entry per device.
type RDMA struct {
	Current []RDMAEntry `json:"current,omitempty"`
	Limit   []RDMAEntry `json:"limit,omitempty"`
}

// RDMAEntry is one device's handles and objects, Unlimited for "max".
type RDMAEntry struct {
	Device    string `json:"device"`
	HCAHandle uint64 `json:"hca_handle"`
	HCAObject uint64 `json:"hca_object"`
}

// Misc is one resource of the misc controller; Events is how often Limit was
// met.
type Misc struct {
	Usage  uint64 `json:"usage"`
	Limit  uint64 `json:"limit,omitempty"`
	Events uint64 `json:"events,omitempty"`
}
