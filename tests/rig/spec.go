// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// specCaps are the capabilities in the config that `runc spec` prints.
var specCaps = []string{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"}

// dockerCaps are the fourteen capabilities of a Docker container.
var dockerCaps = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

// DefaultSpec is the config that `spec` prints, without a terminal, running
// args, in the cgroup cgroupsPath.
func DefaultSpec(cgroupsPath string, args ...string) *specs.Spec {
	return &specs.Spec{
		Version: "1.0.2",
		Root:    &specs.Root{Path: "rootfs", Readonly: true},
		Process: &specs.Process{
			Args: args, Cwd: "/",
			Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"},
			Capabilities: &specs.LinuxCapabilities{
				Bounding: specCaps, Effective: specCaps, Permitted: specCaps,
			},
			Rlimits:         []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: 1024, Soft: 1024}},
			NoNewPrivileges: true,
		},
		Hostname: "box",
		Mounts:   defaultMounts(),
		Linux: &specs.Linux{
			CgroupsPath:   cgroupsPath,
			Resources:     &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}},
			Namespaces:    namespaces("pid", "network", "ipc", "uts", "mount", "cgroup"),
			MaskedPaths:   masked(),
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

func defaultMounts() []specs.Mount {
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc"},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}},
	}
}

func masked() []string {
	return []string{
		"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
		"/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
	}
}

func namespaces(types ...specs.LinuxNamespaceType) []specs.LinuxNamespace {
	var list []specs.LinuxNamespace
	for _, t := range types {
		list = append(list, specs.LinuxNamespace{Type: t})
	}
	return list
}

// DockerSpec is a config as Docker writes it for `docker run -m 256m
// --pids-limit 100`: writable root, fourteen capabilities, its default seccomp
// profile, masked paths, device rules.
func DockerSpec(cgroupsPath string, args ...string) (*specs.Spec, error) {
	profile, err := dockerSeccomp()
	if err != nil {
		return nil, err
	}
	limit, swap, pids := int64(256<<20), int64(512<<20), int64(100)
	s := DefaultSpec(cgroupsPath, args...)
	s.Root.Readonly = false
	s.Process.Rlimits = nil
	s.Process.NoNewPrivileges = false
	s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: dockerCaps, Effective: dockerCaps, Permitted: dockerCaps}
	s.Process.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=box"}
	zero := 0
	s.Process.OOMScoreAdj = &zero
	s.Linux.Seccomp = profile
	s.Linux.MaskedPaths = append(masked(), "/proc/interrupts", "/sys/devices/virtual/powercap")
	s.Linux.Resources = &specs.LinuxResources{
		Devices: dockerDevices(),
		Memory:  &specs.LinuxMemory{Limit: &limit, Swap: &swap},
		Pids:    &specs.LinuxPids{Limit: &pids},
	}
	return s, nil
}

func dockerDevices() []specs.LinuxDeviceCgroup {
	n := func(v int64) *int64 { return &v }
	rules := []specs.LinuxDeviceCgroup{
		{Allow: false, Access: "rwm"},
		{Allow: true, Type: "c", Access: "m"},
		{Allow: true, Type: "b", Access: "m"},
	}
	for _, dev := range [][2]int64{{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 1}, {5, 2}} {
		rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: n(dev[0]), Minor: n(dev[1]), Access: "rwm"})
	}
	return append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: n(136), Access: "rwm"})
}

// dockerSeccomp reads the profile as it stands in a config.json.
func dockerSeccomp() (*specs.LinuxSeccomp, error) {
	module, err := ModuleDir()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(module, "tests/testdata/docker-seccomp.json"))
	if err != nil {
		return nil, err
	}
	profile := &specs.LinuxSeccomp{}
	if err := json.Unmarshal(data, profile); err != nil {
		return nil, fmt.Errorf("cannot read docker-seccomp.json: %w", err)
	}
	if len(profile.Syscalls) == 0 {
		return nil, fmt.Errorf("docker-seccomp.json has no syscalls")
	}
	return profile, nil
}
