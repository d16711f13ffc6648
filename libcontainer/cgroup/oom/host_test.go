// SPDX-License-Identifier: Apache-2.0

package oom_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/libcontainer/cgroup"
	"berth/libcontainer/cgroup/oom"
	"berth/libcontainer/cgroup/stats"
)

// eater is the variable that makes the test binary a process that, once told
// on stdin, takes more memory than it may.
const eater = "BERTH_TEST_EAT_MEMORY"

func TestMain(m *testing.M) {
	if os.Getenv(eater) != "" {
		eat()
	}
	os.Exit(m.Run())
}

// eat takes 256 MiB, page by page.
func eat() {
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // the end is good too
	data, err := unix.Mmap(-1, 0, 256<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for i := 0; i < len(data); i += os.Getpagesize() {
		data[i] = 1
	}
	fmt.Fprintln(os.Stderr, "nobody minded")
	os.Exit(1)
}

// limit is far less than what an eater takes.
const limit = "16777216"

// limited makes a memory cgroup with that limit on this machine, or skips.
func limited(t *testing.T) stats.Dirs {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "root: makes cgroups")
	}
	facts, err := cgroup.Probe()
	if err != nil {
		t.Fatal(err)
	}
	mount, v2 := facts.V2Mount, true
	for _, h := range facts.Hierarchies {
		if slices.Contains(h.Controllers, "memory") {
			mount, v2 = h.Mountpoint, false
		}
	}
	if mount == "" || v2 && !slices.Contains(facts.V2Controllers, "memory") {
		missing(t, "a memory controller")
	}
	dir := filepath.Join(mount, "berth-oom-test-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		missing(t, "a writable cgroup hierarchy")
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("left behind: %v", err)
		}
	})
	if v2 {
		write(t, mount, "cgroup.subtree_control", "+memory")
		write(t, dir, "memory.max", limit)
		_ = os.WriteFile(dir+"/memory.swap.max", []byte("0"), 0) // without swap there is no such file
		return stats.Dirs{V2: dir}
	}
	write(t, dir, "memory.limit_in_bytes", limit)
	// More than the limit: Linux 6.18 counts no failures of an equal one.
	_ = os.WriteFile(dir+"/memory.memsw.limit_in_bytes", []byte("33554432"), 0) // as above
	return stats.Dirs{V1: map[string]string{"memory": dir}}
}

// missing skips, or fails where the machine was promised to have all.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("BERTH_TEST_REQUIRE") != "" {
		t.Fatalf("missing: %s", what)
	}
	t.Skipf("missing: %s", what)
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// feed runs an eater in the cgroup to its end.
func feed(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), eater+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "cgroup.procs", strconv.Itoa(cmd.Process.Pid))
	_ = in.Close() // go
	var exit *exec.ExitError
	err = cmd.Wait()
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the process ended with %v, want to be killed", err)
	}
}

func pathOf(d stats.Dirs) string {
	if d.V2 != "" {
		return d.V2
	}
	return d.V1["memory"]
}

// drain returns the number of events until the end.
func drain(t *testing.T, w *oom.Watcher) uint64 {
	t.Helper()
	sum := uint64(0)
	for {
		select {
		case n, ok := <-w.Events():
			if !ok {
				if err := errors.Join(w.Err(), w.Close()); err != nil {
					t.Errorf("ended with %v", err)
				}
				return sum
			}
			sum += n
		case <-time.After(10 * time.Second):
			t.Fatalf("no end after %d events", sum)
		}
	}
}

func TestKernelTellsOfAnOOMAndOfTheRemoval(t *testing.T) {
	d := limited(t)
	w := watch(t, d)
	feed(t, pathOf(d))
	select {
	case n, ok := <-w.Events():
		if !ok || n == 0 {
			t.Errorf("%d events, open %v: %v", n, ok, w.Err())
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no event")
	}
	s, err := stats.Read(d)
	if err != nil || s.Memory.Events == nil || s.Memory.Events.OOMKill != 1 || s.Memory.Usage.Failcnt == 0 {
		t.Errorf("statistics: %v, want one kill in %+v", err, s)
	}
	if err := os.Remove(pathOf(d)); err != nil {
		t.Fatal(err)
	}
	// v1 tells again when a second thread meets the limit before the kill.
	if n := drain(t, w); n > 1 {
		t.Errorf("%d more events, want none", n)
	}
	if _, err := stats.Read(d); !errors.Is(err, stats.ErrGone) {
		t.Errorf("statistics of a removed cgroup: %v, want %v", err, stats.ErrGone)
	}
}

func TestKernelsEventsBeforeCloseAreKept(t *testing.T) {
	d := limited(t)
	w := watch(t, d)
	feed(t, pathOf(d))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if n := drain(t, w); n == 0 {
		t.Error("no event")
	}
	watch(t, d) // as often as one likes
}
