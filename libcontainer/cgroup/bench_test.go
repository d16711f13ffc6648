// SPDX-License-Identifier: Apache-2.0

package cgroup_test

import (
	"errors"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/cgroup"
	"berth/libcontainer/config"
)

func BenchmarkLifecycle(b *testing.B) {
	facts, paths := host(b, "bench")
	limit, pids := int64(1<<26), int64(100)
	r := &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}, Pids: &specs.LinuxPids{Limit: &pids}}
	b.ResetTimer()
	for b.Loop() {
		p, err := cgroup.Resolve(config.Cgroup{Path: strings.TrimPrefix(paths.V1[0].Path, paths.V1[0].Mount)}, "bench", false, facts)
		if err != nil {
			b.Fatal(err)
		}
		limits, err := cgroup.Compile(r, facts)
		if err != nil {
			b.Fatal(err)
		}
		m := cgroup.Open(p)
		if err := errors.Join(m.Create(true), m.Apply(limits), m.Remove()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProbe(b *testing.B) {
	for b.Loop() {
		if _, err := cgroup.Probe(); err != nil {
			b.Fatal(err)
		}
	}
}
