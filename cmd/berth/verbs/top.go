// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"berth/libcontainer"
	"berth/libcontainer/cgroup/stats"
	"berth/libcontainer/console"
)

// topCommand is `top`.
type topCommand struct {
	interval time.Duration
	once     bool
	format   string
}

func newTop() command { return &topCommand{interval: time.Second} }

func (c *topCommand) flags() []flag {
	return []flag{
		duration(&c.interval, "time between two looks (default: 1s)", "interval", "d"),
		toggle(&c.once, "print the table once, and exit", "once"),
		text(&c.format, "table|json", "how to print; json is printed once (default: table)", "format", "f"),
	}
}

func (c *topCommand) run(e *env, args []string) (int, error) {
	if err := errors.Join(checkInterval(c.interval), checkFormat(c.format)); err != nil {
		return 1, err
	}
	s := &sampler{e: e, ids: args, memory: machineMemory()}
	if !c.once && c.format != "json" && console.IsTerminal(e.stdio[1]) {
		t := &topScreen{in: e.stdio[0], out: e.stdio[1], interval: c.interval, rows: s.rows}
		return t.watch()
	}
	rows, err := s.rows()
	if err == nil {
		time.Sleep(c.interval) // what a share of CPU time is measured over
		rows, err = s.rows()
	}
	if err != nil {
		return 1, err
	}
	return 0, printTop(e.stdio[1], rows, c.format)
}

func printTop(w io.Writer, rows []topRow, format string) error {
	if format != "json" {
		_, err := io.WriteString(w, strings.Join(renderTop(rows, 0, 0), "\n")+"\n")
		return err
	}
	var err error
	for i := range rows {
		err = errors.Join(err, json.NewEncoder(w).Encode(&rows[i]))
	}
	return err
}

// topRow is one container over one interval; what could not be read is nil.
type topRow struct {
	ID     string              `json:"id"`
	PID    int                 `json:"pid"`
	Status libcontainer.Status `json:"status"`
	Usage  *topUsage           `json:"usage"`
}

// topUsage is in percent (of one CPU; of the memory limit; of the CPU quota's
// periods in which it was used up; of time waited, over 10 s) and bytes.
type topUsage struct {
	CPU       float64  `json:"cpu_percent"`
	Memory    uint64   `json:"memory"` // without page cache that is easily given back
	Limit     uint64   `json:"memory_limit"`
	Percent   float64  `json:"memory_percent"`
	PIDs      uint64   `json:"pids"`
	PIDLimit  uint64   `json:"pids_limit,omitempty"`
	Read      uint64   `json:"block_read"`
	Written   uint64   `json:"block_write"`
	Throttled *float64 `json:"throttled_percent,omitempty"` // with a CPU quota
	PSI       *topPSI  `json:"psi,omitempty"`
}

type topPSI struct {
	CPU    float64 `json:"cpu"`
	Memory float64 `json:"memory"`
	IO     float64 `json:"io"`
}

// topSample is what the difference of two gives a row's CPU columns.
type topSample struct {
	at  time.Time
	cpu stats.CPU
}

// sampler looks at containers, and remembers what it saw last.
type sampler struct {
	e      *env
	ids    []string // none: all
	memory uint64   // the machine's, bytes
	last   map[string]topSample
}

// machineMemory is in bytes; 0 where a sandbox does not tell.
func machineMemory() uint64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}

// rows are sorted by CPU time. Containers that vanish are left out; the first
// look refuses ids that do not exist.
func (s *sampler) rows() ([]topRow, error) {
	containers, err := s.containers()
	if err != nil {
		return nil, err
	}
	seen := make(map[string]topSample, len(containers))
	rows := make([]topRow, 0, len(containers))
	for _, c := range containers {
		state, err := c.State()
		if err != nil {
			s.e.log.debug("top: " + message(err))
			continue
		}
		row := topRow{ID: c.ID(), PID: state.Pid, Status: state.Status}
		// Without a cgroup, or stopped meanwhile, there is a line all the same.
		if data, err := c.Stats(); err == nil {
			now := topSample{time.Now(), data.CPU}
			before, ok := s.last[row.ID]
			if !ok {
				before = now
			}
			row.Usage = usageOf(&data.Stats, before, now, s.memory)
			seen[row.ID] = now
		} else if row.Status != libcontainer.Stopped {
			s.e.log.debug("top: " + message(err))
		}
		rows = append(rows, row)
	}
	s.last = seen
	slices.SortFunc(rows, func(a, b topRow) int { return cmp.Or(cmp.Compare(b.cpu(), a.cpu()), strings.Compare(a.ID, b.ID)) })
	return rows, nil
}

func (s *sampler) containers() ([]*libcontainer.Container, error) {
	root, err := s.e.global.stateRoot()
	if err != nil {
		return nil, err
	}
	if len(s.ids) == 0 {
		list, broken, err := libcontainer.List(root)
		if errors.Is(err, os.ErrNotExist) && s.e.global.root == "" {
			err = nil // made by the first create
		}
		for _, b := range broken {
			s.e.log.debug("top: " + message(b))
		}
		return list, err
	}
	var list []*libcontainer.Container
	for _, id := range s.ids {
		c, err := libcontainer.Load(root, id)
		switch {
		case err == nil:
			list = append(list, c)
		case s.last == nil || !errors.Is(err, libcontainer.ErrNotExist):
			return nil, err
		}
	}
	return list, nil
}

// cpu is what rows are sorted by: those without numbers come last.
func (r *topRow) cpu() float64 {
	if r.Usage == nil {
		return -1
	}
	return r.Usage.CPU
}

// usageOf computes a row from the statistics now and those of the last look.
func usageOf(s *stats.Stats, before, now topSample, machine uint64) *topUsage {
	u := &topUsage{
		CPU:    now.cpu.Usage.Percent(before.cpu.Usage, now.at.Sub(before.at)),
		Memory: s.Memory.WorkingSet(), Limit: s.Memory.Usage.Limit,
		PIDs: s.Pids.Current, PIDLimit: s.Pids.Limit,
	}
	u.Read, u.Written = s.Blkio.Bytes()
	if machine > 0 && (u.Limit == 0 || u.Limit > machine) {
		u.Limit = machine // none, or one without effect
	}
	if u.Limit > 0 {
		u.Percent = 100 * float64(u.Memory) / float64(u.Limit)
	}
	if now.cpu.Throttling.Periods > 0 {
		share := now.cpu.Throttling.Percent(before.cpu.Throttling)
		u.Throttled = &share
	}
	if s.CPU.PSI != nil && s.Memory.PSI != nil && s.Blkio.PSI != nil {
		u.PSI = &topPSI{s.CPU.PSI.Some.Avg10, s.Memory.PSI.Some.Avg10, s.Blkio.PSI.Some.Avg10}
	}
	return u
}

// topColumn is one column of the table. Narrow windows lose those with the
// highest loss first, never those with 0.
type topColumn struct {
	title string
	left  bool
	loss  int
	cell  func(r *topRow) string // "": unknown
}

func topColumns() []topColumn {
	// known makes a cell of a row with numbers.
	known := func(f func(u *topUsage) string) func(*topRow) string {
		return func(r *topRow) string {
			if r.Usage == nil {
				return ""
			}
			return f(r.Usage)
		}
	}
	return []topColumn{
		{"ID", true, 0, func(r *topRow) string { return r.ID }},
		{"PID", false, 5, func(r *topRow) string { return strings.TrimPrefix(strconv.Itoa(r.PID), "0") }},
		{"STATUS", true, 4, func(r *topRow) string { return string(r.Status) }},
		{"CPU %", false, 0, known(func(u *topUsage) string { return percent(u.CPU) })},
		{"MEM USAGE / LIMIT", false, 1, known(func(u *topUsage) string { return byteSize(u.Memory) + " / " + byteSize(u.Limit) })},
		{"MEM %", false, 2, known(func(u *topUsage) string { return percent(u.Percent) })},
		{"PIDS", false, 3, known(func(u *topUsage) string { return strconv.FormatUint(u.PIDs, 10) })},
		{"BLOCK IO (R / W)", false, 6, known(func(u *topUsage) string { return byteSize(u.Read) + " / " + byteSize(u.Written) })},
		{"THROTTLED", false, 7, known(func(u *topUsage) string {
			if u.Throttled == nil {
				return ""
			}
			return percent(*u.Throttled)
		})},
		{"PSI CPU/MEM/IO", false, 8, known(func(u *topUsage) string {
			if u.PSI == nil {
				return ""
			}
			return fmt.Sprintf("%.1f/%.1f/%.1f", u.PSI.CPU, u.PSI.Memory, u.PSI.IO)
		})},
	}
}

func percent(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// byteSize is a number of bytes in at most four digits: "1023B", "12.3MiB".
func byteSize(n uint64) string {
	units := "KMGTPE"
	if n < 1024 {
		return strconv.FormatUint(n, 10) + "B"
	}
	v, unit := float64(n)/1024, 0
	for v >= 999.95 && unit < len(units)-1 {
		v, unit = v/1024, unit+1
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + units[unit:unit+1] + "iB"
}

// renderTop makes the lines of the table, at most width wide and height long;
// 0 is any.
func renderTop(rows []topRow, width, height int) []string {
	columns, cells := fillTop(rows)
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = len(c.title)
		for _, line := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(line[i]))
		}
	}
	columns, cells, widths = narrowTop(columns, cells, widths, width)
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = c.title
	}
	more := ""
	if rest := len(cells) + 1 - height; height > 0 && rest > 0 {
		shown := max(len(cells)-rest-1, 0) // the last line says how many are not
		more = fmt.Sprintf("%d more", len(cells)-shown)
		cells = cells[:shown]
	}
	lines := []string{topLine(columns, titles, widths, width)}
	for _, line := range cells {
		lines = append(lines, topLine(columns, line, widths, width))
	}
	if more != "" && height > 1 {
		lines = append(lines, clip(more, width))
	}
	return lines
}

// fillTop computes all cells; columns about what no container has are left out.
func fillTop(rows []topRow) ([]topColumn, [][]string) {
	columns := topColumns()
	cells := make([][]string, len(rows))
	for i := range rows {
		cells[i] = make([]string, len(columns))
	}
	for col := len(columns) - 1; col >= 0; col-- {
		used := false
		for i := range rows {
			text := columns[col].cell(&rows[i])
			used = used || text != ""
			cells[i][col] = cmp.Or(text, "-")
		}
		if optional := columns[col].loss >= 7; optional && !used {
			columns, cells = dropColumn(columns, cells, col)
		}
	}
	return columns, cells
}

func dropColumn(columns []topColumn, cells [][]string, col int) ([]topColumn, [][]string) {
	for i := range cells {
		cells[i] = slices.Delete(cells[i], col, col+1)
	}
	return slices.Delete(columns, col, col+1), cells
}

// Between columns there are topGap blanks; an id is not cut below shortID.
const (
	topGap  = 2
	shortID = 12
)

// narrowTop makes the table fit: first ids get short, then columns go, then
// ids get as short as it takes.
func narrowTop(columns []topColumn, cells [][]string, widths []int, width int) ([]topColumn, [][]string, []int) {
	if width <= 0 {
		return columns, cells, widths
	}
	over := func() int {
		sum := -topGap
		for _, w := range widths {
			sum += w + topGap
		}
		return sum - width
	}
	widths[0] = max(widths[0]-max(over(), 0), min(widths[0], shortID))
	for over() > 0 {
		worst := 0
		for i, c := range columns {
			if c.loss > columns[worst].loss {
				worst = i
			}
		}
		if worst == 0 {
			break
		}
		columns, cells = dropColumn(columns, cells, worst)
		widths = slices.Delete(widths, worst, worst+1)
	}
	widths[0] = max(widths[0]-max(over(), 0), 2)
	return columns, cells, widths
}

func topLine(columns []topColumn, cells []string, widths []int, width int) string {
	var b strings.Builder
	for i, c := range columns {
		if i > 0 {
			b.WriteString(strings.Repeat(" ", topGap))
		}
		text := clip(cells[i], widths[i])
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
		if c.left {
			b.WriteString(text + pad)
		} else {
			b.WriteString(pad + text)
		}
	}
	return clip(strings.TrimRight(b.String(), " "), width)
}

// clip cuts text to width characters; 0 is any.
func clip(text string, width int) string {
	if width <= 0 || utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

// topScreen shows the table in a terminal until somebody has enough of it.
type topScreen struct {
	in, out  *os.File
	interval time.Duration
	rows     func() ([]topRow, error)
}

// What terminals since xterm understand: ECMA-48, and xterm's ctlseqs 1049, 25.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	goHome      = "\x1b[H"
	clearRight  = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// watch returns the exit status: 0 after q, 128 and its number after a signal.
func (t *topScreen) watch() (status int, err error) {
	rows, err := t.rows()
	if err != nil {
		return 1, err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGWINCH)
	defer signal.Stop(signals)
	quit := make(chan struct{})
	if console.IsTerminal(t.in) {
		raw, rerr := console.MakeRaw(t.in)
		if rerr != nil {
			return 1, rerr
		}
		defer func() { err = errors.Join(err, raw.Restore()) }()
		go t.keys(quit) // ends with the program: a read of a terminal cannot be ended
	}
	if _, err := t.out.WriteString(enterScreen); err != nil {
		return 1, err
	}
	defer func() {
		_, werr := t.out.WriteString(leaveScreen)
		err = errors.Join(err, werr)
	}()
	return t.loop(rows, signals, quit)
}

func (t *topScreen) loop(rows []topRow, signals <-chan os.Signal, quit <-chan struct{}) (int, error) {
	// The first share of CPU time should not take a long interval.
	timer := time.NewTimer(min(t.interval, time.Second))
	defer timer.Stop()
	for {
		if err := t.draw(rows); err != nil {
			return 1, err
		}
		select {
		case <-quit:
			return 0, nil
		case sig := <-signals:
			if s, ok := sig.(unix.Signal); ok && s != unix.SIGWINCH {
				return 128 + int(s), nil
			}
		case <-timer.C:
			timer.Reset(t.interval)
			var err error
			if rows, err = t.rows(); err != nil {
				return 1, err
			}
		}
	}
}

// draw writes over what is there, in one write, so that nothing flickers.
func (t *topScreen) draw(rows []topRow) error {
	width, height := 80, 24
	if size, err := unix.IoctlGetWinsize(int(t.out.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 && size.Row > 0 {
		width, height = int(size.Col), int(size.Row)
	}
	lines := renderTop(rows, width, height)
	// Cleared before it is written: after a full line the cursor is still on the
	// last character, and would clear that.
	text := goHome + clearRight + strings.Join(lines, "\r\n"+clearRight) // a raw terminal adds no \r
	if len(lines) < height {
		text += "\r\n" + clearBelow
	}
	_, err := t.out.WriteString(text)
	return err
}

// keys waits for q or Ctrl-C, which a raw terminal makes no signal of.
func (t *topScreen) keys(quit chan<- struct{}) {
	defer close(quit) // a terminal that hung up is a reason too
	buf := make([]byte, 64)
	for {
		n, err := t.in.Read(buf)
		if err != nil || bytes.ContainsAny(buf[:n], "qQ\x03") {
			return
		}
	}
}
