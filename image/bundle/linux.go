// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"maps"
	"path"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// maskedPaths and readonlyPaths are Docker's: what lets a container read or
// steer the host.
var maskedPaths = []string{
	"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
	"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
	"/sys/devices/virtual/powercap", "/sys/firmware",
}

var readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}

func checkNet(net string, rootless bool) error {
	switch {
	case net == "", net == "host", net == "none":
		return nil
	case !path.IsAbs(net):
		return fmt.Errorf("net %q: want host, none or the absolute path of a network namespace", net)
	case rootless:
		// It belongs to another user namespace, setns(2): EPERM.
		return fmt.Errorf("net %q: a rootless container cannot join a network namespace (hint: --net host or none)", net)
	}
	return nil
}

// inUserns says whether the container has a user namespace.
func (b *builder) inUserns() bool { return len(b.o.UIDMaps) > 0 }

// hostNet says whether the container uses the host's network.
func (b *builder) hostNet() bool { return b.o.Net == "host" || b.o.Net == "" && b.o.Rootless }

// ownNet says whether the container gets a new network namespace.
func (b *builder) ownNet() bool { return b.o.Net == "none" || b.o.Net == "" && !b.o.Rootless }

// namespaces are all new ones; the time namespace is not Docker's.
func (b *builder) namespaces() error {
	l := b.spec.Linux
	l.Namespaces = []specs.LinuxNamespace{
		{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
		{Type: specs.MountNamespace}, {Type: specs.CgroupNamespace},
	}
	switch {
	case b.ownNet():
		l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace})
	case !b.hostNet():
		l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: b.o.Net})
	}
	if b.inUserns() && !b.o.Inside {
		l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		l.UIDMappings, l.GIDMappings = b.o.UIDMaps, b.o.GIDMaps
	}
	b.sysctls()
	return nil
}

// sysctls are the user's, and Docker's in a network of our own: any user may
// serve low ports, and ping.
func (b *builder) sysctls() {
	s := map[string]string{}
	if b.ownNet() {
		s["net.ipv4.ip_unprivileged_port_start"] = "0"
		if !b.inUserns() { // all gids have to be mapped
			s["net.ipv4.ping_group_range"] = "0 2147483647"
		}
	}
	maps.Copy(s, b.o.Sysctls)
	if len(s) > 0 {
		b.spec.Linux.Sysctl = s
	}
}

// cpuPeriod is the kernel's own for quotas, in microseconds.
const cpuPeriod = 100_000

// resources are limits and devices. A user who is not root has no say over
// devices: mknod(2) is refused, and there is no devices cgroup.
func (b *builder) resources() error {
	o, r := &b.o, &specs.LinuxResources{}
	if o.Memory > 0 {
		if o.Memory < minMemory {
			return fmt.Errorf("memory limit of %d bytes: a container needs %d MiB", o.Memory, minMemory>>20)
		}
		r.Memory = &specs.LinuxMemory{Limit: &o.Memory}
	}
	if o.CPUs > 0 {
		quota, period := int64(o.CPUs*cpuPeriod), uint64(cpuPeriod)
		if quota < minQuota {
			return fmt.Errorf("limit of %g CPUs: the least is 0.01", o.CPUs)
		}
		r.CPU = &specs.LinuxCPU{Quota: &quota, Period: &period}
	}
	if o.Pids > 0 {
		r.Pids = &specs.LinuxPids{Limit: &o.Pids}
	}
	l := b.spec.Linux
	l.CgroupsPath = o.CgroupsPath
	if o.Rootless {
		if len(o.Devices) > 0 {
			return fmt.Errorf("device %q: a rootless container gets devices by bind mounts (hint: -v %[1]s:%[1]s)", o.Devices[0].Path)
		}
		if r.Memory != nil || r.CPU != nil || r.Pids != nil {
			l.Resources = r
		}
		return nil
	}
	r.Devices = []specs.LinuxDeviceCgroup{{Allow: o.Privileged, Access: "rwm"}}
	for _, d := range o.Devices {
		l.Devices = append(l.Devices, d.LinuxDevice)
		if !o.Privileged {
			r.Devices = append(r.Devices, specs.LinuxDeviceCgroup{Allow: true, Type: d.Type, Major: &d.Major, Minor: &d.Minor, Access: d.Access})
		}
	}
	l.Resources = r
	return nil
}

const (
	minMemory = 6 << 20 // Docker's: with less, not even the set-up fits
	minQuota  = 1000    // the kernel's, in microseconds
)

// mapped says whether a user namespace with these maps has an id; none is the
// host's, which has them all.
func mapped(maps []specs.LinuxIDMapping, id uint32) bool {
	return len(maps) == 0 || slices.ContainsFunc(maps, func(m specs.LinuxIDMapping) bool {
		return id >= m.ContainerID && id-m.ContainerID < m.Size
	})
}
