// SPDX-License-Identifier: Apache-2.0

package specconv

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/libcontainer/config"
)

func (c *converter) mounts() error {
	if len(c.spec.Mounts) > 0 && !c.out.Namespaces.Has(config.MountNS) {
		if c.o.Rootless {
			return errors.New("mounts: need a mount namespace; add one to linux.namespaces")
		}
		c.warn("mounts: there is no mount namespace, so they are made on the host, below root.path, until delete")
	}
	for i := range c.spec.Mounts {
		m, err := c.mount(i, &c.spec.Mounts[i])
		if err != nil {
			return fmt.Errorf("mounts[%d].%w", i, err)
		}
		c.out.Mounts = append(c.out.Mounts, m)
	}
	return nil
}

// mount converts one mount; its errors begin with the field's name.
func (c *converter) mount(i int, s *specs.Mount) (config.Mount, error) {
	m := config.Mount{Index: i, Source: s.Source, Type: s.Type}
	if s.Destination == "" {
		return m, errors.New("destination: must be set")
	}
	m.Destination = filepath.Clean("/" + s.Destination)
	if !filepath.IsAbs(s.Destination) {
		c.warn("mounts[%d].destination: %q is not absolute, taken as %q", i, s.Destination, m.Destination)
	}
	for _, option := range s.Options {
		for _, word := range splitOption(option) {
			applyOption(&m, word)
		}
	}
	if s.Type == "bind" && !m.Bind {
		m.Bind = true
	}
	if m.Bind {
		m.Type = "bind"
		if len(m.Data) > 0 && !m.Remount { // mount(2) ignores them, and so do runc and crun
			c.warn("mounts[%d].options: %q: a bind mount takes no options of a filesystem", i, strings.Join(m.Data, ","))
		}
		m.Data = nil
	}
	if err := c.idmap(&m, s); err != nil {
		return m, err
	}
	if err := checkMount(&m); err != nil {
		return m, err
	}
	if m.Bind && !m.Remount && !filepath.IsAbs(m.Source) {
		m.Source = filepath.Join(c.o.Bundle, m.Source)
	}
	return m, nil
}

// splitOption splits an option that holds several, as mount(2) would have
// split it: "size=64k,mode=700". A backslash or quotes keep a comma.
func splitOption(option string) []string {
	if !strings.Contains(option, ",") || strings.ContainsAny(option, `\\"`) {
		return []string{option}
	}
	return strings.Split(option, ",")
}

// applyOption adds one word; of words that contradict each other, the later
// one wins.
func applyOption(m *config.Mount, word string) {
	w, known := findWord(word)
	switch {
	case known:
		m.Set = m.Set&^w.clear | w.set
		m.Clear = m.Clear&^w.set | w.clear
		m.RecSet = m.RecSet&^w.recClear&^conflicts(w) | w.recSet
		m.RecClear = m.RecClear&^w.recSet | w.recClear
		if w.propagate != 0 {
			m.Propagation = append(m.Propagation, w.propagate)
		}
	case word == "bind":
		m.Bind = true
	case word == "rbind":
		m.Bind, m.Recursive = true, true
	case word == "remount":
		m.Remount = true
	case word == "tmpcopyup":
		m.CopyUp = true
	case word == "idmap":
		m.IDMap = &config.MountIDMap{}
	case word == "ridmap":
		m.IDMap = &config.MountIDMap{Recursive: true}
	case word == "defaults" || word == "":
	default:
		m.Data = append(m.Data, word)
	}
}

// conflicts are the attributes that a word replaces: one access time another.
func conflicts(w mountWord) uint64 {
	if w.recClear == unix.MOUNT_ATTR__ATIME {
		return unix.MOUNT_ATTR__ATIME
	}
	return 0
}

// idmap converts the mappings of an id-mapped mount. Mappings alone ask for
// one as well.
func (c *converter) idmap(m *config.Mount, s *specs.Mount) error {
	given := len(s.UIDMappings)+len(s.GIDMappings) > 0
	if m.IDMap == nil && !given {
		return nil
	}
	if m.IDMap == nil {
		m.IDMap = &config.MountIDMap{}
	}
	switch {
	case m.Remount:
		return errors.New("options: a remount cannot be id-mapped")
	case !m.Bind:
		return errors.New("options: idmap is for bind mounts alone")
	case c.o.Rootless:
		return errors.New("options: idmap needs root in the initial user namespace")
	case given && len(s.UIDMappings) == 0:
		return errors.New("uidMappings: must be given together with gidMappings")
	case given && len(s.GIDMappings) == 0:
		return errors.New("gidMappings: must be given together with uidMappings")
	case !given && !c.out.Namespaces.New(config.UserNS):
		return errors.New("uidMappings: an idmap option without mappings needs a new user namespace, whose mappings it takes")
	}
	var err error
	if m.IDMap.UIDMappings, err = idMaps("uidMappings", s.UIDMappings); err != nil {
		return err
	}
	m.IDMap.GIDMappings, err = idMaps("gidMappings", s.GIDMappings)
	return err
}

// underProc are the files below /proc that may be covered: lxcfs needs it.
var underProc = []string{
	"/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime",
	"/proc/loadavg", "/proc/slabinfo", "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled",
}

func checkMount(m *config.Mount) error {
	switch {
	case m.Destination == "/" && !m.Remount:
		return errors.New("destination: / is the root filesystem itself")
	case m.Bind && !m.Remount && m.Source == "":
		return errors.New("source: must be set for a bind mount")
	case !m.Bind && !m.Remount && m.Type == "":
		return errors.New("type: must be set")
	case m.CopyUp && m.Type != "tmpfs":
		return errors.New("options: tmpcopyup is for tmpfs alone")
	case m.Destination == "/proc" && !m.Remount && m.Type != "proc" && !(m.Bind && filepath.Clean(m.Source) == "/proc"):
		return fmt.Errorf("destination: \"/proc\" cannot be mounted because it is not of type proc (%s)", m.Type)
	case strings.HasPrefix(m.Destination, "/proc/") && !slices.Contains(underProc, m.Destination):
		return fmt.Errorf("destination: %q cannot be mounted because it is inside /proc", m.Destination)
	}
	return nil
}
