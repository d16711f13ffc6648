// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"berth/internal/procfs"
	"berth/libcontainer/cgroup"
	"berth/libcontainer/cgroup/stats"
	"berth/libcontainer/state"
)

// fakeContainer is a container whose init is a child of ours, and whose cgroup
// is a v2 of ordinary files. Closing end ends init.
func fakeContainer(t *testing.T) (c *Container, dir string, end func()) {
	t.Helper()
	cmd := exec.Command("/bin/cat")
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	end = func() {
		_ = in.Close() // again is no matter
		_ = cmd.Wait()
	}
	t.Cleanup(end)
	start, err := procfs.StartTime(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "web")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cgroup.procs": "1\n", "cgroup.events": "populated 1\n", "memory.events": "oom_kill 0\n", "cpu.stat": "usage_usec 5\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	paths, err := json.Marshal(cgroup.Paths{V2: &cgroup.Dir{Path: dir}})
	if err != nil {
		t.Fatal(err)
	}
	rec := &state.Record{ID: "web", InitPid: cmd.Process.Pid, InitStart: start, CgroupPaths: paths}
	return &Container{store: state.Store{Root: t.TempDir()}, rec: rec}, dir, end
}

// kill lets the fake kernel kill one process.
func kill(t *testing.T, dir, count string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "memory.events"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(count), int64(len("oom_kill "))); err != nil {
		t.Fatal(err)
	}
}

func TestEventsEndWithTheContainer(t *testing.T) {
	c, dir, end := fakeContainer(t)
	first, ooms := "", 0
	err := c.Events(t.Context(), time.Millisecond, func(e Event) error {
		if e.ID != "web" || e.Type == EventStats && e.Data.CPU.Usage.Total != 5000 {
			t.Errorf("event %+v", e)
		}
		if first == "" { // statistics: they come by themselves
			first = e.Type
			kill(t, dir, "1")
		}
		if e.Type != EventOOM {
			return nil
		}
		if ooms++; ooms == 1 {
			kill(t, dir, "2") // the one that ends the container
			end()
		}
		return nil
	})
	if err != nil || first != EventStats || ooms != 2 {
		t.Errorf("events: %s first, %d of type OOM, %v; want statistics first and both OOMs", first, ooms, err)
	}
	for _, err := range []error{c.Events(t.Context(), time.Second, nil), second(c.Stats())} {
		if !errors.Is(err, ErrNotRunning) || err.Error() != "container with id web is not running" {
			t.Errorf("of a stopped container: %v", err)
		}
	}
}

func second(_ *Stats, err error) error { return err }

func TestEventsStopWhenToldTo(t *testing.T) {
	c, _, _ := fakeContainer(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Events(ctx, time.Hour, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	full := errors.New("no space left")
	if err := c.Events(t.Context(), time.Millisecond, func(Event) error { return full }); !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
}

func TestContainerWithoutCgroupHasNoStatistics(t *testing.T) {
	c, dir, _ := fakeContainer(t)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stats(); !errors.Is(err, stats.ErrGone) {
		t.Errorf("Stats without the directory: %v, want %v", err, stats.ErrGone)
	}
	c.rec.CgroupPaths = nil
	for _, err := range []error{c.Events(t.Context(), time.Second, nil), second(c.Stats())} {
		if !errors.Is(err, stats.ErrNone) {
			t.Errorf("without a cgroup: %v, want %v", err, stats.ErrNone)
		}
	}
}

// TestStatsHaveRuncsNames is the top level of runc's types/events.go.
func TestStatsHaveRuncsNames(t *testing.T) {
	data, err := json.Marshal(Event{Type: EventStats, ID: "web", Data: &Stats{Stats: stats.Stats{Hugetlb: map[string]stats.Hugetlb{}}}})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Type, ID string
		Data     map[string]json.RawMessage
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	var short []string
	for _, key := range []string{"cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"} {
		if _, ok := got.Data[key]; !ok {
			t.Errorf("no %q in %s", key, data)
		}
		if text := string(got.Data[key]); len(text) < 5 {
			short = append(short, key+" "+text)
		}
	}
	want := []string{"pids {}", "blkio {}", "hugetlb {}", "intel_rdt {}", "network_interfaces null"}
	if len(got.Data) != 8 || !reflect.DeepEqual(short, want) {
		t.Errorf("got %d keys, of them %q; want 8, and %q", len(got.Data), short, want)
	}
	if oom, err := json.Marshal(Event{Type: EventOOM, ID: "web"}); err != nil || string(oom) != `{"type":"oom","id":"web"}` {
		t.Errorf("got %s, %v", oom, err)
	}
}
