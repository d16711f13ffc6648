// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/libcontainer/cgroup/device"
	"berth/libcontainer/cgroup/fs1"
	"berth/libcontainer/cgroup/limit"
)

// Devices are device rules, compiled for the hierarchy that the host has.
type Devices struct {
	// Writes is the table of v1: a default, then its exceptions.
	Writes Writes
	// Program is v2's, for which V2 is true.
	Program device.Program
	V2      bool
}

// String prints what is in force.
func (d Devices) String() string {
	if d.V2 {
		return d.Program.String()
	}
	return d.Writes.String()
}

// Empty says that there is nothing to apply: the host cannot limit devices.
func (d Devices) Empty() bool { return !d.V2 && len(d.Writes) == 0 }

// Digest tells rules apart, for Update: rules that the config does not change
// are left alone, since others (a GPU's tools) may have added to them.
func (d Devices) Digest() string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(d.String())) // cannot fail
	return strconv.FormatUint(h.Sum64(), 36)
}

// AllDevices are rules that allow everything.
func AllDevices(f Facts) Devices {
	d, err := compileDevices(&specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}}, f)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return d
}

func compileDevices(r *specs.LinuxResources, f Facts) (Devices, error) {
	var d Devices
	if ok, v2 := f.Has("devices"); ok && !v2 {
		l := limit.List{Controller: "devices"}
		err := fs1.Compile("devices", r, &l)
		return Devices{Writes: l.Writes}, err
	}
	rules, err := device.Rules(r)
	if err != nil || !f.Unified {
		return d, err // a hybrid without the controller: nothing to limit with
	}
	d.Program, err = device.Compile(rules)
	d.V2 = true
	return d, err
}

// applyDevices limits a new cgroup.
func (m *Manager) applyDevices(d Devices) error {
	if !d.V2 {
		return m.write(d.Writes)
	}
	if m.paths.V2 == nil {
		return nil
	}
	dir, err := openFile(m.paths.V2.Path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		if m.skipMissing(err) {
			return nil
		}
		return fmt.Errorf("linux.resources.devices: %w", err)
	}
	defer unix.Close(dir)
	err = device.Attach(dir, d.Program)
	if m.paths.Rootless && errors.Is(err, device.ErrNotPermitted) {
		return nil // never works there, and the kernel guards devices
	}
	return err
}

// updateDevices replaces the rules of a cgroup in use: v2's program at once,
// v1's table by its differences.
func (m *Manager) updateDevices(d Devices) error {
	if d.V2 {
		return m.applyDevices(d)
	}
	dir, ok := m.paths.find("devices")
	if !ok {
		return nil
	}
	now, err := readFile(dir.Path, "devices.list")
	if err != nil {
		return fmt.Errorf("linux.resources.devices: %w", err)
	}
	return m.changeTable(dir, now, d.Writes)
}

// changeTable writes what differs between the table that devices.list shows
// and the new one. Where the default changes, or denied ones are not shown,
// the container stands still until the whole new table is there.
func (m *Manager) changeTable(dir Dir, now string, table Writes) error {
	old, listed := parseTable(now)
	if listed && table[0].File == "devices.deny" {
		writes := tableChanges(old, table[1:])
		for i, w := range writes {
			if err := writeFile(dir.Path, w.File, w.Value); err != nil {
				for _, undo := range slices.Backward(writes[:i]) {
					_ = writeFile(dir.Path, opposite(undo.File), undo.Value) // the first error counts
				}
				return m.explain(dir, w, filepath.Join(dir.Path, w.File), err)
			}
		}
		return nil
	}
	return m.whileFrozen(func() error { return m.write(table) })
}

// whileFrozen calls f while no process of the container runs.
func (m *Manager) whileFrozen(f func() error) (err error) {
	frozen, err := m.Frozen()
	if err != nil {
		return err
	}
	if !frozen {
		if err := m.Freeze(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, m.Thaw()) }()
	}
	return f()
}

func opposite(file string) string {
	if file == "devices.allow" {
		return "devices.deny"
	}
	return "devices.allow"
}

// access maps the nodes of a table, "c 1:3", to the letters allowed, "rwm".
type access map[string]string

// parseTable reads devices.list. It is false for a table that allows all but
// its exceptions, which the kernel does not show.
func parseTable(s string) (access, bool) {
	t := access{}
	for line := range strings.Lines(s) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		if f[0] == "a" {
			return nil, false
		}
		t[f[0]+" "+f[1]] += f[2]
	}
	return t, true
}

// tableChanges returns the writes that turn one list of allowed nodes into
// another, the new permissions first.
func tableChanges(old access, table Writes) Writes {
	want := access{}
	var allow, deny Writes
	for _, w := range table {
		f := strings.Fields(w.Value)
		node := f[0] + " " + f[1]
		want[node] += f[2]
		if more := lettersWithout(f[2], old[node]); more != "" {
			w.Value = node + " " + more
			allow = append(allow, w)
		}
	}
	for node, letters := range old {
		if less := lettersWithout(letters, want[node]); less != "" {
			deny = append(deny, Write{Controller: "devices", File: "devices.deny", Value: node + " " + less, Origin: "linux.resources.devices"})
		}
	}
	slices.SortFunc(deny, func(a, b Write) int { return strings.Compare(a.Value, b.Value) })
	return append(allow, deny...)
}

func lettersWithout(s, without string) string {
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune(without, c) {
			return -1
		}
		return c
	}, s)
}
