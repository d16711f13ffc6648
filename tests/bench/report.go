// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// operation is a row group of the report.
type operation struct {
	name, unit string
	goal       string // what berth is to reach
}

var operations = []operation{
	{opSpec, "ms", "≤ 0.6 × crun, ≤ 0.25 × runc"},
	{opDocker, "ms", "≤ 0.6 × crun, ≤ 0.25 × runc"},
	{opExec, "ms", "≤ 0.8 × crun"},
	{opState, "ms", "≤ 0.7 × crun"},
	{opKill, "ms", ""},
	{opUpdate, "ms", "≤ 1 × crun"},
	{opPause, "ms", "≤ 1 × crun"},
	{opResume, "ms", ""},
	{opParallel, "ms", ""},
	{opPeak, "kB", ""},
	{opWaiting, "kB", "≤ 64 kB"},
	{opLimit, "KiB", "256 KiB"},
}

// results are the finished measurements and what they were made with.
type results struct {
	opts     options
	samples  samples
	names    []string // runtimes in the order of the options, then the floor
	versions []string
	when     time.Time
	took     time.Duration
}

func (m *machine) results(o options, begin time.Time) *results {
	r := &results{opts: o, samples: m.samples, when: begin, took: time.Since(begin)}
	for _, rt := range m.runtimes {
		r.names = append(r.names, rt.Name)
		r.versions = append(r.versions, rt.Version())
	}
	r.names = append(r.names, floorName)
	return r
}

// cells are one line: min, median, mean and the first runtime's ratio to it.
func (r *results) cells(op operation, name string) ([]string, bool) {
	values := r.samples[op.name][name]
	if len(values) == 0 {
		return nil, false
	}
	s := summarize(values)
	format := "%.2f"
	if op.unit != "ms" {
		format = "%.0f"
	}
	ratio, ratioMin := "", ""
	if first := r.samples[op.name][r.opts.first]; name != r.opts.first && len(first) > 0 {
		f := summarize(first)
		if s.median > 0 && s.min > 0 {
			ratio = fmt.Sprintf("%.2f", f.median/s.median)
			ratioMin = fmt.Sprintf("%.2f", f.min/s.min)
		}
	}
	return []string{
		fmt.Sprintf(format, s.min), fmt.Sprintf(format, s.median), fmt.Sprintf(format, s.mean), op.unit,
		fmt.Sprint(s.n), ratio, ratioMin,
	}, true
}

// table is the report for a terminal.
func (r *results) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-40s %-8s %9s %9s %9s %-4s %5s  %s by median, by min\n", "", "", "min", "median", "mean", "", "runs", r.opts.first+"/it")
	for _, op := range operations {
		title := op.name
		for _, name := range r.names {
			c, ok := r.cells(op, name)
			if !ok {
				continue
			}
			fmt.Fprintf(&b, "%-40s %-8s %9s %9s %9s %-4s %5s  %9s %9s\n", title, name, c[0], c[1], c[2], c[3], c[4], c[5], c[6])
			title = ""
		}
		if op.goal != "" && title == "" {
			fmt.Fprintf(&b, "%-40s to reach: %s\n", "", op.goal)
		}
	}
	return b.String()
}

// markdown is docs/performance.md.
func (r *results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Performance\n\n")
	fmt.Fprintf(&b, "Made by `make bench` (`go run ./tests/bench -n %d`) on %s in %s; do not edit.\n\n",
		r.opts.rounds, r.when.UTC().Format("2006-01-02"), r.took.Round(time.Second))
	fmt.Fprintf(&b, "![The medians as bars](performance.svg)\n\n")
	fmt.Fprintf(&b, "| what | runtime | min | median | mean | unit | runs | %[1]s ÷ it (median) | %[1]s ÷ it (min) |\n", r.opts.first)
	fmt.Fprintf(&b, "|---|---|--:|--:|--:|---|--:|--:|--:|\n")
	for _, op := range operations {
		title := op.name
		if op.goal != "" {
			title += " (to reach: " + op.goal + ")"
		}
		for _, name := range r.names {
			if c, ok := r.cells(op, name); ok {
				fmt.Fprintf(&b, "| %s | %s | %s |\n", title, name, strings.Join(c, " | "))
				title = ""
			}
		}
	}
	fmt.Fprintf(&b, "\n## What was measured\n\n%s", method)
	fmt.Fprintf(&b, "\n## On what\n\n")
	fmt.Fprintf(&b, "- %s, %d CPUs, %s of memory\n- Linux %s, %s\n", cpu(), runtime.NumCPU(), memory(), release(), runtime.GOARCH)
	for _, v := range r.versions {
		fmt.Fprintf(&b, "- %s\n", v)
	}
	return b.String()
}

const method = `All of it is one run. Every round measures each runtime and the floor once, in an
order that rotates; one round before them warms the caches and is thrown away.
All runtimes are given the same root file system (one static busybox), the same
config, their standard streams on /dev/null, and the same private mount
namespace, in which every cgroup controller has a v1 mount (crun refuses a hybrid
hierarchy otherwise). The benchmark is the subreaper and waits for the
container's first process itself, as an engine does.

- *create+start+wait+delete*: ` + "`create --pid-file`, `start`, waiting for `busybox true`, `delete`" + `.
  "Docker's config" has Docker's default seccomp profile, fourteen
  capabilities, its masked paths and device rules, a memory and a pids limit.
- *C floor*: tests/bench/floor.c makes the kernel calls for the same config in one
  static program: no JSON, no state, no separate commands, no seccomp filter.
- *8 workers*: eight containers at a time; the time is per container.
- *peak RSS of create*: wait4(2)'s ru_maxrss of ` + "`create`" + ` and what it waited for,
  started from a small C program (a fork from a large one would count that one).
- *waiting init*: VmRSS of the container's first process between create and start.
- *smallest memory limit*: of a fixed list of sizes, the first with which three
  containers out of three run ` + "`busybox true`" + `.

To repeat it as root on a quiet machine with gcc, busybox-static, crun and runc: ` + "`make build bench`" + `.
`

func cpu() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown CPU"
	}
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unnamed CPU"
}

func memory() string {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return "unknown size"
	}
	return fmt.Sprintf("%.0f GiB", float64(info.Totalram)*float64(info.Unit)/(1<<30))
}

func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}
