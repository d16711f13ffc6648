// SPDX-License-Identifier: Apache-2.0

package cgroup_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/libcontainer/cgroup"
	"berth/libcontainer/config"
)

// host returns this machine's facts and the paths of a cgroup in a sub-tree of
// our own, or skips. The sub-tree is removed at the end, and must then be empty.
func host(t testing.TB, name string) (cgroup.Facts, cgroup.Paths) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes cgroups")
	}
	facts, err := cgroup.Probe()
	if err != nil {
		t.Fatal(err)
	}
	if len(facts.Hierarchies) == 0 && facts.V2Mount == "" {
		t.Skip("needs a mounted cgroup hierarchy")
	}
	top := fmt.Sprintf("/berth-test-%d", os.Getpid())
	if os.Mkdir(filepath.Join(mounts(facts)[0], top), 0o755) != nil {
		t.Skip("needs writable cgroup hierarchies")
	}
	paths, err := cgroup.Resolve(config.Cgroup{Path: top + "/" + name}, name, false, facts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m := cgroup.Open(paths)
		if err := errors.Join(m.KillAll(unix.SIGKILL), m.Remove()); err != nil {
			t.Error(err)
		}
		for _, mount := range mounts(facts) {
			if err := os.Remove(filepath.Join(mount, top)); err != nil && !os.IsNotExist(err) {
				t.Errorf("left behind: %v", err)
			}
		}
	})
	return facts, paths
}

func mounts(f cgroup.Facts) []string {
	var all []string
	for _, h := range f.Hierarchies {
		all = append(all, h.Mountpoint)
	}
	if f.V2Mount != "" {
		all = append(all, f.V2Mount)
	}
	return all
}

// created is a cgroup with the limits of resources.
func created(t testing.TB, name, limits string) (*cgroup.Manager, cgroup.Facts) {
	t.Helper()
	facts, paths := host(t, name)
	m := cgroup.Open(paths)
	if err := m.Create(true); err != nil {
		t.Fatal(err)
	}
	if limits != "" {
		l, err := cgroup.Compile(resources(t.(*testing.T), limits), facts)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Apply(l); err != nil {
			t.Fatal(err)
		}
	}
	return m, facts
}

// start runs script in the cgroup, joined as a container's init joins, and
// returns when it is about to run.
func start(t *testing.T, m *cgroup.Manager, files []*os.File, dir *os.File, script string) *exec.Cmd {
	t.Helper()
	var join strings.Builder
	for i := range files {
		fmt.Fprintf(&join, "echo 0 >/proc/$$/fd/%d && ", 3+i)
	}
	cmd := exec.Command("/bin/sh", "-c", join.String()+"echo ready && "+script)
	cmd.ExtraFiles = files
	if dir != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = m.Thaw()           // a frozen process of v1 would not die
		_ = cmd.Process.Kill() // may be dead
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		rest, _ := io.ReadAll(out)
		t.Fatalf("did not join: %q, %v", line+string(rest), err)
	}
	for _, f := range append(files, dir) {
		_ = f.Close()
	}
	return cmd
}

func join(t *testing.T, m *cgroup.Manager) ([]*os.File, *os.File) {
	t.Helper()
	files, dir, err := m.ExecProcs(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return files, dir
}

// isIn says whether /proc/PID/cgroup has the path in a hierarchy: below that of
// our own, where we are in a container.
func isIn(cgroups, key, path string) bool {
	for line := range strings.Lines(cgroups) {
		if _, rest, _ := strings.Cut(line, ":"); strings.HasPrefix(rest, key+":") && strings.HasSuffix(rest, path+"\n") {
			return true
		}
	}
	return false
}

func TestInitJoinsEveryHierarchy(t *testing.T) {
	m, facts := created(t, "join", "")
	files, dir := join(t, m)
	cmd := start(t, m, files, dir, "sleep 60")
	got, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for key := range facts.Own {
		mounted := key == "" && facts.Unified
		for _, h := range facts.Hierarchies {
			mounted = mounted || h.Key() == key
		}
		if want := fmt.Sprintf("/berth-test-%d/join", os.Getpid()); mounted && !isIn(string(got), key, want) {
			t.Errorf("not in hierarchy %q: got\n%swant %s", key, got, want)
		}
	}
	pids, err := m.PIDs(true)
	if err != nil || len(pids) == 0 || pids[0] != cmd.Process.Pid {
		t.Errorf("PIDs = %v, %v, want %d first", pids, err, cmd.Process.Pid)
	}
}

func TestLimitsAreReadBack(t *testing.T) {
	m, facts := created(t, "limits", `{
		"memory":{"limit":8388608,"reservation":4194304,"swap":16777216,"swappiness":10},
		"pids":{"limit":17},
		"cpu":{"shares":512,"quota":50000,"period":100000,"burst":1000,"cpus":"0","mems":"0"},
		"blockIO":{"weight":300}}`)
	if facts.Unified {
		t.Skip("needs cgroup v1: the files are v1's")
	}
	for _, c := range []struct{ controller, file, want string }{
		{"memory", "memory.limit_in_bytes", "8388608"},
		{"memory", "memory.memsw.limit_in_bytes", "16777216"},
		{"memory", "memory.soft_limit_in_bytes", "4194304"},
		{"memory", "memory.swappiness", "10"},
		{"pids", "pids.max", "17"},
		{"cpu", "cpu.shares", "512"},
		{"cpu", "cpu.cfs_quota_us", "50000"},
		{"cpu", "cpu.cfs_burst_us", "1000"},
		{"cpuset", "cpuset.cpus", "0"},
		{"blkio", "blkio.bfq.weight", "300"},
		{"devices", "devices.list", "c *:* m\nb *:* m\nc 1:3 rwm\nc 1:5 rwm\nc 1:7 rwm\nc 1:8 rwm\nc 1:9 rwm\nc 5:0 rwm\nc 5:2 rwm\nc 136:* rwm\nc 10:200 rwm"},
	} {
		if got := read(t, m, c.controller, c.file); got != c.want {
			t.Errorf("%s = %q, want %q", c.file, got, c.want)
		}
	}
	// Growing past the old swap limit and shrinking below it, both in one go.
	for _, limits := range []string{
		`{"memory":{"limit":33554432,"swap":67108864},"cpu":{"quota":200000,"period":1000000,"burst":100}}`,
		`{"memory":{"limit":4194304,"swap":4194304},"cpu":{"quota":2000,"period":10000,"burst":2000}}`,
		`{"memory":{"limit":-1},"cpu":{"quota":-1}}`,
	} {
		l, err := cgroup.Compile(resources(t, limits), facts)
		if err == nil {
			err = m.Apply(l)
		}
		if err != nil {
			t.Errorf("update %s: %v", limits, err)
		}
	}
}

func read(t *testing.T, m *cgroup.Manager, controller, file string) string {
	t.Helper()
	for _, d := range m.Paths().V1 {
		if d.Controllers[0] != controller {
			continue
		}
		data, err := os.ReadFile(filepath.Join(d.Path, file))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(data))
	}
	t.Fatalf("no %s", controller)
	return ""
}

func TestRefusedLimitNamesFieldAndFile(t *testing.T) {
	m, facts := created(t, "refused", "")
	if facts.Unified {
		t.Skip("needs cgroup v1: the files are v1's")
	}
	dir := filepath.Join(mountOf(facts, "cpuset"), fmt.Sprintf("berth-test-%d/refused", os.Getpid()))
	for _, c := range []struct{ limits, want string }{
		{`{"cpu":{"cpus":"4000"}}`, `linux.resources.cpu.cpus: cannot write "4000" to ` + dir + `/cpuset.cpus: numerical result out of range`},
		{`{"cpu":{"cpus":"9-8"}}`, `linux.resources.cpu.cpus: cannot write "9-8" to ` + dir + `/cpuset.cpus: invalid argument`},
	} {
		limits, err := cgroup.Compile(resources(t, c.limits), facts)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Apply(limits); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.limits, err, c.want)
		}
	}
}

func mountOf(f cgroup.Facts, controller string) string {
	for _, h := range f.Hierarchies {
		if h.Controllers[0] == controller {
			return h.Mountpoint
		}
	}
	return ""
}

func TestCreateRefusesWhatIsNotOurs(t *testing.T) {
	m, _ := created(t, "theirs", "")
	if err := m.Create(true); err != nil {
		t.Errorf("empty: got %v, want an empty cgroup to be taken", err)
	}
	if err := m.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := m.Create(true); !errors.Is(err, cgroup.ErrFrozen) {
		t.Errorf("frozen: got %v, want %v", err, cgroup.ErrFrozen)
	}
	if err := m.Thaw(); err != nil {
		t.Fatal(err)
	}
	files, dir := join(t, m)
	start(t, m, files, dir, "exec sleep 60")
	want := "container's cgroup is not empty: 1 process(es) found"
	var notEmpty *cgroup.NotEmptyError
	for _, err := range []error{m.Check(), m.Create(true)} {
		if !errors.As(err, &notEmpty) || err.Error() != want {
			t.Errorf("populated: got %v, want %s", err, want)
		}
	}
	if !m.Exists() {
		t.Error("a refused Create has removed what it did not make")
	}
}

func TestFailedCreateLeavesNothing(t *testing.T) {
	_, paths := host(t, "a/b/c")
	bad := paths
	bad.V1 = append([]cgroup.Dir{}, paths.V1...)
	if len(bad.V1) == 0 {
		t.Skip("needs cgroup v1: breaks the last of several hierarchies")
	}
	last := &bad.V1[len(bad.V1)-1]
	last.Path = last.Path + "/" + "x\n" // the kernel refuses newlines
	if err := cgroup.Open(bad).Create(true); !errors.Is(err, unix.EINVAL) {
		t.Errorf("got %v, want %v", err, unix.EINVAL)
	}
	for _, d := range paths.V1[1:] {
		top := filepath.Dir(filepath.Dir(filepath.Dir(d.Path)))
		if _, err := os.Stat(top); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", top, err)
		}
	}
	// The first hierarchy's top was made by the test.
	if _, err := os.Stat(filepath.Dir(filepath.Dir(paths.V1[0].Path))); !os.IsNotExist(err) {
		t.Errorf("a parent is left: %v", err)
	}
}

func TestFreezeThaw(t *testing.T) {
	m, _ := created(t, "freeze", "")
	files, dir := join(t, m)
	start(t, m, files, dir, "while :; do :; done")
	for _, want := range []bool{true, false, true} {
		f := m.Thaw
		if want {
			f = m.Freeze
		}
		if err := f(); err != nil {
			t.Fatal(err)
		}
		if got, err := m.Frozen(); got != want || err != nil {
			t.Errorf("Frozen = %v, %v, want %v", got, err, want)
		}
	}
}

func TestKillOfFrozenNestedForkers(t *testing.T) {
	m, _ := created(t, "kill", `{"pids":{"limit":100}}`)
	files, dir := join(t, m)
	start(t, m, files, dir, "f() { while :; do sleep 0.01 & done; }; f & f")
	// A nested engine's cgroup, with a process that is only there.
	nested, err := m.PIDs(false)
	if err != nil || len(nested) == 0 {
		t.Fatal(nested, err)
	}
	p := m.Paths()
	for _, d := range p.V1 {
		if d.Controllers[0] == "freezer" || d.Controllers[0] == "devices" {
			sub := filepath.Join(d.Path, "nested")
			if err := os.Mkdir(sub, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(sub+"/cgroup.procs", []byte(strconv.Itoa(nested[0])), 0); err != nil {
				t.Fatal(err)
			}
			if d.Controllers[0] == "freezer" {
				if err := os.WriteFile(sub+"/freezer.state", []byte("FROZEN"), 0); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := m.Freeze(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := m.KillAll(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := m.Remove(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("kill and remove took %v, want less than 2 s", d)
	}
	if m.Exists() {
		t.Error("the cgroup still exists")
	}
}

func TestKillWithoutV2(t *testing.T) {
	m, facts := created(t, "kill1", "")
	if facts.Unified {
		t.Skip("needs cgroup v1")
	}
	p := m.Paths()
	p.V2 = nil
	files, _ := join(t, m)
	start(t, m, files, nil, "f() { while :; do sleep 0.01 & done; }; f & sleep 60")
	if err := cgroup.Open(p).KillAll(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestOtherSignalsKeepTheFreezerState(t *testing.T) {
	m, _ := created(t, "term", "")
	files, dir := join(t, m)
	cmd := start(t, m, files, dir, "exec sleep 60")
	if err := m.KillAll(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || err.Error() != "signal: terminated" {
		t.Errorf("got %v, want signal: terminated", err)
	}
	if frozen, err := m.Frozen(); frozen || err != nil {
		t.Errorf("Frozen = %v, %v, want false", frozen, err)
	}
}

func TestOOMKillIsCounted(t *testing.T) {
	m, _ := created(t, "oom", `{"memory":{"limit":8388608,"swap":8388608}}`)
	files, dir := join(t, m)
	cmd := start(t, m, files, dir, "exec tail /dev/zero")
	if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("got %v, want signal: killed", err)
	}
	if n, err := m.OOMKills(); n == 0 || err != nil {
		t.Errorf("OOMKills = %d, %v, want 1 or more", n, err)
	}
}

func TestExecIntoSubCgroup(t *testing.T) {
	m, facts := created(t, "exec", "")
	if facts.Unified {
		t.Skip("needs cgroup v1: names controllers")
	}
	for _, c := range []struct {
		cgroups []string
		want    string
	}{
		{[]string{"a", "b"}, "invalid --cgroup argument: a (missing <controller>: prefix)"},
		{[]string{"cpu,:a"}, "invalid --cgroup argument: cpu,:a (empty <controller> prefix)"},
		{[]string{"cpu:a", "cpu:b"}, "invalid --cgroup argument(s): controller cpu specified multiple times"},
		{[]string{"nope:a"}, "unknown controller nope in SubCgroupPaths"},
		{[]string{"../.."}, "../.. is not a sub cgroup path"},
		{[]string{"cpu:/a/../../b"}, "/a/../../b is not a sub cgroup path"},
	} {
		if _, _, err := m.ExecProcs(c.cgroups, 0); err == nil || err.Error() != c.want {
			t.Errorf("%v: got %v, want %s", c.cgroups, err, c.want)
		}
	}
	sub := filepath.Join(mountOf(facts, "cpu"), fmt.Sprintf("berth-test-%d/exec/sub", os.Getpid()))
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	files, dir, err := m.ExecProcs([]string{"cpu:/sub"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := start(t, m, files, dir, "exec sleep 60")
	got, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", cmd.Process.Pid))
	if want := fmt.Sprintf("/berth-test-%d/exec/sub", os.Getpid()); !isIn(string(got), "cpu", want) {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestExecFollowsInit(t *testing.T) {
	m, facts := created(t, "follow", "")
	if facts.Unified {
		t.Skip("needs cgroup v1: moves init in one hierarchy")
	}
	files, dir := join(t, m)
	init := start(t, m, files, dir, "exec sleep 60")
	cpu := filepath.Join(mountOf(facts, "cpu"), fmt.Sprintf("berth-test-%d", os.Getpid()))
	if err := os.Mkdir(cpu+"/moved", 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before the sub-tree goes
		_ = m.KillAll(unix.SIGKILL)
		if err := os.Remove(cpu + "/moved"); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(cpu+"/moved/cgroup.procs", []byte(strconv.Itoa(init.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(cpu + "/follow"); err != nil {
		t.Fatal(err)
	}
	files, dir, err := m.ExecProcs(nil, init.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	cmd := start(t, m, files, dir, "exec sleep 60")
	got, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", cmd.Process.Pid))
	if want := fmt.Sprintf("/berth-test-%d/moved", os.Getpid()); !isIn(string(got), "cpu", want) {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// TestDeepCgroupsCanBeRemoved: a container that may write to its cgroups nests
// them until no path to the innermost one is short enough for the kernel.
func TestDeepCgroupsCanBeRemoved(t *testing.T) {
	m, _ := created(t, "deep", "")
	dir := ""
	for _, d := range m.Paths().V1 {
		if slices.Contains(d.Controllers, "devices") {
			dir = d.Path
		}
	}
	if d := m.Paths().V2; dir == "" && d != nil {
		dir = d.Path
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("x", 240)
	for range 18 { // 18 × 240 > PATH_MAX
		if err := unix.Mkdirat(fd, name, 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = unix.Close(fd)
		fd = next
	}
	_ = unix.Close(fd)
	if _, err := m.PIDs(true); err != nil {
		t.Errorf("PIDs: %v", err)
	}
	if err := m.KillAll(unix.SIGKILL); err != nil {
		t.Errorf("KillAll: %v", err)
	}
	if err := m.Remove(); err != nil {
		t.Errorf("Remove: %v", err)
	}
}
