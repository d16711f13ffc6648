// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"os"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/tests/rig"
)

// bundleCase is one config: the default spec, changed by edit.
type bundleCase struct {
	name   string
	docker bool // start from Docker's config instead of the default spec
	edit   func(s *specs.Spec)
}

var cases = []bundleCase{
	{name: "default", edit: func(*specs.Spec) {}},
	{name: "docker", docker: true, edit: func(*specs.Spec) {}},
	{name: "writable-root", edit: func(s *specs.Spec) { s.Root.Readonly = false }},
	{name: "user", edit: func(s *specs.Spec) {
		umask := uint32(0o027)
		s.Process.User = specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{5, 27, 1234}, Umask: &umask}
		s.Process.Cwd = "/tmp"
	}},
	{name: "userns", edit: userns},
	{name: "userns-user", edit: func(s *specs.Spec) {
		userns(s)
		s.Process.User = specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{27}}
	}},
	{name: "ambient", edit: func(s *specs.Spec) {
		c := []string{"CAP_NET_BIND_SERVICE", "CAP_KILL"}
		s.Process.User = specs.User{UID: 1000, GID: 1000}
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: c, Effective: c, Inheritable: c, Permitted: c, Ambient: c[:1]}
	}},
	{name: "no-capabilities", edit: func(s *specs.Spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{}
		s.Process.NoNewPrivileges = false
	}},
	{name: "devices", edit: devices},
	{name: "rlimits", edit: func(s *specs.Spec) {
		s.Process.Rlimits = []specs.POSIXRlimit{
			{Type: "RLIMIT_NOFILE", Soft: 64, Hard: 128},
			{Type: "RLIMIT_CORE", Soft: 0, Hard: 0},
			{Type: "RLIMIT_NPROC", Soft: 500, Hard: 600},
			{Type: "RLIMIT_STACK", Soft: 4 << 20, Hard: 8 << 20},
		}
	}},
	{name: "mounts", edit: mounts},
	{name: "oom-and-env", edit: func(s *specs.Spec) {
		score := 500
		s.Process.OOMScoreAdj = &score
		s.Process.Env = append(s.Process.Env, "A=1", "EMPTY=", "B=with = sign", "HOME=/elsewhere")
	}},
	{name: "personality", edit: func(s *specs.Spec) {
		s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32}
	}},
	{name: "sysctl", edit: func(s *specs.Spec) {
		s.Linux.Sysctl = map[string]string{
			"net.ipv4.ip_unprivileged_port_start": "80", "kernel.shmmax": "123456", "fs.mqueue.msg_max": "20",
		}
	}},
	{name: "few-namespaces", edit: func(s *specs.Spec) {
		s.Hostname = ""
		s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
			return n.Type == specs.UTSNamespace || n.Type == specs.IPCNamespace || n.Type == specs.CgroupNamespace
		})
		s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return m.Type == "mqueue" })
	}},
	{name: "seccomp", edit: func(s *specs.Spec) {
		errno := uint(13)
		s.Linux.Seccomp = &specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow,
			Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchAARCH64},
			Syscalls: []specs.LinuxSyscall{
				{Names: []string{"sched_getattr", "keyctl"}, Action: specs.ActErrno, ErrnoRet: &errno},
			},
		}
	}},
	{name: "seccomp-privileged", edit: func(s *specs.Spec) {
		s.Process.NoNewPrivileges = false
		s.Linux.Seccomp = &specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow,
			Syscalls:      []specs.LinuxSyscall{{Names: []string{"sched_getattr"}, Action: specs.ActErrno}},
		}
	}},
}

// spec makes the case's config for the cgroup at path.
func (c bundleCase) spec(path string) (*specs.Spec, error) {
	if !c.docker {
		s := rig.DefaultSpec(path, "/bin/payload")
		c.edit(s)
		return s, nil
	}
	s, err := rig.DockerSpec(path, "/bin/payload")
	if err != nil {
		return nil, err
	}
	c.edit(s)
	return s, nil
}

func userns(s *specs.Spec) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	s.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 200000, Size: 65536}}
}

func devices(s *specs.Spec) {
	mode := func(m os.FileMode) *os.FileMode { return &m }
	id := uint32(1000)
	s.Linux.Devices = []specs.LinuxDevice{
		{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229, FileMode: mode(0o640), UID: &id, GID: &id},
		{Path: "/dev/below/zero", Type: "c", Major: 1, Minor: 5, FileMode: mode(0o666)},
		{Path: "/dev/pipe", Type: "p", FileMode: mode(0o600)},
	}
	major, minor := int64(10), int64(229)
	s.Linux.Resources.Devices = append(s.Linux.Resources.Devices,
		specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: &major, Minor: &minor, Access: "rwm"})
}

func mounts(s *specs.Spec) {
	s.Mounts = append(s.Mounts,
		specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "noexec", "size=1m", "mode=1777"}},
		specs.Mount{Destination: "/var/tmp/new/dir", Type: "bind", Source: "/usr/share", Options: []string{"bind", "ro", "nosuid"}},
		specs.Mount{Destination: "/etc/hostpasswd", Type: "bind", Source: "/etc/passwd", Options: []string{"rbind", "ro", "rprivate"}},
		specs.Mount{Destination: "/var/tmp/shared", Type: "bind", Source: "/usr/share", Options: []string{"rbind", "rshared"}},
	)
	s.Root.Readonly = false
	s.Linux.RootfsPropagation = "rprivate"
}
