// SPDX-License-Identifier: Apache-2.0

package cgroup_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/libcontainer/cgroup"
	"berth/libcontainer/config"
)

// v2Only makes a cgroup as on a host with v2 alone; on a hybrid in its v2 part,
// which may lack controllers but can be joined, frozen and killed.
func v2Only(t *testing.T) *cgroup.Manager {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes cgroups")
	}
	facts, err := cgroup.Probe()
	if err != nil {
		t.Fatal(err)
	}
	if facts.V2Mount == "" {
		t.Skip("needs a cgroup v2 mount")
	}
	facts.Hierarchies, facts.Unified = nil, true
	top := fmt.Sprintf("/berth-test-%d", os.Getpid())
	paths, err := cgroup.Resolve(config.Cgroup{Path: top + "/deep/v2"}, "v2", false, facts)
	if err != nil {
		t.Fatal(err)
	}
	m := cgroup.Open(paths)
	if err := m.Create(true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := errors.Join(m.KillAll(unix.SIGKILL), m.Remove())
		if err != nil {
			t.Error(err)
		}
		for _, dir := range []string{top + "/deep", top} {
			if err := os.Remove(filepath.Join(facts.V2Mount, dir)); err != nil {
				t.Errorf("left behind: %v", err)
			}
		}
	})
	return m
}

func TestV2FreezeAndKill(t *testing.T) {
	m := v2Only(t)
	files, dir := join(t, m)
	if len(files) != 0 {
		t.Fatalf("tasks = %v, want none on v2", files)
	}
	start(t, m, nil, dir, "f() { while :; do sleep 0.01 & done; }; f & sleep 60")
	if err := os.Mkdir(m.Paths().V2.Path+"/left", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := m.Freeze(); err != nil {
		t.Fatal(err)
	}
	if frozen, err := m.Frozen(); !frozen || err != nil {
		t.Errorf("Frozen = %v, %v, want true", frozen, err)
	}
	if err := m.Check(); err == nil {
		t.Error("Check takes a populated cgroup")
	}
	begin := time.Now()
	if err := errors.Join(m.KillAll(unix.SIGKILL), m.Remove()); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("kill and remove took %v, want less than 2 s", d)
	}
}

func TestV2RemoveWaitsForTheDying(t *testing.T) {
	m := v2Only(t)
	_, dir := join(t, m)
	start(t, m, nil, dir, "exec sleep 0.2")
	if err := m.Remove(); err != nil {
		t.Errorf("got %v, want Remove to wait for the end of the process", err)
	}
}

func TestV2LimitWithoutController(t *testing.T) {
	m := v2Only(t)
	if len(m.Paths().V2.Controllers) > 0 {
		t.Skip("needs a v2 hierarchy without controllers")
	}
	err := m.ApplyLate(cgroup.Writes{{Controller: "pids", V2: true, File: "pids.max", Value: "5", Origin: "linux.resources.pids.limit"}})
	want := `linux.resources.pids.limit: cannot write "5" to ` + m.Paths().V2.Path + `/pids.max: no such file or directory (the pids controller is not available)`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestV2ExecFollowsInit(t *testing.T) {
	m := v2Only(t)
	_, dir := join(t, m)
	init := start(t, m, nil, dir, "exec sleep 60")
	sub := m.Paths().V2.Path + "/nested"
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, cgroups := range [][]string{{"nested"}, {"/nested"}} {
		_, d, err := m.ExecProcs(cgroups, init.Process.Pid)
		if err != nil || d.Name() != sub {
			t.Errorf("--cgroup %v: got %v, %v, want %s", cgroups, d, err, sub)
		}
		_ = d.Close()
	}
	if _, d, err := m.ExecProcs(nil, init.Process.Pid); err != nil || d.Name() != m.Paths().V2.Path {
		t.Errorf("got %v, %v, want %s", d, err, m.Paths().V2.Path)
	}
}
