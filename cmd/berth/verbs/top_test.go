// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"bytes"
	"errors"
	stdflag "flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"berth/libcontainer"
	"berth/libcontainer/cgroup/stats"
)

var update = stdflag.Bool("update", false, "rewrite the golden files")

// topRows are a container with everything, a plain one, one without a cgroup
// and one that has stopped, as sampler.rows sorts them.
func topRows() []topRow {
	share := 12.5
	return []topRow{
		{"web-frontend-with-a-long-name", 12345, libcontainer.Running, &topUsage{CPU: 187.44, Memory: 50 << 20, Limit: 64 << 20, Percent: 78.125,
			PIDs: 17, PIDLimit: 100, Read: 1 << 30, Written: 1023, Throttled: &share, PSI: &topPSI{1.5, 0, 0.25}}},
		{"db", 7, libcontainer.Paused, &topUsage{Memory: 999, Limit: 16 << 30, Read: 1024}},
		{"rootless", 42, libcontainer.Created, nil},
		{"old", 0, libcontainer.Stopped, nil},
	}
}

func TestTopTable(t *testing.T) {
	var b strings.Builder
	show := func(title string, rows []topRow, width, height int) {
		fmt.Fprintf(&b, "# %s: %dx%d\n", title, width, height)
		for _, line := range renderTop(rows, width, height) {
			b.WriteString(line + "\n")
			if n := utf8.RuneCountInString(line); width > 0 && n > width {
				t.Errorf("%d columns in %d: %q", n, width, line)
			}
		}
	}
	rows := topRows()
	show("everything", rows, 0, 0)
	show("without quotas and pressure", rows[1:], 0, 0)
	show("nothing", nil, 0, 0)
	for _, width := range []int{132, 100, 80, 60, 40, 20, 1} {
		show("narrow", rows, width, 0)
	}
	for _, height := range []int{5, 4, 3, 2, 1} {
		show("low", rows[1:], 0, height)
	}
	const golden = "testdata/top.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestTopJSON(t *testing.T) {
	var b bytes.Buffer
	if err := printTop(&b, topRows()[:3], "json"); err != nil {
		t.Fatal(err)
	}
	want := `{"id":"web-frontend-with-a-long-name","pid":12345,"status":"running","usage":{"cpu_percent":187.44,"memory":52428800,"memory_limit":67108864,` +
		`"memory_percent":78.125,"pids":17,"pids_limit":100,"block_read":1073741824,"block_write":1023,"throttled_percent":12.5,"psi":{"cpu":1.5,"memory":0,"io":0.25}}}
{"id":"db","pid":7,"status":"paused","usage":{"cpu_percent":0,"memory":999,"memory_limit":17179869184,"memory_percent":0,"pids":0,"block_read":1024,"block_write":0}}
{"id":"rootless","pid":42,"status":"created","usage":null}
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestByteSize(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0B", 1023: "1023B", 1024: "1.0KiB", 12<<20 + 300<<10: "12.3MiB", 1<<20 - 1: "1.0MiB", 1000 << 10: "1.0MiB",
		64 << 30: "64.0GiB", stats.Unlimited: "16.0EiB",
	} {
		if got := byteSize(n); got != want {
			t.Errorf("byteSize(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestUsageOverAnInterval(t *testing.T) {
	at := time.Unix(1000, 0)
	cpu := func(total, periods, throttled uint64) stats.CPU {
		return stats.CPU{Usage: stats.CPUUsage{Total: total}, Throttling: stats.Throttling{Periods: periods, ThrottledPeriods: throttled}}
	}
	before, now := topSample{at, cpu(1e9, 10, 2)}, topSample{at.Add(2 * time.Second), cpu(2e9, 30, 7)}
	share := 25.0
	psi := &stats.PSI{Some: stats.PSIData{Avg10: 3}}
	const machine = 1 << 30
	for _, c := range []struct {
		name string
		s    stats.Stats
		want topUsage
	}{
		{"unlimited on v1", stats.Stats{Memory: stats.Memory{Usage: stats.MemoryEntry{Usage: 300 << 20, Limit: 9223372036854771712},
			Raw: map[string]uint64{"total_inactive_file": 44 << 20}}},
			topUsage{CPU: 50, Memory: 256 << 20, Limit: machine, Percent: 25, Throttled: &share}},
		{"limited", stats.Stats{Memory: stats.Memory{Usage: stats.MemoryEntry{Usage: 1 << 20, Limit: 4 << 20}, PSI: psi}, Pids: stats.Pids{Current: 3, Limit: 9},
			CPU: stats.CPU{PSI: psi}, Blkio: stats.Blkio{PSI: psi, IOServiceBytesRecursive: []stats.BlkioEntry{{Op: "Read", Value: 5}, {Op: "Write", Value: 6}}}},
			topUsage{CPU: 50, Memory: 1 << 20, Limit: 4 << 20, Percent: 25, PIDs: 3, PIDLimit: 9, Read: 5, Written: 6, Throttled: &share, PSI: &topPSI{3, 3, 3}}},
	} {
		if got := usageOf(&c.s, before, now, machine); toJSON(t, got) != toJSON(t, c.want) {
			t.Errorf("%s: got %s, want %s", c.name, toJSON(t, got), toJSON(t, c.want))
		}
	}
	// The first look has nothing to compare with.
	if got := usageOf(&stats.Stats{}, now, now, 0); got.CPU != 0 || *got.Throttled != 0 || got.Percent != 0 {
		t.Errorf("first look: %s", toJSON(t, got))
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	if err := printJSON(&b, "", v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTopRefusesAnUnknownContainer(t *testing.T) {
	s := &sampler{e: &env{global: &global{root: t.TempDir()}, log: stderrOnly(os.Stderr)}, ids: []string{"nope"}}
	if _, err := s.rows(); !errors.Is(err, libcontainer.ErrNotExist) {
		t.Errorf("first look: %v, want %v", err, libcontainer.ErrNotExist)
	}
	s.last = map[string]topSample{} // it was there a moment ago
	if rows, err := s.rows(); len(rows) > 0 || err != nil {
		t.Errorf("later: %v, %v, want neither rows nor an error", rows, err)
	}
}

// terminal is a pty of a given size: what we see, and what top has.
func terminal(t *testing.T, rows, cols uint16) (ours, tops *os.File) {
	t.Helper()
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no pty on this machine: %v", err)
	}
	ours = os.NewFile(uintptr(m), "master")
	n, err := unix.IoctlGetInt(m, unix.TIOCGPTN)
	if err == nil {
		err = errors.Join(unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0), resize(ours, rows, cols))
	}
	if err == nil {
		tops, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); tops.Close() })
	return ours, tops
}

func resize(master *os.File, rows, cols uint16) error {
	return unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
}

// wantScreen reads until text came, and returns all up to it.
func wantScreen(t *testing.T, f *os.File, text string) string {
	t.Helper()
	var all []byte
	buf := make([]byte, 1)
	for !bytes.HasSuffix(all, []byte(text)) {
		fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, 10000); n == 0 || err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatalf("got %q, want %q: %v", all, text, err)
		}
		if n, err := f.Read(buf); n == 1 {
			all = append(all, buf[0])
		} else if err != nil {
			t.Fatalf("got %q, want %q: %v", all, text, err)
		}
	}
	return string(all)
}

func TestTopInATerminal(t *testing.T) {
	for _, c := range []struct {
		name   string
		key    string
		signal unix.Signal
		status int
	}{
		{"q", "q", 0, 0},
		{"Ctrl-C", "\x03", 0, 0},
		{"SIGTERM", "", unix.SIGTERM, 143},
		{"SIGINT", "", unix.SIGINT, 130},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours, tops := terminal(t, 3, 60)
			before, err := unix.IoctlGetTermios(int(tops.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			screen := &topScreen{in: tops, out: tops, interval: time.Hour, rows: func() ([]topRow, error) { return topRows(), nil }}
			done := make(chan string, 1)
			go func() {
				status, err := screen.watch()
				done <- fmt.Sprintf("%d, %v", status, err)
			}()
			first := wantScreen(t, ours, "3 more")
			if !strings.HasPrefix(first, enterScreen+goHome+clearRight+"ID") || strings.Count(first, "\r\n") != 2 {
				t.Errorf("first screen: %q", first)
			}
			if err := errors.Join(resize(ours, 10, 200), unix.Kill(os.Getpid(), unix.SIGWINCH)); err != nil {
				t.Fatal(err)
			}
			wantScreen(t, ours, "PSI CPU/MEM/IO")
			wantScreen(t, ours, clearBelow)
			if _, err = ours.WriteString(c.key); c.key == "" {
				err = unix.Kill(os.Getpid(), c.signal)
			}
			if err != nil {
				t.Fatal(err)
			}
			wantScreen(t, ours, leaveScreen)
			if got, want := <-done, fmt.Sprintf("%d, %v", c.status, error(nil)); got != want {
				t.Errorf("watch = %s, want %s", got, want)
			}
			after, err := unix.IoctlGetTermios(int(tops.Fd()), unix.TCGETS)
			if err != nil || *after != *before {
				t.Errorf("settings = %+v, %v; want %+v again", after, err, before)
			}
		})
	}
}
