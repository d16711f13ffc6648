// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"berth/tests/series"
)

// The rows, in the order in which they are reported.
const (
	rowDisk   = "unpack to files of its own, gzip, on a disk: wall-clock time"
	rowGzip   = "the same on a tmpfs: user + system time"
	rowZstd   = "unpack of zstd layers on a tmpfs: user + system time"
	rowSecond = "second overlay bundle: wall-clock time"
	rowSpace  = "second overlay bundle: disk space"
	rowPull   = "pull from a registry on 127.0.0.1: wall-clock time"
	rowMemory = "peak RSS"
	rowFlat   = "peak RSS by layer size"
)

// row is a row group of the report, with what is to be reached.
type row struct {
	name, unit string
	bars       []bar
	limit      float64 // of berth-image's medians; 0 for none
	flat       float64 // at most so many times as much for 4 times the size
}

// bar is for berth's median ÷ another tool's.
type bar struct {
	tool  string
	ratio float64
}

var rows = []row{
	{name: rowDisk, unit: "ms", bars: []bar{{"umoci", 0.6}, {"tar", 1}}},
	{name: rowGzip, unit: "ms", bars: []bar{{"umoci", 0.45}}},
	{name: rowZstd, unit: "ms", bars: []bar{{"umoci, gzip", 0.3}}},
	{name: rowSecond, unit: "ms", limit: 20},
	{name: rowSpace, unit: "kB", limit: 100},
	{name: rowPull, unit: "ms", bars: []bar{{"skopeo", 1}}},
	{name: rowMemory, unit: "kB", limit: 48 << 10},
	{name: rowFlat, unit: "kB", limit: 48 << 10, flat: 1.15},
}

// larger is how the names of lines end that have another line to be compared with.
const larger = ", 4 × as large"

// goals are what is to be reached, in words.
func (w row) goals() string {
	var list []string
	for _, b := range w.bars {
		list = append(list, fmt.Sprintf("≤ %g × %s", b.ratio, b.tool))
	}
	if w.limit > 0 {
		list = append(list, fmt.Sprintf("≤ %g %s", w.limit, w.unit))
	}
	if w.flat > 0 {
		list = append(list, fmt.Sprintf("≤ %g × the smaller one's", w.flat))
	}
	return strings.Join(list, ", ")
}

// results are the finished measurements and what they were made with.
type results struct {
	opts     options
	samples  series.Set
	image    string
	versions []string
	when     time.Time
	took     time.Duration
}

// tools are the lines of a row group, ours first.
func (r *results) tools(w row) []string {
	names := slices.Sorted(maps.Keys(r.samples[w.name]))
	slices.SortStableFunc(names, func(a, b string) int {
		switch "berth" {
		case a:
			return -1
		case b:
			return 1
		}
		return 0
	})
	return names
}

// ratio is berth's median, and its best value, to another tool's.
func (r *results) ratio(w row, tool string) (median, best float64, ok bool) {
	ours, theirs := r.samples[w.name]["berth"], r.samples[w.name][tool]
	if tool == "berth" || len(ours) == 0 || len(theirs) == 0 {
		return 0, 0, false
	}
	a, b := series.Summarize(ours), series.Summarize(theirs)
	return a.Median / b.Median, a.Min / b.Min, true
}

// verdict says which goals are missed.
func (r *results) verdict(w row) string {
	var missed []string
	for _, b := range w.bars {
		if median, _, ok := r.ratio(w, b.tool); !ok || median > b.ratio {
			missed = append(missed, fmt.Sprintf("%.2f × %s", median, b.tool))
		}
	}
	for _, tool := range r.tools(w) {
		median := series.Summarize(r.samples[w.name][tool]).Median
		if w.limit > 0 && median > w.limit {
			missed = append(missed, fmt.Sprintf("%.1f %s", median, w.unit))
		}
		if smaller, ok := r.smaller(w, tool); ok && w.flat > 0 && median > w.flat*smaller {
			missed = append(missed, fmt.Sprintf("%s: %.2f × the smaller one's", tool, median/smaller))
		}
	}
	if len(missed) > 0 {
		return "missed: " + strings.Join(missed, ", ")
	}
	return "reached"
}

// smaller is the median of the line that a line of flat is compared with.
func (r *results) smaller(w row, tool string) (float64, bool) {
	if !strings.Contains(tool, larger) {
		return 0, false
	}
	values := r.samples[w.name][strings.Replace(tool, larger, "", 1)]
	return series.Summarize(values).Median, len(values) > 0
}

// cells are one line of the table, after its title and name.
func (r *results) cells(w row, tool string) []string {
	s := series.Summarize(r.samples[w.name][tool])
	format := "%.0f"
	if s.Median < 100 {
		format = "%.1f"
	}
	cells := []string{fmt.Sprintf(format, s.Min), fmt.Sprintf(format, s.Median), fmt.Sprintf(format, s.Mean), w.unit, fmt.Sprint(s.N), "", ""}
	if median, best, ok := r.ratio(w, tool); ok {
		cells[5], cells[6] = fmt.Sprintf("%.2f", median), fmt.Sprintf("%.2f", best)
	}
	return cells
}

// table is the report for a terminal.
func (r *results) table() string {
	var b strings.Builder
	for _, w := range rows {
		fmt.Fprintf(&b, "%s (%s): %s\n", w.name, w.goals(), r.verdict(w))
		for _, tool := range r.tools(w) {
			c := r.cells(w, tool)
			fmt.Fprintf(&b, "  %-36s %8s %8s %8s %-3s %4s runs  %6s %6s\n", tool, c[0], c[1], c[2], c[3], c[4], c[5], c[6])
		}
	}
	return b.String()
}

// markdown is the page of the documentation.
func (r *results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Performance of berth-image\n\nMade by `make bench-image` (`go run ./tests/imagebench -n %d`) on %s in %s; do not edit.\n\n",
		r.opts.rounds, r.when.UTC().Format("2006-01-02"), r.took.Round(time.Second))
	b.WriteString("| what | tool | best | median | mean | unit | runs | berth ÷ it (median) | berth ÷ it (best) |\n|---|---|--:|--:|--:|---|--:|--:|--:|\n")
	for _, w := range rows {
		title := fmt.Sprintf("%s (to reach: %s)", w.name, w.goals())
		for _, tool := range r.tools(w) {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", title, tool, strings.Join(r.cells(w, tool), " | "))
			title = ""
		}
	}
	fmt.Fprintf(&b, method, r.image)
	fmt.Fprintf(&b, "\n- %d CPUs, %s\n", runtime.NumCPU(), kernel())
	for _, v := range r.versions {
		fmt.Fprintf(&b, "- %s\n", v)
	}
	return b.String()
}

const method = `
The image is %s. Every round measures every tool once, in an order that rotates;
a round before them is thrown away.

- *unpack*: ` + "`berth-image unpack --mode copy`" + ` from its store, ` + "`umoci unpack`" + ` from an
  image layout, ` + "`tar -xzf`" + ` of one layer after the other into one directory, which
  knows nothing of whiteouts. Before each, what was written is synced. The disk has
  a new ext4 in a file, and nothing is removed there between them.
- *umoci, gzip*: Debian's umoci reads no zstd; it is what it takes for the gzip
  layers of the same files.
- *second overlay bundle*: of an image whose layers another bundle has; the space
  is that of the bundle and what the store has grown by.
- *pull*: into an empty store or layout on the disk, from Debian's docker-registry.
  berth-image waits until each blob is on the disk, skopeo does not.
- *peak RSS*: VmHWM of berth-image and of the confined applier that it starts for
  a layer. The two sizes are one layer of 48 MiB and one of 192 MiB, of as many
  files; half of it is one file.
`

// describe says what the image is.
func (m *machine) describe() string {
	var packed, plain int64
	for _, blob := range m.layers[gzipImage] {
		if info, err := os.Stat(m.disk + "/layout/" + blob); err == nil {
			packed += info.Size()
		}
	}
	if n, err := diskUse(m.disk + "/first/rootfs"); err == nil {
		plain = n
	}
	return fmt.Sprintf("a Debian minbase with three layers on top, %d MB of files and %d MB of gzip", plain>>20, packed>>20)
}

// versions are those of the programs that take part.
func (m *machine) versions() []string {
	var list []string
	for _, args := range [][]string{{m.opts.tool, "--version"}, {"umoci", "--version"}, {"skopeo", "--version"}, {"tar", "--version"}, {"docker-registry", "--version"}} {
		out, err := m.run(args...)
		if err != nil {
			out = args[0] + ": " + err.Error()
		}
		line, _, _ := strings.Cut(out, "\n")
		list = append(list, line)
	}
	return list
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown kernel"
	}
	return "Linux " + unix.ByteSliceToString(u.Release[:]) + ", " + runtime.GOARCH
}
