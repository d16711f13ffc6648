// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"berth/tests/series"
)

// The rows, in the order in which they are reported.
const (
	rowRun       = "`ctr run --rm … true`"
	rowTask      = "task create, start, exit event (gRPC)"
	rowParallel  = "8 workers: create, start, exit, delete"
	rowExec      = "`ctr task exec … true`"
	rowClient    = "`ctr version`, a part of the ctr rows"
	rowAlone     = "PSS of one idle shim, no other running"
	rowPSS       = "PSS of each of ten idle shims"
	rowAnonymous = "anonymous memory of each of ten idle shims"
	rowPod       = "PSS of the shims of ten containers ÷ 10"
)

// row is a row group of the report. The bar is for our value ÷ runc's.
type row struct {
	name, unit string
	bar        float64 // 0 for none
	higher     bool    // is better
}

var rows = []row{
	{name: rowRun, unit: "ms", bar: 0.65},
	{name: rowTask, unit: "ms", bar: 0.4},
	{name: rowParallel, unit: "tasks/s", bar: 1.5, higher: true},
	{name: rowExec, unit: "ms", bar: 0.6},
	{name: rowClient, unit: "ms"},
	{name: rowAlone, unit: "kB", bar: 0.6},
	{name: rowPSS, unit: "kB", bar: 0.6},
	{name: rowAnonymous, unit: "kB", bar: 1},
	{name: rowPod, unit: "kB", bar: 0.25},
}

// names are the lines of a row group.
var names = []string{"berth", "runc", "runc, pod", "ctr"}

func (r row) goal() string {
	switch {
	case r.bar == 0:
		return ""
	case r.higher:
		return fmt.Sprintf("≥ %g × runc", r.bar)
	}
	return fmt.Sprintf("≤ %g × runc", r.bar)
}

// best is the value that noise has touched least.
func (r row) best(s series.Summary) float64 {
	if r.higher {
		return s.Max
	}
	return s.Min
}

// results are the finished measurements and what they were made with.
type results struct {
	opts     options
	samples  series.Set
	versions []string
	when     time.Time
	took     time.Duration
}

// ratio is that of our shim's medians, and of its best values, to another's.
func (r *results) ratio(w row, name string) (median, best float64, ok bool) {
	ours, theirs := r.samples[w.name][shims[0].name], r.samples[w.name][name]
	if name == shims[0].name || len(ours) == 0 || len(theirs) == 0 {
		return 0, 0, false
	}
	a, b := series.Summarize(ours), series.Summarize(theirs)
	return a.Median / b.Median, w.best(a) / w.best(b), true
}

// cells are one line of the table, after its title and name.
func (r *results) cells(w row, name string) ([]string, bool) {
	values := r.samples[w.name][name]
	if len(values) == 0 {
		return nil, false
	}
	s := series.Summarize(values)
	format := "%.1f"
	if w.unit == "kB" {
		format = "%.0f"
	}
	cells := []string{
		fmt.Sprintf(format, w.best(s)), fmt.Sprintf(format, s.Median), fmt.Sprintf(format, s.Mean), w.unit, fmt.Sprint(s.N), "", "",
	}
	if median, best, ok := r.ratio(w, name); ok {
		cells[5], cells[6] = fmt.Sprintf("%.2f", median), fmt.Sprintf("%.2f", best)
	}
	return cells, true
}

// verdict says whether the medians reach the bar.
func (r *results) verdict(w row) string {
	median, _, ok := r.ratio(w, shims[1].name)
	switch {
	case !ok || w.bar == 0:
		return ""
	case (median <= w.bar) != w.higher || median == w.bar:
		return w.goal() + ": reached"
	}
	return w.goal() + ": missed"
}

// table is the report for a terminal.
func (r *results) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-44s %-10s %8s %8s %8s %-8s %4s  berth/it by median, by best\n", "", "", "best", "median", "mean", "", "runs")
	for _, w := range rows {
		title := w.name
		for _, name := range names {
			c, ok := r.cells(w, name)
			if !ok {
				continue
			}
			fmt.Fprintf(&b, "%-44s %-10s %8s %8s %8s %-8s %4s  %8s %8s\n", title, name, c[0], c[1], c[2], c[3], c[4], c[5], c[6])
			title = ""
		}
		if v := r.verdict(w); v != "" {
			fmt.Fprintf(&b, "%-44s %s\n", "", v)
		}
	}
	return b.String()
}

// markdown is the section of the documentation.
func (r *results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## The shim under containerd\n\nMade by `make bench-shim` (`go run ./tests/shimbench -n %d`) on %s in %s; do not edit.\n\n",
		r.opts.rounds, r.when.UTC().Format("2006-01-02"), r.took.Round(time.Second))
	fmt.Fprintf(&b, "| what | shim | best | median | mean | unit | runs | berth ÷ it (median) | berth ÷ it (best) |\n")
	fmt.Fprintf(&b, "|---|---|--:|--:|--:|---|--:|--:|--:|\n")
	for _, w := range rows {
		title := w.name
		if goal := w.goal(); goal != "" {
			title += " (to reach: " + goal + ")"
		}
		for _, name := range names {
			if c, ok := r.cells(w, name); ok {
				fmt.Fprintf(&b, "| %s | %s | %s |\n", title, name, strings.Join(c, " | "))
				title = ""
			}
		}
	}
	fmt.Fprintf(&b, method, r.opts.settle)
	fmt.Fprintf(&b, "\n- %d CPUs, %s\n", runtime.NumCPU(), kernel())
	for _, v := range r.versions {
		fmt.Fprintf(&b, "- %s\n", v)
	}
	return b.String()
}

const method = `
Both shims run under one containerd, started for this alone, with its root, its
state and the root file system (one static busybox) on a tmpfs: no disk is
measured. Every round measures both, in an order that rotates, and waits for the
shim's end before the next; a round before them is thrown away. The config of
every container is the one that ctr writes. *berth* is Berth's shim, which is
the runtime too; *runc* is containerd-shim-runc-v2 with runc.

- *task create, start, exit event*: by containerd's gRPC API, stdout and stderr
  on fifos; from the create call, which starts the shim, until the exit event
  has come. The container's record is made before, the task is deleted after.
- *8 workers*: five tasks each, including the delete.
- *memory*: smaps_rollup of the shim's process after %v of idleness, the
  containers being one "sleep" each. PSS counts a page that n processes map as
  1/n, so the text of the program is divided among ten shims; anonymous memory
  is what the shim alone has. A container's own process is not counted.
- *the shims of ten containers*: all that ten containers cost, on a machine
  without other shims. *berth* is a pod, ten containers with the annotation
  io.kubernetes.cri.sandbox-id in one shim; *runc* is a shim for each of ten
  containers; *runc, pod* is the same pod in one of its shims.
`

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown kernel"
	}
	return "Linux " + unix.ByteSliceToString(u.Release[:]) + ", " + runtime.GOARCH
}

// The section is between these lines; what is around them is not ours.
const (
	sectionBegin = "<!-- shimbench: begin -->\n"
	sectionEnd   = "<!-- shimbench: end -->\n"
)

// rewrite replaces the section of a file, or appends it.
func rewrite(file, section string) error {
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(file, []byte(splice(string(text), section)), 0o644)
}

func splice(text, section string) string {
	section = sectionBegin + section + sectionEnd
	before, rest, begun := strings.Cut(text, sectionBegin)
	_, after, ended := strings.Cut(rest, sectionEnd)
	switch {
	case begun && ended:
		return before + section + after
	case text == "":
		return section
	}
	return strings.TrimRight(text, "\n") + "\n\n" + section
}
