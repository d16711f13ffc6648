// SPDX-License-Identifier: Apache-2.0

package oom_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/libcontainer/cgroup/oom"
	"berth/libcontainer/cgroup/stats"
)

// fake is a cgroup v2 of ordinary files, for which inotify works alike.
type fake struct {
	t   *testing.T
	dir string
}

func newFake(t *testing.T) fake {
	f := fake{t, filepath.Join(t.TempDir(), "web")}
	if err := os.Mkdir(f.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cgroup.procs":  "",
		"cgroup.events": "populated 1\nfrozen 0\n",
		"memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 1\noom_group_kill 0\n",
	} {
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f fake) dirs() stats.Dirs { return stats.Dirs{V2: f.dir} }

// set changes one digit in place: the kernel's files are never empty meanwhile.
func (f fake) set(name, key, digit string) {
	f.t.Helper()
	file, err := os.OpenFile(filepath.Join(f.dir, name), os.O_RDWR, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	defer file.Close()
	data, err := os.ReadFile(file.Name())
	if err == nil {
		_, err = file.WriteAt([]byte(digit), int64(strings.Index(string(data), key+" ")+len(key)+1))
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func watch(t *testing.T, d stats.Dirs) *oom.Watcher {
	t.Helper()
	w, err := oom.Watch(d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() }) // again is no error
	return w
}

// wantEvents waits until the events add up to n.
func wantEvents(t *testing.T, w *oom.Watcher, n uint64) {
	t.Helper()
	sum := uint64(0)
	for sum < n {
		select {
		case m, ok := <-w.Events():
			if !ok {
				t.Fatalf("ended with %v after %d events, want %d", w.Err(), sum, n)
			}
			sum += m
		case <-time.After(10 * time.Second):
			t.Fatalf("%d events, want %d", sum, n)
		}
	}
	if sum != n {
		t.Errorf("%d events, want %d", sum, n)
	}
}

// wantEnd waits for the end, and wants no event before it.
func wantEnd(t *testing.T, w *oom.Watcher) {
	t.Helper()
	select {
	case n, ok := <-w.Events():
		if ok {
			t.Fatalf("%d more events, want none", n)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no end")
	}
	if err := errors.Join(w.Err(), w.Close()); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestV2KillsAreCounted(t *testing.T) {
	f := newFake(t)
	w := watch(t, f.dirs()) // of the kill that was before it says nothing
	f.set("memory.events", "oom_kill", "2")
	wantEvents(t, w, 1)
	f.set("memory.events", "high", "7") // not a kill
	f.set("memory.events", "oom_kill", "5")
	wantEvents(t, w, 3)
	f.set("cgroup.events", "populated", "0")
	wantEnd(t, w)
}

func TestV2KillOfTheLastProcessIsNotMissed(t *testing.T) {
	f := newFake(t)
	w := watch(t, f.dirs())
	f.set("memory.events", "oom_kill", "2")
	f.set("cgroup.events", "populated", "0")
	wantEvents(t, w, 1)
	wantEnd(t, w)
}

func TestV2RemovalEnds(t *testing.T) {
	f := newFake(t)
	f.set("cgroup.events", "populated", "0") // not yet populated is no end
	w := watch(t, f.dirs())
	f.set("memory.events", "oom_kill", "2")
	wantEvents(t, w, 1)
	if err := os.RemoveAll(f.dir); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, w)
}

func TestV2SiblingsAreNobodysBusiness(t *testing.T) {
	f := newFake(t)
	w := watch(t, f.dirs())
	for _, name := range []string{"a", "web2", "a-name-of-more-than-sixteen-letters"} {
		dir := filepath.Join(filepath.Dir(f.dir), name)
		if err := errors.Join(os.Mkdir(dir, 0o755), os.Remove(dir)); err != nil {
			t.Fatal(err)
		}
	}
	f.set("memory.events", "oom_kill", "2")
	wantEvents(t, w, 1)
}

func TestSlowReaderGetsTheSum(t *testing.T) {
	f := newFake(t)
	w := watch(t, f.dirs())
	for _, digit := range []string{"2", "3", "4", "5"} {
		f.set("memory.events", "oom_kill", digit)
	}
	if err := w.Close(); err != nil { // nobody reads, and nothing blocks
		t.Fatal(err)
	}
	wantEvents(t, w, 4)
	wantEnd(t, w)
}

func TestWatchSaysWhatIsMissing(t *testing.T) {
	empty, f := t.TempDir(), newFake(t)
	if err := os.Remove(f.dir + "/memory.events"); err != nil {
		t.Fatal(err)
	}
	v1 := func(dir string) stats.Dirs { return stats.Dirs{V1: map[string]string{"memory": dir}} }
	for _, c := range []struct {
		dirs stats.Dirs
		want error
	}{
		{stats.Dirs{}, oom.ErrUnsupported},
		{stats.Dirs{V1: map[string]string{"cpu": f.dir}}, errors.ErrUnsupported},
		{f.dirs(), oom.ErrUnsupported}, // a v2 without the controller
		{v1(f.dir), oom.ErrUnsupported},
		{stats.Dirs{V2: empty}, stats.ErrGone},
		{stats.Dirs{V2: empty + "/web"}, stats.ErrGone},
		{v1(empty), stats.ErrGone},
	} {
		if _, err := oom.Watch(c.dirs); !errors.Is(err, c.want) {
			t.Errorf("Watch(%v) = %v, want %v", c.dirs, err, c.want)
		}
	}
	if err := os.Symlink(f.dir, empty+"/link"); err != nil {
		t.Fatal(err)
	}
	if _, err := oom.Watch(stats.Dirs{V2: empty + "/link"}); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("a link: %v, want %v", err, unix.ENOTDIR)
	}
}

func TestNoDescriptorIsLeaked(t *testing.T) {
	f := newFake(t)
	_ = watch(t, f.dirs()).Close() // the runtime's poller stays open
	before := openFDs(t)
	for range 10 {
		if err := watch(t, f.dirs()).Close(); err != nil {
			t.Error(err)
		}
		_, _ = oom.Watch(stats.Dirs{V1: map[string]string{"memory": f.dir}})
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors open, want %d", after, before)
	}
}

func openFDs(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
