// SPDX-License-Identifier: Apache-2.0

package specconv

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/config"
)

// defaultDevices are runtime-spec config-linux.md#default-devices; ptmx and
// console are the plan's.
var defaultDevices = []config.Device{
	{Path: "/dev/null", Major: 1, Minor: 3}, {Path: "/dev/zero", Major: 1, Minor: 5},
	{Path: "/dev/full", Major: 1, Minor: 7}, {Path: "/dev/random", Major: 1, Minor: 8},
	{Path: "/dev/urandom", Major: 1, Minor: 9}, {Path: "/dev/tty", Major: 5, Minor: 0},
}

func (c *converter) devices() error {
	for i := range c.spec.Linux.Devices {
		d, err := device(&c.spec.Linux.Devices[i])
		if err != nil {
			return fmt.Errorf("linux.devices[%d].%w", i, err)
		}
		if d.Path == "/dev/ptmx" {
			c.warn("linux.devices[%d]: ignored, /dev/ptmx is a link to the container's own devpts", i)
			continue
		}
		d.Origin = fmt.Sprintf("linux.devices[%d]", i)
		c.out.Devices = append(c.out.Devices, d)
	}
	for _, d := range defaultDevices {
		if slices.ContainsFunc(c.out.Devices, func(o config.Device) bool { return o.Path == d.Path }) {
			continue
		}
		d.Origin, d.Default, d.Type, d.Mode = "default devices", true, 'c', 0o666
		c.out.Devices = append(c.out.Devices, d)
	}
	return nil
}

func device(s *specs.LinuxDevice) (config.Device, error) {
	d := config.Device{Path: filepath.Clean(s.Path), Mode: 0o666}
	switch {
	case !filepath.IsAbs(s.Path) || d.Path == "/":
		return d, fmt.Errorf("path: %q is not an absolute path", s.Path)
	case len(s.Type) != 1 || !strings.Contains("cubp", s.Type):
		return d, fmt.Errorf("type: unknown type %q, must be c, b, u or p", s.Type)
	case s.Type != "p" && (s.Major < 0 || s.Major >= 1<<12):
		return d, fmt.Errorf("major: %d is out of range", s.Major)
	case s.Type != "p" && (s.Minor < 0 || s.Minor >= 1<<20):
		return d, fmt.Errorf("minor: %d is out of range", s.Minor)
	}
	d.Type = s.Type[0]
	if d.Type != 'p' {
		d.Major, d.Minor = uint32(s.Major), uint32(s.Minor)
	}
	if s.FileMode != nil {
		d.Mode = uint32(*s.FileMode) & 0o7777
	}
	if s.UID != nil {
		d.UID = *s.UID
	}
	if s.GID != nil {
		d.GID = *s.GID
	}
	if d.UID == math.MaxUint32 || d.GID == math.MaxUint32 {
		return d, fmt.Errorf("uid, gid: %d is no id", uint32(math.MaxUint32))
	}
	return d, nil
}

// netDevices converts linux.netDevices, sorted by name.
func (c *converter) netDevices() error {
	devices := c.spec.Linux.NetDevices
	if len(devices) == 0 {
		return nil
	}
	if c.o.Rootless {
		return errors.New("linux.netDevices: moving a network device needs root in the initial user namespace")
	}
	if !c.out.Namespaces.Has(config.NetworkNS) {
		return errors.New("linux.netDevices: need a network namespace; add one to linux.namespaces")
	}
	names := make([]string, 0, len(devices))
	for name := range devices {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		d := config.NetDevice{HostName: name, Name: devices[name].Name}
		if d.Name == "" {
			d.Name = name
		}
		for _, n := range []string{d.HostName, d.Name} {
			if !deviceName(n) {
				return fmt.Errorf("linux.netDevices: invalid network device name %q", n)
			}
		}
		if slices.ContainsFunc(c.out.NetDevices, func(o config.NetDevice) bool { return o.Name == d.Name }) {
			return fmt.Errorf("linux.netDevices: two devices would be called %q", d.Name)
		}
		c.out.NetDevices = append(c.out.NetDevices, d)
	}
	return nil
}

// deviceName is dev_valid_name of the kernel's net/core/dev.c.
func deviceName(s string) bool {
	return s != "" && len(s) < 16 && s != "." && s != ".." && !strings.ContainsAny(s, "/: \t\n\v\f\r\x00")
}
