// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

const (
	defaultShm = 64 << 20
	// initPath is in the tmpfs on /dev, so that nothing of it stays in the root
	// file system.
	initPath = "/dev/init"
)

// mounts are the default ones, then volumes and the user's with parents before
// children.
func (b *builder) mounts() error {
	wanted, err := b.wantedMounts()
	if err != nil {
		return err
	}
	for _, m := range b.defaultMounts() {
		if !slices.ContainsFunc(wanted, func(w specs.Mount) bool { return w.Destination == m.Destination }) {
			b.spec.Mounts = append(b.spec.Mounts, m)
		}
	}
	b.spec.Mounts = append(b.spec.Mounts, wanted...)
	return nil
}

// defaultMounts are Docker's.
func (b *builder) defaultMounts() []specs.Mount {
	shm := b.o.ShmSize
	if shm == 0 {
		shm = defaultShm
	}
	pts := []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}
	if mapped(b.o.GIDMaps, 5) {
		pts = append(pts, "gid=5") // tty; devpts refuses a gid that is not mapped
	}
	list := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: pts},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=" + strconv.FormatInt(shm, 10)}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
	}
	access := "ro"
	if b.o.Privileged {
		access = "rw"
	}
	if b.inUserns() && !b.ownNet() {
		// sysfs shows a network namespace, and is mounted by those alone who own
		// that; the hierarchies of cgroups come with the bind.
		return append(list, specs.Mount{Destination: "/sys", Type: "none", Source: "/sys", Options: []string{"rbind", "nosuid", "noexec", "nodev", access}})
	}
	return append(list,
		specs.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", access}},
		specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", access}})
}

// wantedMounts are what the image and the user ask for.
func (b *builder) wantedMounts() ([]specs.Mount, error) {
	var list []specs.Mount
	for i := range b.o.Mounts {
		m, err := b.o.Mounts[i].spec()
		if err != nil {
			return nil, err
		}
		if b.o.Mounts[i].Relabel {
			b.warn("mount %s: its files keep their SELinux labels", m.Destination)
		}
		if at(list, m.Destination) {
			return nil, fmt.Errorf("mount %s: there are two mounts at this destination", m.Destination)
		}
		list = append(list, m)
	}
	volumes, err := b.imageVolumes(list)
	if err != nil {
		return nil, err
	}
	list = append(list, volumes...)
	if b.o.Init != "" {
		list = append(list, specs.Mount{Destination: initPath, Type: "bind", Source: b.o.Init, Options: []string{"bind", "rprivate", "ro", "nosuid", "nodev"}})
	}
	slices.SortStableFunc(list, func(x, y specs.Mount) int {
		return strings.Count(x.Destination, "/") - strings.Count(y.Destination, "/")
	})
	return list, nil
}

// imageVolumes are mounts at the image's volumes, but where the user mounts
// something already.
func (b *builder) imageVolumes(mounts []specs.Mount) ([]specs.Mount, error) {
	switch b.o.ImageVolumes {
	case "", "tmpfs":
	case "ignore":
		return nil, nil
	default:
		return nil, fmt.Errorf("image volumes %q: want tmpfs or ignore", b.o.ImageVolumes)
	}
	var list []specs.Mount
	for _, v := range slices.Sorted(maps.Keys(b.image.Config.Volumes)) {
		destination := path.Clean("/" + v)
		if kernelOwned(destination) || strings.Contains(v, "\x00") {
			b.warn("the image's volume %q is left out: it cannot be there", v)
			continue
		}
		if !at(mounts, destination) && !at(list, destination) {
			// runc's tmpcopyup, which Berth and crun have too: with what the
			// image has there.
			list = append(list, specs.Mount{Destination: destination, Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "noexec", "tmpcopyup"}})
		}
	}
	return list, nil
}

func at(mounts []specs.Mount, destination string) bool {
	return slices.ContainsFunc(mounts, func(m specs.Mount) bool { return m.Destination == destination })
}

// kernelOwned are places that an image has no say over.
func kernelOwned(destination string) bool {
	top, _, _ := strings.Cut(destination[1:], "/")
	return slices.Contains([]string{"", "proc", "sys", "dev"}, top)
}

// spec is the mount as config.json has it.
func (m *Mount) spec() (specs.Mount, error) {
	s := specs.Mount{Destination: m.Destination, Type: m.Type, Source: m.Source, Options: m.Options}
	err := m.check()
	switch {
	case err != nil:
		return s, fmt.Errorf("mount %s: %w", m.Destination, err)
	case m.Type == TypeVolume:
		return s, fmt.Errorf("mount %s: volume %q has no directory yet", m.Destination, m.Source)
	case m.Type == TypeTmpfs:
		s.Source = "tmpfs"
	}
	return s, nil
}

// check refuses what the syntax allows and no mount can be.
func (m *Mount) check() error {
	switch {
	case m.Destination == "/":
		return errors.New("the destination cannot be the root")
	case !path.IsAbs(m.Destination):
		return errors.New("the destination must be an absolute path")
	case m.Type != TypeBind && m.Type != TypeVolume && m.Type != TypeTmpfs:
		return fmt.Errorf("type %q: want bind, volume or tmpfs", m.Type)
	case m.Type == TypeBind && !path.IsAbs(m.Source):
		return fmt.Errorf("the source %q must be an absolute path", m.Source)
	case strings.ContainsAny(m.Destination+m.Source, "\x00"):
		return errors.New("there is a NUL byte in a path")
	}
	return nil
}
