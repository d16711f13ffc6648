// SPDX-License-Identifier: Apache-2.0

package stats_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"berth/libcontainer/cgroup"
	"berth/libcontainer/cgroup/stats"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// plant makes the files that testdata/name.tree has: "== path", then lines.
func plant(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".tree"))
	if err != nil {
		t.Fatal(err)
	}
	top := t.TempDir()
	for _, file := range strings.Split("\n"+string(text), "\n== ")[1:] {
		path, content, _ := strings.Cut(file, "\n")
		put(t, filepath.Join(top, path), content+"\n")
	}
	return top
}

func put(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// dirsOf takes each directory for the controller of its name.
func dirsOf(t testing.TB, top string) stats.Dirs {
	t.Helper()
	entries, err := os.ReadDir(top)
	if err != nil {
		t.Fatal(err)
	}
	d := stats.Dirs{V1: map[string]string{}}
	for _, e := range entries {
		path := filepath.Join(top, e.Name())
		if e.Name() == "web" || e.Name() == "unified" {
			d.V2 = path
			continue
		}
		d.V1[e.Name()] = path
	}
	return d
}

func TestStatisticsOfEachKindOfHost(t *testing.T) {
	for _, name := range []string{"v1", "v2", "hybrid"} {
		s, err := stats.Read(dirsOf(t, plant(t, name)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := json.MarshalIndent(s, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		golden := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestKernelWithoutControllersGivesZeros(t *testing.T) {
	top := t.TempDir()
	put(t, top+"/cgroup.procs", "7\n8\n")
	v1 := map[string]string{}
	for _, c := range []string{"cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "hugetlb", "rdma", "misc"} {
		v1[c] = top
	}
	for _, c := range []struct {
		dirs stats.Dirs
		pids uint64
	}{
		{stats.Dirs{V2: top}, 2}, // counted in cgroup.procs
		{stats.Dirs{V1: v1}, 0},
	} {
		s, err := stats.Read(c.dirs)
		want := stats.Stats{Hugetlb: map[string]stats.Hugetlb{}, Pids: stats.Pids{Current: c.pids}}
		if err != nil || toJSON(t, s) != toJSON(t, want) {
			t.Errorf("Read(%v) = %s, %v, want %s", c.dirs, toJSON(t, s), err, toJSON(t, want))
		}
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestVanishedCgroupIsAnError(t *testing.T) {
	removed := t.TempDir() // as a removed cgroup looks: there, and empty
	top := plant(t, "v1")
	partly := dirsOf(t, top)
	if err := os.RemoveAll(top + "/pids"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dirs stats.Dirs
		want error
	}{
		{stats.Dirs{}, stats.ErrNone},
		{stats.Dirs{V2: removed}, stats.ErrGone},
		{stats.Dirs{V2: removed + "/nothing"}, stats.ErrGone},
		{stats.Dirs{V1: map[string]string{"memory": removed}}, stats.ErrGone},
		{partly, stats.ErrGone},
	} {
		if s, err := stats.Read(c.dirs); !errors.Is(err, c.want) || s != nil {
			t.Errorf("Read(%v) = %v, %v, want %v", c.dirs, s, err, c.want)
		}
	}
}

func TestBrokenFileIsNamed(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"cpu.stat", "usage_usec 1\nuser_usec x\n", `cannot parse line "user_usec x"`},
		{"memory.current", "many\n", `"many" is not a number`},
		{"io.stat", "rbytes=3\n", `cannot parse line "rbytes=3"`},
		{"cpuset.cpus.effective", "3-1\n", `cannot parse line "3-1"`},
		{"memory.pressure", "some avg10=inf\n", `cannot parse line "some avg10=inf"`},
	} {
		top := t.TempDir()
		put(t, top+"/cgroup.procs", "")
		put(t, filepath.Join(top, c.file), c.text)
		_, err := stats.Read(stats.Dirs{V2: top})
		want := "cannot read statistics: " + top + "/" + c.file + ": " + c.want
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestSymbolicLinksAreNotFollowed(t *testing.T) {
	top := t.TempDir()
	put(t, top+"/web/cgroup.procs", "")
	if err := os.Symlink("/etc/passwd", top+"/web/cpu.stat"); err != nil {
		t.Fatal(err)
	}
	if _, err := stats.Read(stats.Dirs{V2: top + "/web"}); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a file: %v, want %v", err, unix.ELOOP)
	}
	if err := os.Symlink("web", top+"/link"); err != nil {
		t.Fatal(err)
	}
	if _, err := stats.Read(stats.Dirs{V2: top + "/link"}); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("a directory: %v, want %v", err, unix.ENOTDIR)
	}
}

// TestThisMachine reads the top of what is mounted here, which lacks some files.
func TestThisMachine(t *testing.T) {
	facts, err := cgroup.Probe()
	if err != nil {
		t.Fatal(err)
	}
	d := stats.Dirs{V1: map[string]string{}, V2: facts.V2Mount}
	for _, h := range facts.Hierarchies {
		for _, c := range h.Controllers {
			d.V1[c] = h.Mountpoint
		}
	}
	if d.Empty() {
		t.Skip("needs a mounted cgroup hierarchy")
	}
	s, err := stats.Read(d)
	if err != nil || s.CPU.Usage.Total == 0 {
		t.Errorf("Read(%v) = %+v, %v, want some CPU time", d, s, err)
	}
}

func TestManagerNamesTheDirectories(t *testing.T) {
	there := t.TempDir()
	paths := cgroup.Paths{
		V1: []cgroup.Dir{{Controllers: []string{"cpu", "cpuacct"}, Path: there}, {Controllers: []string{"memory"}, Path: "/nowhere"}, {Controllers: []string{"name=systemd"}, Path: there}},
		V2: &cgroup.Dir{Path: "/nowhere"},
	}
	want := `{"V1":{"cpu":"` + there + `","cpuacct":"` + there + `","memory":"/nowhere"},"V2":"/nowhere"}`
	if got := toJSON(t, cgroup.Open(paths).StatDirs()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	paths.Rootless = true // may have made some only
	want = `{"V1":{"cpu":"` + there + `","cpuacct":"` + there + `"},"V2":""}`
	if got := toJSON(t, cgroup.Open(paths).StatDirs()); got != want {
		t.Errorf("rootless: got %s, want %s", got, want)
	}
	if d := cgroup.Open(cgroup.Paths{}).StatDirs(); !d.Empty() {
		t.Errorf("without a cgroup: %v", d)
	}
}

func BenchmarkRead(b *testing.B) {
	d := dirsOf(b, plant(b, "v2"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := stats.Read(d); err != nil {
			b.Fatal(err)
		}
	}
}
