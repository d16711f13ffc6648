// SPDX-License-Identifier: Apache-2.0

package specconv

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/config"
)

// namespaceTypes are all that Linux has; features lists them.
var namespaceTypes = []config.NamespaceType{
	config.CgroupNS, config.IPCNS, config.MountNS, config.NetworkNS, config.PIDNS, config.TimeNS, config.UserNS, config.UTSNS,
}

func (c *converter) namespaces() error {
	for i, n := range c.spec.Linux.Namespaces {
		field := fmt.Sprintf("linux.namespaces[%d]", i)
		t := config.NamespaceType(n.Type)
		if !slices.Contains(namespaceTypes, t) {
			return fmt.Errorf("%s.type: unknown namespace %q", field, n.Type)
		}
		if c.out.Namespaces.Has(t) {
			return fmt.Errorf("%s.type: malformed spec file: duplicated ns %q", field, n.Type)
		}
		if n.Path != "" && !filepath.IsAbs(n.Path) {
			return fmt.Errorf("%s.path: %q is not an absolute path", field, n.Path)
		}
		c.out.Namespaces = append(c.out.Namespaces, config.Namespace{Type: t, Path: n.Path, Index: i})
	}
	if err := c.mappings(); err != nil {
		return err
	}
	return c.timeOffsets()
}

// mappings converts the id maps, which a new user namespace needs.
func (c *converter) mappings() error {
	l := c.spec.Linux
	var err error
	if c.out.UIDMappings, err = idMaps("linux.uidMappings", l.UIDMappings); err != nil {
		return err
	}
	if c.out.GIDMappings, err = idMaps("linux.gidMappings", l.GIDMappings); err != nil {
		return err
	}
	user, has := c.out.Namespaces.Get(config.UserNS)
	given := len(l.UIDMappings)+len(l.GIDMappings) > 0
	switch {
	case !has && given:
		return errors.New("linux.uidMappings, linux.gidMappings: given without a user namespace; add one to linux.namespaces")
	case has && user.Path != "" && given:
		c.warn("linux.uidMappings, linux.gidMappings: ignored, the user namespace is joined and has its own")
		c.out.UIDMappings, c.out.GIDMappings = nil, nil
	case has && user.Path == "" && len(l.UIDMappings) == 0:
		return errors.New("linux.uidMappings: a new user namespace needs them")
	case has && user.Path == "" && len(l.GIDMappings) == 0:
		return errors.New("linux.gidMappings: a new user namespace needs them")
	}
	return nil
}

func idMaps(field string, list []specs.LinuxIDMapping) ([]config.IDMap, error) {
	var out []config.IDMap
	if len(list) > 340 { // UID_GID_MAP_MAX_EXTENTS
		return nil, fmt.Errorf("%s: %d lines, the kernel takes 340", field, len(list))
	}
	for i, m := range list {
		end := func(first uint32) uint64 { return uint64(first) + uint64(m.Size) }
		switch {
		case m.Size == 0:
			return nil, fmt.Errorf("%s[%d].size: must not be 0", field, i)
		case end(m.ContainerID) > 1<<32-1 || end(m.HostID) > 1<<32-1:
			return nil, fmt.Errorf("%s[%d]: exceeds the range of ids", field, i)
		}
		for j := range out {
			o := &out[j]
			if uint64(o.ContainerID) < end(m.ContainerID) && uint64(m.ContainerID) < uint64(o.ContainerID)+uint64(o.Size) {
				return nil, fmt.Errorf("%s[%d]: overlaps with [%d]", field, i, j)
			}
			if uint64(o.HostID) < end(m.HostID) && uint64(m.HostID) < uint64(o.HostID)+uint64(o.Size) {
				return nil, fmt.Errorf("%s[%d].hostID: overlaps with [%d]", field, i, j)
			}
		}
		out = append(out, config.IDMap{ContainerID: m.ContainerID, HostID: m.HostID, Size: m.Size})
	}
	return out, nil
}

// mapped says whether an id of the container is mapped; without maps (joined
// namespace, or none) all are.
func mapped(list []config.IDMap, id uint32) bool {
	for _, m := range list {
		if id >= m.ContainerID && uint64(id) < uint64(m.ContainerID)+uint64(m.Size) {
			return true
		}
	}
	return len(list) == 0
}

func (c *converter) timeOffsets() error {
	offsets := c.spec.Linux.TimeOffsets
	if len(offsets) == 0 {
		return nil
	}
	if !c.out.Namespaces.New(config.TimeNS) {
		return errors.New("linux.timeOffsets: need a new time namespace; add one to linux.namespaces")
	}
	for _, clock := range []string{"monotonic", "boottime"} {
		o, ok := offsets[clock]
		if !ok {
			continue
		}
		if o.Nanosecs >= 1e9 {
			return fmt.Errorf("linux.timeOffsets.%s.nanosecs: %d is a second or more", clock, o.Nanosecs)
		}
		c.out.TimeOffsets = append(c.out.TimeOffsets, config.TimeOffset{Clock: clock, Secs: o.Secs, Nanosec: o.Nanosecs})
	}
	if len(c.out.TimeOffsets) != len(offsets) {
		for clock := range offsets {
			if clock != "monotonic" && clock != "boottime" {
				return fmt.Errorf("linux.timeOffsets: unknown clock %q", clock)
			}
		}
	}
	return nil
}
