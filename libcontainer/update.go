// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"errors"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/cgroup"
	"berth/libcontainer/config"
	"berth/libcontainer/rdt"
)

// UpdateOptions say what Update changes.
type UpdateOptions struct {
	// Resources are the limits to change; what is absent stays as it is.
	Resources *specs.LinuxResources
	// L3CacheSchema and MemBwSchema are lines for the container's resctrl
	// group; "" leaves them.
	L3CacheSchema, MemBwSchema string
	// DryRun changes nothing.
	DryRun bool
	// Warn gets one line for each thing that is ignored; may be nil.
	Warn func(msg string)
}

// Update changes the limits of a container that has not stopped: all of them,
// or when one fails none. With DryRun it returns one line per file instead,
// with the old and the new value.
func (c *Container) Update(o UpdateOptions) ([]string, error) {
	status, err := c.Status()
	if err != nil {
		return nil, err
	}
	if status == Stopped || status == Creating {
		return nil, ErrNotRunning
	}
	facts, err := cgroup.Probe()
	if err != nil {
		return nil, err
	}
	m, err := c.cgroup()
	if err != nil {
		return nil, err
	}
	if m.Paths().Empty() {
		return nil, errors.New("cannot update limits: the container has no cgroup of its own")
	}
	resources := m.Complete(config.WithoutZeroPIDs(o.Resources, c.rec.OCIVersion))
	limits, err := cgroup.Compile(resources, facts)
	if err != nil {
		return nil, err
	}
	for _, w := range limits.Warnings {
		if o.Warn != nil {
			o.Warn(w)
		}
	}
	schemata, err := rdt.Check(c.rec.RDT, o.L3CacheSchema, o.MemBwSchema)
	if err != nil {
		return nil, err
	}
	// Engines send the rules they began with along with other limits.
	devices := cgroup.KeepDevices
	switch {
	case o.Resources.Devices != nil && limits.Devices.Digest() != c.rec.DeviceRules:
		devices = cgroup.ReplaceDevices
	case c.rec.DeviceRules == cgroup.AllDevices(facts).Digest():
		devices = cgroup.KeepAllDevices
	}
	replace := devices == cgroup.ReplaceDevices
	if o.DryRun {
		return dryRun(m, limits, replace, schemata)
	}
	undo, err := rdt.Update(c.rec.RDT, schemata)
	if err != nil {
		return nil, err
	}
	if err := m.Update(resources, limits, devices); err != nil {
		undo()
		if replace { // the table may be neither: the next update is to write it
			c.rec.DeviceRules = ""
			err = errors.Join(err, c.store.Save(c.rec.ID, c.rec))
		}
		return nil, err
	}
	if replace {
		c.rec.DeviceRules = limits.Devices.Digest()
		if err := c.store.Save(c.rec.ID, c.rec); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func dryRun(m *cgroup.Manager, limits cgroup.Limits, devices bool, schemata []string) ([]string, error) {
	changes, err := m.Changes(limits.Writes)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, change := range changes {
		lines = append(lines, change.String())
	}
	if devices {
		for line := range strings.Lines(limits.Devices.String()) {
			lines = append(lines, "devices: "+strings.TrimSpace(line))
		}
	}
	for _, s := range schemata {
		lines = append(lines, "schemata: "+s+"  # linux.intelRdt")
	}
	return lines, nil
}
