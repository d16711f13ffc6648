// SPDX-License-Identifier: Apache-2.0

package stats

import "bytes"

// tick is USER_HZ of every architecture that Go has, in nanoseconds.
const tick = 1e9 / 100

const nanosPerMicro = 1000

func cpuacctV1(d *dir, s *Stats) {
	u := &s.CPU.Usage
	u.Total = d.number("cpuacct.usage")
	d.flat("cpuacct.stat", func(key []byte, n uint64) {
		switch string(key) {
		case "user":
			u.User = n * tick
		case "system":
			u.Kernel = n * tick
		}
	})
	var err error
	u.PerCPU, err = parseNumbers(d.read("cpuacct.usage_percpu"))
	d.fail("cpuacct.usage_percpu", err)
	u.PerCPUUser, u.PerCPUKernel, err = parseUsageAll(d.read("cpuacct.usage_all"))
	d.fail("cpuacct.usage_all", err)
}

// parseUsageAll reads cpuacct.usage_all: a heading, and "cpu user system"
// for each CPU, in nanoseconds.
func parseUsageAll(text []byte) (user, kernel []uint64, err error) {
	_, text, _ = bytes.Cut(text, []byte("\n"))
	for line := range bytes.Lines(text) {
		numbers, err := parseNumbers(line)
		if err != nil || len(numbers) < 3 {
			return nil, nil, badLine(bytes.TrimSpace(line))
		}
		user, kernel = append(user, numbers[1]), append(kernel, numbers[2])
	}
	return user, kernel, nil
}

func cpuV1(d *dir, s *Stats) { cpuStat(d, s) }

func cpuV2(d *dir, s *Stats) { cpuStat(d, s) }

// cpuStat reads cpu.stat: v1 has throttling only, in nanoseconds.
func cpuStat(d *dir, s *Stats) {
	usage, throttling := &s.CPU.Usage, &s.CPU.Throttling
	d.flat("cpu.stat", func(key []byte, n uint64) {
		switch string(key) {
		case "usage_usec":
			usage.Total = n * nanosPerMicro
		case "user_usec":
			usage.User = n * nanosPerMicro
		case "system_usec":
			usage.Kernel = n * nanosPerMicro
		case "nr_periods":
			throttling.Periods = n
		case "nr_throttled":
			throttling.ThrottledPeriods = n
		case "throttled_time":
			throttling.ThrottledTime = n
		case "throttled_usec":
			throttling.ThrottledTime = n * nanosPerMicro
		}
	})
}

func cpusetV1(d *dir, s *Stats) {
	c := &s.CPUSet
	c.CPUs = d.list("cpuset.cpus")
	c.Mems = d.list("cpuset.mems")
	c.CPUExclusive = d.number("cpuset.cpu_exclusive")
	c.MemHardwall = d.number("cpuset.mem_hardwall")
	c.MemExclusive = d.number("cpuset.mem_exclusive")
	c.MemoryMigrate = d.number("cpuset.memory_migrate")
	c.MemorySpreadPage = d.number("cpuset.memory_spread_page")
	c.MemorySpreadSlab = d.number("cpuset.memory_spread_slab")
	c.MemoryPressure = d.number("cpuset.memory_pressure")
	c.SchedLoadBalance = d.number("cpuset.sched_load_balance")
	const level = "cpuset.sched_relax_domain_level"
	if text := d.read(level); text != nil {
		var err error
		c.SchedRelaxDomainLevel, err = parseInt(text)
		d.fail(level, err)
	}
}

func cpusetV2(d *dir, s *Stats) {
	s.CPUSet.CPUs = d.list("cpuset.cpus.effective")
	s.CPUSet.Mems = d.list("cpuset.mems.effective")
}

func (d *dir) list(name string) []uint16 {
	list, err := parseList(d.read(name))
	d.fail(name, err)
	return list
}

// pressure reads what v2 has since Linux 4.20, if it was not switched off.
func pressure(d *dir, s *Stats) {
	s.CPU.PSI = d.psi("cpu.pressure")
	s.Memory.PSI = d.psi("memory.pressure")
	s.Blkio.PSI = d.psi("io.pressure")
}

func (d *dir) psi(name string) *PSI {
	text := d.read(name)
	if text == nil {
		return nil
	}
	psi, err := parsePSI(text)
	d.fail(name, err)
	return psi
}
