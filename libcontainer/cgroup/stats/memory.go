// SPDX-License-Identifier: Apache-2.0

package stats

import "bytes"

func memoryV1(d *dir, s *Stats) {
	m := &s.Memory
	m.Raw = d.memoryStat()
	m.Cache = m.Raw["cache"]
	m.Usage = d.entryV1("memory.")
	m.Swap = d.entryV1("memory.memsw.")
	m.Kernel = d.entryV1("memory.kmem.") // its limit is gone since Linux 6.2
	m.KernelTCP = d.entryV1("memory.kmem.tcp.")
	// oom_kill is there since Linux 4.13.
	var events MemoryEvents
	if d.flat("memory.oom_control", events.set) {
		m.Events = &events
	}
}

func (d *dir) entryV1(prefix string) MemoryEntry {
	usage, ok := d.counter(prefix + "usage_in_bytes")
	if !ok { // a kernel without swap or kernel accounting
		return MemoryEntry{}
	}
	return MemoryEntry{
		Limit:   d.number(prefix + "limit_in_bytes"),
		Usage:   usage,
		Max:     d.number(prefix + "max_usage_in_bytes"),
		Failcnt: d.number(prefix + "failcnt"),
	}
}

// memoryStat reads memory.stat, whose lines differ from kernel to kernel.
func (d *dir) memoryStat() map[string]uint64 {
	text := d.read("memory.stat")
	if text == nil {
		return nil
	}
	raw := make(map[string]uint64, bytes.Count(text, []byte("\n")))
	d.fail("memory.stat", parseFlat(text, func(key []byte, n uint64) { raw[string(key)] = n }))
	return raw
}

func memoryV2(d *dir, s *Stats) {
	m := &s.Memory
	m.Raw = d.memoryStat()
	m.Cache = m.Raw["file"]
	var events MemoryEvents
	if d.flat("memory.events", events.set) {
		m.Events = &events
	}
	usage, ok := d.counter("memory.current")
	if !ok { // the controller is off, or this is the root
		return
	}
	m.Usage = MemoryEntry{
		Limit:   d.number("memory.max"),
		Usage:   usage,
		Max:     d.number("memory.peak"), // Linux 5.19
		Failcnt: events.Max,
	}
	m.Swap = withSwap(m.Usage, MemoryEntry{
		Limit: d.number("memory.swap.max"),
		Usage: d.number("memory.swap.current"),
	})
}

// withSwap adds up v2's counters of memory and swap to v1's of both. There is
// no common maximum, as the two need not have been reached at once.
func withSwap(memory, swap MemoryEntry) MemoryEntry {
	both := MemoryEntry{Usage: memory.Usage + swap.Usage, Limit: memory.Limit + swap.Limit}
	if both.Limit < memory.Limit { // one is Unlimited, and so is the sum
		both.Limit = Unlimited
	}
	return both
}

// set takes a line of memory.events or memory.oom_control.
func (e *MemoryEvents) set(key []byte, n uint64) {
	switch string(key) {
	case "low":
		e.Low = n
	case "high":
		e.High = n
	case "max":
		e.Max = n
	case "oom":
		e.OOM = n
	case "oom_kill":
		e.OOMKill = n
	case "oom_group_kill":
		e.OOMGroupKill = n
	}
}
