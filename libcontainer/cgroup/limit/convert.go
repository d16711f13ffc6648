// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"math"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// The kernel's range of cpu.shares; others are clamped by it.
const (
	MinShares = 2
	MaxShares = 262144
)

// CPUWeight converts cpu.shares to cpu.weight so that the defaults and both
// ends meet: 2 is 1, 1024 is 100, 262144 is 10000. It is the quadratic formula
// that all runtimes moved to in 2025; 0 means unset and stays 0.
func CPUWeight(shares uint64) uint64 {
	switch {
	case shares == 0:
		return 0
	case shares <= MinShares:
		return 1
	case shares >= MaxShares:
		return 10000
	}
	l := math.Log2(float64(shares))
	exponent := (l*l+125*l)/612.0 - 7.0/34.0
	return uint64(math.Ceil(math.Pow(10, exponent)))
}

// IOWeight converts a blkio weight (10–1000) to an io.weight (1–10000).
func IOWeight(blkio uint16) uint64 {
	if blkio < 10 {
		return 1
	}
	return 1 + (uint64(blkio)-10)*9999/990
}

// V2Number prints a limit as cgroup v2 does: "" for 0, "max" for -1.
func V2Number(n int64) string {
	switch n {
	case 0:
		return ""
	case -1:
		return "max"
	}
	return strconv.FormatInt(n, 10)
}

// SwapMax converts memory+swap, as the spec has it, to memory.swap.max, which
// is swap alone. set is false when nothing is to be written.
func SwapMax(memory, memorySwap int64) (value string, set bool, err error) {
	switch {
	case memory == -1 && memorySwap == 0:
		// Unlimited memory lifts the swap limit too, as on v1.
		return "max", true, nil
	case memorySwap == 0:
		return "", false, nil
	case memorySwap == -1:
		return "max", true, nil
	case memory == 0 || memory == -1:
		return "", false, Refuse("memory.swap", "unable to set swap limit without memory limit")
	case memorySwap < memory:
		return "", false, Refuse("memory.swap", "memory+swap limit should be >= memory limit")
	}
	return strconv.FormatInt(memorySwap-memory, 10), true, nil
}

// Memory are the numbers of linux.resources.memory; 0 is unset.
type Memory struct {
	Limit, Reservation, Swap int64
}

// CheckMemory returns the numbers of m, or an error for one that no kernel takes.
func CheckMemory(m *specs.LinuxMemory) (Memory, error) {
	var n Memory
	for _, f := range []struct {
		name string
		from *int64
		to   *int64
	}{
		{"memory.limit", m.Limit, &n.Limit},
		{"memory.reservation", m.Reservation, &n.Reservation},
		{"memory.swap", m.Swap, &n.Swap},
	} {
		if f.from == nil {
			continue
		}
		if *f.from < -1 {
			return n, Refuse(f.name, "invalid value %d: must be -1 or more", *f.from)
		}
		*f.to = *f.from
	}
	return n, nil
}

// PIDsMax prints linux.resources.pids.limit: 0 is 1, because the kernel would
// refuse even the first fork of a 0 that the user did not mean as unlimited.
func PIDsMax(n int64) string {
	switch {
	case n > 0:
		return strconv.FormatInt(n, 10)
	case n == 0:
		return "1"
	}
	return "max"
}

// CheckPageSize refuses a hugetlb page size that is not spelled as the kernel
// spells it: "64KB", "2MB", "1GB".
func CheckPageSize(field, size string) error {
	n := len(size)
	if n < 3 || size[n-1] != 'B' || (size[n-2] != 'K' && size[n-2] != 'M' && size[n-2] != 'G') {
		return Refuse(field, "invalid page size %q: must be like 64KB, 2MB or 1GB", size)
	}
	if v, err := strconv.ParseUint(size[:n-2], 10, 32); err != nil || v == 0 || size[0] == '+' {
		return Refuse(field, "invalid page size %q: must be like 64KB, 2MB or 1GB", size)
	}
	return nil
}

// CheckCPUSet refuses a cpuset list with characters the kernel's list format
// does not have, so that the field can be named.
func CheckCPUSet(field, list string) error {
	for _, c := range []byte(list) {
		if (c < '0' || c > '9') && c != ',' && c != '-' && c != ':' && c != '/' && c != ' ' && c != '\n' {
			return Refuse(field, "invalid list %q", list)
		}
	}
	return nil
}

// CheckCPU refuses CPU numbers that no kernel takes.
func CheckCPU(c *specs.LinuxCPU) error {
	if c.Quota != nil && *c.Quota < -1 {
		return Refuse("cpu.quota", "invalid value %d: must be -1 or more", *c.Quota)
	}
	if c.Idle != nil && *c.Idle != 0 && *c.Idle != 1 {
		return Refuse("cpu.idle", "invalid value %d: must be 0 or 1", *c.Idle)
	}
	if c.Burst != nil && c.Quota != nil && *c.Quota > 0 && *c.Burst > uint64(*c.Quota) {
		return Refuse("cpu.burst", "burst %d is larger than the quota %d", *c.Burst, *c.Quota)
	}
	if err := CheckCPUSet("cpu.cpus", c.Cpus); err != nil {
		return err
	}
	return CheckCPUSet("cpu.mems", c.Mems)
}

// DeviceNumber prints "major:minor" of a block device, or refuses it.
func DeviceNumber(field string, d specs.LinuxBlockIODevice) (string, error) {
	if d.Major < 0 || d.Minor < 0 || d.Major > math.MaxUint32 || d.Minor > math.MaxUint32 {
		return "", Refuse(field, "invalid device number %d:%d", d.Major, d.Minor)
	}
	return strconv.FormatInt(d.Major, 10) + ":" + strconv.FormatInt(d.Minor, 10), nil
}
