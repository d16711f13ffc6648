// SPDX-License-Identifier: Apache-2.0

package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fill makes every file of this process as full as size bytes, as write(2)
// sees it: it takes what fits and then fails with EFBIG. -1 is no limit.
// Go only notifies of SIGXFSZ, so that it does not end the process.
func fill(t *testing.T, size int64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	old := limit
	limit.Cur = limit.Max
	if size >= 0 {
		limit.Cur = uint64(size)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_FSIZE, &old) })
}

// entrySize is that of "stdout" with one byte of text, in bytes.
const entrySize = 47

func TestFullDisk(t *testing.T) {
	inZone(t)
	long := strings.Repeat("x", 100)
	cases := []struct {
		name  string
		room  int64 // bytes
		whole []chunk
		lossy []chunk // written into room
		after []chunk
		want  string // stream, tag and text of all entries
		lost  int
	}{
		{"nothing fits", 0, nil, []chunk{{Stdout, "lost\n"}, {Stderr, "too\n"}}, []chunk{{Stdout, "back\n"}},
			"stderr F LOST\nstdout F back\n", 9},
		{"a line is cut", entrySize + 20, nil, []chunk{{Stdout, "a\nbcd\ne\n"}}, []chunk{{Stdout, "f\n"}},
			"stdout F a\nstderr F LOST\nstdout F f\n", 6},
		{"room for short lines does not fill with notices", entrySize + 130, nil,
			[]chunk{{Stdout, "a\n" + long + "\n"}, {Stdout, "b\n"}, {Stdout, "c\n"}}, []chunk{{Stdout, "d\n"}},
			"stdout F a\nstderr F LOST\nstdout F d\n", 105},
		{"within a partial line", entrySize, []chunk{{Stdout, "a"}}, []chunk{{Stdout, "b\n"}}, []chunk{{Stdout, "c\n"}},
			"stdout P a\nstdout F \nstderr F LOST\nstdout F c\n", 2},
		{"after the end of a partial line", 2 * entrySize, []chunk{{Stdout, "a"}}, []chunk{{Stdout, "b\nc\n"}}, []chunk{{Stdout, "d\n"}},
			"stdout P a\nstdout F b\nstderr F LOST\nstdout F d\n", 2},
		{"a lost beginning", 0, nil, []chunk{{Stderr, "be"}}, []chunk{{Stderr, "gin\n"}},
			"stderr F LOST\nstderr F gin\n", 2},
		{"known only at the end", 0, nil, []chunk{{Stdout, "lost\n"}}, nil, "stderr F LOST\n", 5},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			var warned []string
			s := openSet(t, Options{Warn: func(s string) { warned = append(warned, s) }}, Target{K8sFile, path})
			write(s, c.whole...)
			fill(t, c.room)
			for _, w := range c.lossy {
				write(s, w)
				texts(t, read(t, path)) // can be parsed at any time
			}
			fill(t, -1)
			write(s, c.after...)
			closeSet(t, s)

			var got strings.Builder
			for line := range strings.Lines(read(t, path)) {
				_, rest, _ := strings.Cut(line, " ")
				got.WriteString(rest)
			}
			notice := fmt.Sprintf("berth-monitor: %d bytes of log lost: file too large", c.lost)
			if want := strings.ReplaceAll(c.want, "LOST", notice); got.String() != want {
				t.Errorf("log =\n%swant\n%s", got.String(), want)
			}
			warnings := []string{
				fmt.Sprintf("cannot write log %q, output is dropped until that is possible: file too large", path),
				fmt.Sprintf("%d bytes of log %q lost: file too large", c.lost, path),
			}
			if !slices.Equal(warned, warnings) {
				t.Errorf("warnings = %q, want %q", warned, warnings)
			}
		})
	}
}

// tally is how many bytes of the container are in the logs that match pattern,
// and how many these say are lost.
func tally(t *testing.T, pattern string) (kept, lost int) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		for line := range strings.Lines(read(t, path)) {
			_, tagged, _ := strings.Cut(line, " ")
			_, tagged, _ = strings.Cut(tagged, " ")
			tag, text, _ := strings.Cut(tagged, " ")
			var n int
			if _, err := fmt.Sscanf(text, "berth-monitor: %d bytes", &n); err == nil {
				lost += n
				continue
			}
			if text == "\n" {
				continue // ends a line before a notice: the test writes no empty ones
			}
			kept += len(text)
			if tag == "P" {
				kept-- // the newline is the log's
			}
		}
	}
	return kept, lost
}

// What is in the log and what is reported as lost is what was written, however
// the room changes.
func TestFullDiskCountsEachByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s := openSet(t, Options{Warn: func(string) {}}, Target{K8sFile, path})
	written := 0
	for i := range 400 {
		room := int64(len(read(t, path)) + i*37%500)
		text := strings.Repeat(fmt.Sprintf("line %d\n", i), i%9) + strings.Repeat("t", i%2)
		fill(t, room)
		write(s, chunk{Stream(1 + i%2), text})
		fill(t, -1)
		written += len(text)
	}
	write(s, chunk{Stdout, "end\n"})
	written += len("end\n")
	if kept, lost := tally(t, path); kept+lost != written || lost == 0 {
		t.Errorf("%d bytes in the log and %d known as lost, want %d together", kept, lost, written)
	}
}

// A large Write takes several calls, and several files.
func TestFullDiskWithinALargeWrite(t *testing.T) {
	cases := []struct {
		name string
		room int64 // bytes per file
		o    Options
	}{
		{"one file", 100_000, Options{}},
		{"files", 10_000, Options{SizeMax: 20_000, Rotate: true, MaxFiles: 100}},
		{"nothing fits", 0, Options{SizeMax: 20_000, Rotate: true, MaxFiles: 100}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			c.o.Warn = func(string) {}
			s := openSet(t, c.o, Target{K8sFile, path})
			text := strings.Repeat("a line of text\n", 4000)
			fill(t, c.room)
			write(s, chunk{Stdout, text})
			fill(t, -1)
			closeSet(t, s)
			if kept, lost := tally(t, path+"*"); kept+lost != len(text) || lost == 0 || (kept == 0) != (c.room == 0) {
				t.Errorf("%d bytes in the logs and %d known as lost, want %d together", kept, lost, len(text))
			}
		})
	}
}

func TestFullDevice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	var warned []string
	s := openSet(t, Options{Warn: func(s string) { warned = append(warned, s) }}, Target{K8sFile, path})
	write(s, chunk{Stdout, "one\n"}, chunk{Stdout, "two"})
	closeSet(t, s)
	want := []string{
		fmt.Sprintf("cannot write log %q, output is dropped until that is possible: no space left on device", path),
		fmt.Sprintf("7 bytes of log %q lost: no space left on device", path),
	}
	if !slices.Equal(warned, want) {
		t.Errorf("warnings = %q, want %q", warned, want)
	}
}

// A fifo cannot be cut: what was begun is finished first. And it does not stop
// the container while its reader sleeps.
func TestFullFifoFinishesTheEntry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(reader)
	if _, err := unix.FcntlInt(uintptr(reader), unix.F_SETPIPE_SZ, 64<<10); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	drain := func() {
		buf := make([]byte, 1<<20)
		for {
			n, err := unix.Read(reader, buf)
			if n <= 0 || err != nil {
				return
			}
			got.Write(buf[:n])
		}
	}
	var warned []string
	s := openSet(t, Options{Warn: func(s string) { warned = append(warned, s) }}, Target{K8sFile, path})
	line := strings.Repeat("x", 9999) + "\n"
	for range 20 {
		s.Write(Stdout, []byte(line), time.Now())
	}
	some := make([]byte, 4*4096) // for the end of the entry, the notice and a part of the next line
	n, err := unix.Read(reader, some)
	if err != nil {
		t.Fatal(err)
	}
	got.Write(some[:n])
	for range 3 {
		s.Write(Stdout, []byte(line+line), time.Now())
	}
	drain()
	write(s, chunk{Stdout, "back\n"})
	drain()
	all := texts(t, got.String())
	if !strings.HasSuffix(all, "back\n") {
		t.Errorf("log ends with %q, want the last line", all[max(0, len(all)-40):])
	}
	lost, notices := 0, 0
	for text := range strings.Lines(all) {
		var n int
		if _, err := fmt.Sscanf(text, "berth-monitor: %d bytes", &n); err == nil {
			lost += n
			notices++
		}
	}
	const lines = 20 + 3*2
	if kept := strings.Count(all, line); kept*len(line)+lost != lines*len(line) {
		t.Errorf("%d lines kept and %d bytes lost, want %d bytes in all", kept, lost, lines*len(line))
	}
	if notices != 2 || len(warned) != 4 {
		t.Errorf("%d notices, warnings = %q, want 2 and 4", notices, warned)
	}
}
