// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/libcontainer/cgroup/limit"
)

// Change is a write of an update, with what its file holds before.
type Change struct {
	Write Write
	Path  string
	// Old is the value to write to undo it; Known says that there is one.
	Old   string
	Known bool
}

// String is a line of `update --dry-run`.
func (c Change) String() string {
	old := c.Old
	switch {
	case !c.Known:
		old = "(unset)"
	case c.Old == c.Write.Value:
		return fmt.Sprintf("%s: %s (unchanged)  # %s", c.Path, c.Old, c.Write.Origin)
	case old == "":
		old = "(empty)"
	}
	return fmt.Sprintf("%s: %s → %s  # %s", c.Path, old, c.Write.Value, c.Write.Origin)
}

// Complete returns r with the halves that the caller left out, where one file
// holds both: on v2 the period of a quota, and memory beside memory+swap. The
// kernel is asked, since others may have changed them since.
func (m *Manager) Complete(r *specs.LinuxResources) *specs.LinuxResources {
	if m.paths.V2 == nil || len(m.paths.V1) > 0 {
		return r
	}
	read := func(file string) string {
		s, err := readFile(m.paths.V2.Path, file)
		if err != nil {
			return "" // no such controller: the write will say so
		}
		return strings.TrimSpace(s)
	}
	out := *r
	if r.CPU != nil {
		out.CPU = completeCPU(*r.CPU, read("cpu.max"))
	}
	if r.Memory != nil {
		out.Memory = completeMemory(*r.Memory, read("memory.max"), read("memory.swap.max"))
	}
	return &out
}

// completeCPU takes cpu.max: "max 100000", "50000 100000".
func completeCPU(c specs.LinuxCPU, now string) *specs.LinuxCPU {
	q, p, _ := strings.Cut(now, " ")
	hasQuota, hasPeriod := c.Quota != nil && *c.Quota != 0, c.Period != nil && *c.Period != 0
	if period, err := strconv.ParseUint(p, 10, 64); err == nil && hasQuota && !hasPeriod {
		c.Period = &period
	}
	if quota, err := strconv.ParseInt(q, 10, 64); err == nil && hasPeriod && !hasQuota {
		c.Quota = &quota
	}
	return &c
}

// completeMemory takes memory.max and memory.swap.max, which is swap alone.
func completeMemory(c specs.LinuxMemory, memory, swap string) *specs.LinuxMemory {
	limited, err := strconv.ParseInt(memory, 10, 64)
	if err != nil {
		return &c // no limit so far: nothing to count with
	}
	hasLimit, hasSwap := c.Limit != nil && *c.Limit != 0, c.Swap != nil && *c.Swap != 0
	if hasSwap && *c.Swap > 0 && !hasLimit {
		c.Limit = &limited
	}
	if only, err := strconv.ParseInt(swap, 10, 64); err == nil && hasLimit && *c.Limit > 0 && !hasSwap {
		sum := *c.Limit // no swap stays no swap
		if only > 0 {
			sum = limited + min(only, math.MaxInt64-limited)
		}
		c.Swap = &sum
	}
	return &c
}

// Changes says what writes would change. A missing file is an error.
func (m *Manager) Changes(writes Writes) ([]Change, error) {
	changes := make([]Change, 0, len(writes))
	for _, w := range writes {
		d, ok := m.dirFor(w)
		if !ok {
			return nil, fmt.Errorf("%s: cannot set %s limit: no cgroup hierarchy has this controller", w.Origin, w.Controller)
		}
		content, err := readFile(d.Path, w.File)
		for _, e := range w.Else {
			if !errors.Is(err, unix.ENOENT) {
				break
			}
			if content, err = readFile(d.Path, e.File); err == nil {
				w.File, w.Value, w.Else = e.File, e.Value, nil
			}
		}
		path := filepath.Join(d.Path, w.File)
		if err != nil {
			if err = m.explain(d, w, path, err); err != nil {
				return nil, err
			}
			continue // optional
		}
		c := Change{Write: w, Path: path}
		c.Old, c.Known = limit.Previous(w, content)
		changes = append(changes, c)
	}
	return changes, nil
}

// DeviceChange says what an update does to the device rules.
type DeviceChange int

// The device rules stay as they are, are known to allow everything and stay so,
// or are replaced by those of the limits.
const (
	KeepDevices DeviceChange = iota
	KeepAllDevices
	ReplaceDevices
)

// Update sets the limits of a cgroup in use, or when one fails, writes back
// what was there. r is what l was compiled from, for systemd.
func (m *Manager) Update(r *specs.LinuxResources, l Limits, devices DeviceChange) error {
	changes, err := m.Changes(l.Writes)
	if err != nil {
		return err
	}
	if err := m.update(r, l, devices); err != nil {
		return errors.Join(err, m.restore(changes))
	}
	return nil
}

func (m *Manager) update(r *specs.LinuxResources, l Limits, devices DeviceChange) error {
	if err := m.write(l.Writes); err != nil {
		return err
	}
	if m.paths.Unit != nil {
		if err := m.updateUnit(r, l, devices); err != nil {
			return err
		}
		// systemd rounds; what is written last is exact.
		if err := m.write(l.Writes); err != nil {
			return err
		}
	}
	if devices == ReplaceDevices {
		return m.updateDevices(l.Devices)
	}
	return nil
}

// updateUnit sets the unit's properties. With any of them systemd on v1 writes
// the device table anew, in its own terms: for a moment all are denied.
func (m *Manager) updateUnit(r *specs.LinuxResources, l Limits, devices DeviceChange) error {
	if devices != ReplaceDevices {
		without := *r
		without.Devices = nil
		r = &without
	}
	dir, v1 := m.paths.find("devices")
	switch {
	case !v1:
		return m.setUnit(r)
	case devices == ReplaceDevices:
		return m.whileFrozen(func() error { return errors.Join(m.setUnit(r), m.updateDevices(l.Devices)) })
	case devices == KeepAllDevices:
		table := Writes{{Controller: "devices", File: "devices.allow", Value: "a", Origin: "linux.resources.devices"}}
		return m.whileFrozen(func() error { return errors.Join(m.setUnit(r), m.write(table)) })
	}
	return m.whileFrozen(func() error { return m.keepingTable(r, dir) })
}

// keepingTable is setUnit on v1, and the table as it was before.
func (m *Manager) keepingTable(r *specs.LinuxResources, dir Dir) error {
	before, err := readFile(dir.Path, "devices.list")
	if err != nil {
		return fmt.Errorf("linux.resources.devices: %w", err)
	}
	old, listed := parseTable(before)
	if !listed {
		return errors.New("cannot update: systemd would lift the device rules of this container, which deny single devices " +
			"(hint: cgroup v2, or --cgroup-manager cgroupfs)")
	}
	table := Writes{{Controller: "devices", File: "devices.deny", Value: "a", Origin: "linux.resources.devices"}}
	for node, letters := range old {
		table = append(table, limit.Write{Controller: "devices", File: "devices.allow", Value: node + " " + letters, Origin: "linux.resources.devices"})
	}
	return errors.Join(m.setUnit(r), m.write(table))
}

// happened says whether the file does not say any more what it said before.
func (c Change) happened() bool {
	content, err := readFile(filepath.Dir(c.Path), c.Write.File)
	if err != nil {
		return true
	}
	now, known := limit.Previous(c.Write, content)
	return !known || now != c.Old
}

// restore undoes changes, last first. What one write refuses, another may make
// possible (limit and swap): a second round tries those again.
func (m *Manager) restore(changes []Change) error {
	left := slices.Clone(changes)
	slices.Reverse(left)
	var first error
	for range 2 {
		var failed []Change
		first = nil
		for _, c := range left {
			if !c.Known || c.Old == c.Write.Value || !c.happened() {
				continue
			}
			if err := writeFile(filepath.Dir(c.Path), c.Write.File, c.Old+"\n"); err != nil {
				failed = append(failed, c)
				if first == nil {
					first = fmt.Errorf("and cannot undo it: write %q to %s: %w", c.Old, c.Path, err)
				}
			}
		}
		left = failed
	}
	return first
}
