// SPDX-License-Identifier: Apache-2.0

package specconv

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go/features"
)

// FeatureFacts are what only the seccomp package and the build know.
type FeatureFacts struct {
	Version, Commit   string
	LibseccompVersion string
	Actions           []string
	Operators         []string
	Archs             []string
	KnownFlags        []string
	SupportedFlags    []string
}

// Features returns what `features` prints, runtime-spec features.md, from the
// very tables that configs are parsed with.
func Features(f FeatureFacts) *features.Features {
	yes := true
	var hooks, namespaces, modes, flags []string
	for _, p := range hookPoints {
		hooks = append(hooks, p.name)
	}
	for _, t := range namespaceTypes {
		namespaces = append(namespaces, string(t))
	}
	for _, m := range memoryModes {
		modes = append(modes, string(m))
	}
	for _, m := range memoryFlags {
		flags = append(flags, string(m.name))
	}
	slices.Sort(modes)
	slices.Sort(flags)
	return &features.Features{
		OCIVersionMin: "1.0.0", OCIVersionMax: specVersion,
		Hooks: hooks, MountOptions: MountOptions(),
		Linux: &features.Linux{
			Namespaces: namespaces, Capabilities: capabilityNames,
			Cgroup: &features.Cgroup{V1: &yes, V2: &yes, Systemd: &yes, SystemdUser: &yes, Rdma: &yes},
			Seccomp: &features.Seccomp{
				Enabled: &yes, Actions: f.Actions, Operators: f.Operators, Archs: f.Archs,
				KnownFlags: f.KnownFlags, SupportedFlags: f.SupportedFlags,
			},
			Apparmor: &features.Apparmor{Enabled: &yes}, Selinux: &features.Selinux{Enabled: &yes},
			IntelRdt:        &features.IntelRdt{Enabled: &yes, Schemata: &yes, Monitoring: &yes},
			MemoryPolicy:    &features.MemoryPolicy{Modes: modes, Flags: flags},
			MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: &yes}},
			NetDevices:      &features.NetDevices{Enabled: &yes},
		},
		Annotations: map[string]string{
			"io.github.seccomp.libseccomp.version":       f.LibseccompVersion,
			"org.opencontainers.runc.checkpoint.enabled": "false",
			"org.opencontainers.runc.version":            f.Version,
			"org.opencontainers.runc.commit":             f.Commit,
		},
		PotentiallyUnsafeConfigAnnotations: []string{"org.systemd.property."},
	}
}
