// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"

	"berth/tests/series"
)

func TestSummarize(t *testing.T) {
	got := series.Summarize([]float64{4, 1, 3, 2})
	want := series.Summary{Min: 1, Median: 2.5, Mean: 2.5, Max: 4, N: 4}
	if got != want {
		t.Errorf("summary = %+v, want %+v", got, want)
	}
	if got := series.Summarize(nil); got != (series.Summary{}) {
		t.Errorf("summary of nothing = %+v", got)
	}
}

const rollup = `00400000-7ffea606d000 ---p 00000000 00:00 0                              [rollup]
Rss:               11836 kB
Pss:               11828 kB
Pss_Dirty:          3572 kB
Pss_Anon:           3572 kB
Anonymous:          3570 kB
`

func TestUsageIsReadFromSmapsRollup(t *testing.T) {
	got, err := kilobytes([]byte(rollup), "Pss", "Anonymous")
	if err != nil || got["Pss"] != 11828 || got["Anonymous"] != 3570 || len(got) != 2 {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := kilobytes([]byte("Rss:  12 kB\nPss:\n"), "Pss"); err == nil {
		t.Errorf("a missing number is %v", got)
	}
	if got, err := kilobytes([]byte("Name:\tsleep\nPPid:\t7\n"), "PPid"); err != nil || got["PPid"] != 7 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestHierarchiesThatAreNotMounted(t *testing.T) {
	const groups = "10:hugetlb:/\n9:name=systemd:/\n4:cpu,cpuacct:/a\n3:memory:/a:b\n0::/\n"
	const mounts = "33 31 0:30 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n" +
		"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,hugetlb\n"
	if got := strings.Join(missing(groups, mounts), " "); got != "hugetlb cpu,cpuacct" {
		t.Errorf("missing %q", got)
	}
}

func TestShimIsKnownByItsCommandLine(t *testing.T) {
	line := func(args ...string) []byte { return []byte(strings.Join(args, "\x00") + "\x00") }
	ours := line("/usr/bin/containerd-shim-runc-v2", "-namespace", "n", "-id", "web", "-address", "/d/c.sock")
	for _, c := range []struct {
		name string
		line []byte
		id   string
		want bool
	}{
		{"of the container", ours, "web", true},
		{"of any container", ours, "", true},
		{"of another container", ours, "we", false},
		{"of another containerd", line("containerd-shim-berth-v2", "-id", "web", "-address", "/run/c.sock"), "web", false},
		{"another program", line("/usr/bin/ctr", "-id", "web", "-address", "/d/c.sock"), "", false},
		{"a zombie", nil, "", false},
	} {
		if got := isShim(c.line, "/d/c.sock", c.id); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestReportShowsRatiosAndVerdicts(t *testing.T) {
	s := series.Set{}
	for _, v := range []float64{2, 2, 3} {
		s.Add(rowTask, "berth", v)
		s.Add(rowTask, "runc", 4*v)
		s.Add(rowParallel, "berth", 1.4*v)
		s.Add(rowParallel, "runc", v)
	}
	r := &results{opts: options{rounds: 3, settle: time.Second}, samples: s}
	text := r.markdown()
	for _, want := range []string{
		"| " + rowTask + " (to reach: ≤ 0.4 × runc) | berth | 2.0 | 2.0 | 2.3 | ms | 3 |  |  |\n",
		"|  | runc | 8.0 | 8.0 | 9.3 | ms | 3 | 0.25 | 0.25 |\n",
		"|  | runc | 3.0 | 2.0 | 2.3 | tasks/s | 3 | 1.40 | 1.40 |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	text = r.table()
	for _, want := range []string{"≤ 0.4 × runc: reached", "≥ 1.5 × runc: missed"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

func TestSectionIsReplacedWhereItIs(t *testing.T) {
	const section = sectionBegin + "new\n" + sectionEnd
	for _, c := range []struct{ name, text, want string }{
		{"new file", "", section},
		{"appended", "# Page\n", "# Page\n\n" + section},
		{"replaced", "a\n" + sectionBegin + "old\n" + sectionEnd + "z\n", "a\n" + section + "z\n"},
	} {
		if got := splice(c.text, "new\n"); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
