// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const tap = `1..4
ok 1 run: it runs
not ok 2 run: it stops
# (in test file run.bats, line 7)
ok 3 run: checkpoints # skip criu is missing
ok 4 run: a # in a name # skip
`

func TestParseTAP(t *testing.T) {
	r := parseTAP(tap)
	if r.planned != 4 || len(r.cases) != 4 || r.count(passed) != 1 || r.count(failed) != 1 || r.count(skipped) != 2 {
		t.Errorf("%+v", r)
	}
	if c := r.cases["run: checkpoints"]; c != (result{skipped, "criu is missing"}) {
		t.Errorf("%+v", c)
	}
	if c := r.cases["run: a # in a name"]; c != (result{skipped, ""}) {
		t.Errorf("%+v", c)
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestComplaints(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"r/docker.berth.tap": tap, "r/docker.runc.tap": "1..4\nok 1 run: it runs\n", "r/docker.version": "Docker 1\n",
		"s/docker/reasons.txt": "# known\nall\trun: it stops\tthe kernel is too old\n",
	})
	engines, err := load(filepath.Join(dir, "r"), filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	want := "docker with berth: skipped: run: a # in a name\ndocker with runc: 4 cases planned, 1 ran"
	if got := strings.Join(complaints(engines), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	text := page(engines, "On a busy machine.")
	for _, want := range []string{"| docker | berth | 1 | 2 | 1 |", "- docker: Docker 1", "On a busy machine.",
		"**berth** failed (the kernel is too old), **runc** did not run (the kernel is too old): run: it stops"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// A reason excuses what the engine or the machine cannot do, not what Berth cannot.
func TestWhatOnlyBerthFails(t *testing.T) {
	e := &engine{name: "docker", reasons: map[key]string{{"all", "a"}: "because"}, runs: []suiteRun{parseTAP("1..1\nnot ok 1 a\n"), parseTAP("1..1\nok 1 a\n")}}
	e.runs[0].runtime, e.runs[1].runtime = "berth", "runc"
	if got := complaints([]*engine{e}); len(got) != 1 || !strings.Contains(got[0], "passes with runc") {
		t.Errorf("got %q", got)
	}
}

func TestReasonsWithoutAReason(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"reasons.txt": "runc\tsome case\n"})
	if _, err := readReasons(filepath.Join(dir, "reasons.txt")); err == nil || !strings.Contains(err.Error(), "reasons.txt:1") {
		t.Errorf("got %v", err)
	}
}
