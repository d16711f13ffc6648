// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"errors"
	"math/bits"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/cgroup/limit"
)

// The versions of systemd that brought properties; its NEWS file.
const (
	sinceDeviceMajor = 240 // char-136 in DeviceAllow=; /dev/char/1:3 need not exist
	sinceQuotaPeriod = 242 // CPUQuotaPeriodSec=
	sinceCPUSets     = 244 // AllowedCPUs=, AllowedMemoryNodes=
	sinceIdle        = 252 // CPUWeight=idle, 0 on the bus
	sinceOOMPolicy   = 253 // OOMPolicy= for scopes
)

// defaultPeriod is the kernel's period of CPU quotas, in microseconds.
const defaultPeriod = 100000

// Resources returns the limits that systemd has a property for, without the
// devices, and warnings. The others, and those that systemd is too old for, are
// left to the files, which are written afterwards in any case. Nothing is set
// that r does not ask for, so that it fits SetUnitProperties as well.
func Resources(r *specs.LinuxResources, h Host) (Properties, []string, error) {
	var p Properties
	var l limit.List // for its warnings
	if r == nil {
		return nil, nil, nil
	}
	if len(r.Unified) > 0 && !h.V2 {
		return nil, nil, limit.Refuse("unified", "invalid configuration: cannot use unified on cgroup v1")
	}
	for _, set := range []func(*specs.LinuxResources, Host, *Properties, *limit.List) error{memory, cpu, pids, blockIO, unified} {
		if err := set(r, h, &p, &l); err != nil {
			return nil, nil, err
		}
	}
	return p, l.Warnings, nil
}

// unlimited is a number of the spec, where -1 is no limit.
func unlimited(n int64) uint64 {
	if n < 0 {
		return infinity
	}
	return uint64(n)
}

func memory(r *specs.LinuxResources, h Host, p *Properties, _ *limit.List) error {
	if r.Memory == nil {
		return nil
	}
	n, err := limit.CheckMemory(r.Memory)
	if err != nil {
		return err
	}
	if !h.V2 {
		// systemd knows neither soft limits nor swap on v1.
		if n.Limit != 0 {
			p.add("memory.limit", "MemoryLimit", unlimited(n.Limit))
		}
		return nil
	}
	if n.Limit != 0 {
		p.add("memory.limit", "MemoryMax", unlimited(n.Limit))
	}
	if n.Reservation != 0 {
		p.add("memory.reservation", "MemoryLow", unlimited(n.Reservation))
	}
	swap, set, err := limit.SwapMax(n.Limit, n.Swap)
	if err != nil || !set {
		return err
	}
	field := "memory.swap"
	if n.Swap == 0 {
		field = "memory.limit" // an unlimited memory lifts the swap limit
	}
	return number(p, field, "MemorySwapMax", swap)
}

func cpu(r *specs.LinuxResources, h Host, p *Properties, _ *limit.List) error {
	c := r.CPU
	if c == nil {
		return nil
	}
	if err := limit.CheckCPU(c); err != nil {
		return err
	}
	idle := c.Idle != nil && *c.Idle == 1
	switch {
	case idle && h.V2 && h.Version >= sinceIdle:
		p.add("cpu.idle", "CPUWeight", uint64(0))
	case idle, c.Shares == nil, *c.Shares == 0:
	case h.V2:
		p.add("cpu.shares", "CPUWeight", limit.CPUWeight(*c.Shares))
	case *c.Shares < limit.MinShares:
		return limit.Refuse("cpu.shares", "the minimum allowed cpu-shares is %d", limit.MinShares)
	case *c.Shares > limit.MaxShares:
		return limit.Refuse("cpu.shares", "the maximum allowed cpu-shares is %d", limit.MaxShares)
	default:
		p.add("cpu.shares", "CPUShares", *c.Shares)
	}
	quota(p, "cpu.quota", "cpu.period", value(c.Quota), value(c.Period), h)
	if !h.V2 || h.Version < sinceCPUSets {
		return nil // AllowedCPUs= has no effect on v1
	}
	if c.Cpus != "" {
		if err := cpuset(p, "cpu.cpus", "AllowedCPUs", c.Cpus); err != nil {
			return err
		}
	}
	if c.Mems != "" {
		return cpuset(p, "cpu.mems", "AllowedMemoryNodes", c.Mems)
	}
	return nil
}

// value is what n points to, or 0, which is unset for quotas and periods.
func value[T any](n *T) T {
	if n == nil {
		return *new(T)
	}
	return *n
}

// quota sets the CPU time per period, both in microseconds. systemd has it per
// second, and writes it to its own files in whole percents: so it is rounded up
// to the next 10 ms. 0 and less is no limit; without a quota and a period
// nothing is set.
func quota(p *Properties, quotaField, periodField string, quota int64, period uint64, h Host) {
	if period != 0 && h.Version >= sinceQuotaPeriod {
		p.add(periodField, "CPUQuotaPeriodUSec", period)
	}
	field := quotaField
	if quota == 0 {
		if period == 0 {
			return
		}
		field = periodField
	}
	perSecond := infinity
	if quota > 0 {
		if period == 0 {
			period = defaultPeriod
		}
		perSecond = perSecondOf(uint64(quota), period)
	}
	p.add(field, "CPUQuotaPerSecUSec", perSecond)
}

func perSecondOf(quota, period uint64) uint64 {
	high, low := bits.Mul64(quota, microseconds)
	if high >= period {
		return infinity // more CPUs than there can be
	}
	n, _ := bits.Div64(high, low, period)
	const percent = microseconds / 100
	if n > infinity-percent {
		return infinity
	}
	return max(1, (n+percent-1)/percent) * percent
}

func pids(r *specs.LinuxResources, _ Host, p *Properties, _ *limit.List) error {
	if r.Pids == nil || r.Pids.Limit == nil {
		return nil
	}
	return number(p, "pids.limit", "TasksMax", limit.PIDsMax(*r.Pids.Limit))
}

func blockIO(r *specs.LinuxResources, h Host, p *Properties, l *limit.List) error {
	if r.BlockIO == nil {
		return nil
	}
	w := value(r.BlockIO.Weight)
	switch {
	case w == 0:
	case h.V2:
		p.add("blockIO.weight", "IOWeight", min(limit.IOWeight(w), 10000))
	case w < 10 || w > 1000:
		// The kernel may take it: BFQ begins at 1.
		l.Warn("blockIO.weight", "not given to systemd, which takes 10 to 1000")
	default:
		p.add("blockIO.weight", "BlockIOWeight", uint64(w))
	}
	return nil
}

// number sets a property from what cgroup v2 takes: a number or "max".
func number(p *Properties, field, name, s string) error {
	if s == "max" {
		p.add(field, name, infinity)
		return nil
	}
	n, err := parseSize(s)
	if err != nil {
		return limit.Refuse(field, "invalid number %q", s)
	}
	p.add(field, name, n)
	return nil
}

// parseSize parses a number as memparse of the kernel does, in decimal: "512M".
func parseSize(s string) (uint64, error) {
	shift := 0
	if s != "" {
		if i := strings.IndexByte("KMGTPE", s[len(s)-1]&^0x20); i >= 0 {
			shift, s = 10*(i+1), s[:len(s)-1]
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, err
	}
	if bits.Len64(n)+shift > 64 {
		return 0, strconv.ErrRange
	}
	return n << shift, nil
}

// maxCPU is above what any kernel can be built for (8192 CPUs, 1024 nodes). It
// keeps a wrong list from becoming a bitmap of half a gigabyte.
const maxCPU = 1<<16 - 1

func cpuset(p *Properties, field, name, list string) error {
	mask, err := bitmap(list)
	if err != nil {
		return limit.Refuse(field, "invalid list %q: %v", list, err)
	}
	p.add(field, name, mask)
	return nil
}

// bitmap turns a list of CPUs or nodes into what systemd takes, a bit for each
// and the lowest byte first. The list is in the kernel's format, cpuset(7):
// "0-3,5", and "0-31:2/8" is the first two of each eight.
func bitmap(list string) ([]byte, error) {
	var mask []byte
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue // the kernel takes extra commas
		}
		span, group, grouped := strings.Cut(part, ":")
		first, last, isRange := strings.Cut(span, "-")
		if !isRange {
			last = first
		}
		used, size := "1", "1"
		if grouped {
			var ok bool
			if used, size, ok = strings.Cut(group, "/"); !ok {
				return nil, errors.New("a group is written as used/size")
			}
		}
		var n [4]int
		for i, s := range []string{first, last, used, size} {
			x, err := strconv.ParseUint(s, 10, 16)
			if err != nil {
				return nil, errors.New("not a number up to " + strconv.Itoa(maxCPU) + ": " + strconv.Quote(s))
			}
			n[i] = int(x)
		}
		if n[0] > n[1] || n[3] == 0 || n[2] > n[3] {
			return nil, errors.New("not a range: " + strconv.Quote(part))
		}
		for i := n[0]; i <= n[1]; i++ {
			if (i-n[0])%n[3] >= n[2] {
				continue
			}
			if missing := i/8 + 1 - len(mask); missing > 0 {
				mask = append(mask, make([]byte, missing)...)
			}
			mask[i/8] |= 1 << (i % 8)
		}
	}
	if len(mask) == 0 {
		return nil, errors.New("it is empty")
	}
	return mask, nil
}
