// SPDX-License-Identifier: Apache-2.0

package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// noon is a moment whose nanoseconds end with zeros: both formats treat them
// in their own way.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 120_000_000, time.UTC)

// inZone makes the local zone one that is not UTC, half an hour included.
func inZone(t testing.TB) {
	t.Helper()
	old := time.Local
	time.Local = time.FixedZone("test", -(3*60+30)*60)
	t.Cleanup(func() { time.Local = old })
}

// chunk is one read of a container's output.
type chunk struct {
	stream Stream
	text   string
}

func openSet(t testing.TB, o Options, targets ...Target) *Set {
	t.Helper()
	if o.Warn == nil {
		o.Warn = func(s string) { t.Errorf("unexpected warning %q", s) }
	}
	s, err := Open(targets, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func write(s *Set, chunks ...chunk) {
	for _, c := range chunks {
		s.Write(c.stream, []byte(c.text), noon)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func closeSet(t testing.TB, s *Set) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFormats(t *testing.T) {
	inZone(t)
	const k8s = "2026-03-04T08:30:00.120000000-03:30 "
	cases := []struct {
		name   string
		driver Driver
		chunks []chunk
		want   string
	}{
		{"k8s whole lines share a time", K8sFile, []chunk{{Stdout, "one\ntwo\n"}, {Stderr, "three\n"}},
			k8s + "stdout F one\n" + k8s + "stdout F two\n" + k8s + "stderr F three\n"},
		{"k8s tail is partial", K8sFile, []chunk{{Stdout, "one\ntw"}, {Stderr, "x\n"}, {Stdout, "o\n"}},
			k8s + "stdout F one\n" + k8s + "stdout P tw\n" + k8s + "stderr F x\n" + k8s + "stdout F o\n"},
		{"k8s empty lines", K8sFile, []chunk{{Stdout, "\n\n"}}, k8s + "stdout F \n" + k8s + "stdout F \n"},
		{"k8s newline alone ends a partial line", K8sFile, []chunk{{Stdout, "a"}, {Stdout, "\n"}}, k8s + "stdout P a\n" + k8s + "stdout F \n"},
		{"k8s binary", K8sFile, []chunk{{Stderr, "\x00\xff\r\n"}}, k8s + "stderr F \x00\xff\r\n"},
		{"k8s nothing", K8sFile, []chunk{{Stdout, ""}}, ""},
		{"json lines", JSONFile, []chunk{{Stdout, "one\ntwo\n"}, {Stderr, "three"}},
			`{"log":"one\n","stream":"stdout","time":"2026-03-04T12:00:00.12Z"}` + "\n" +
				`{"log":"two\n","stream":"stdout","time":"2026-03-04T12:00:00.12Z"}` + "\n" +
				`{"log":"three","stream":"stderr","time":"2026-03-04T12:00:00.12Z"}` + "\n"},
		{"json escapes", JSONFile, []chunk{{Stdout, "\"\\\t\r\x01<&>é\u2028\xff\n"}},
			`{"log":"\"\\\t\r\u0001\u003c\u0026\u003eé\u2028\ufffd\n","stream":"stdout","time":"2026-03-04T12:00:00.12Z"}` + "\n"},
		{"json rune in three reads", JSONFile, []chunk{{Stdout, "a\xe2"}, {Stdout, "\x82"}, {Stdout, "\xac\n"}},
			`{"log":"a","stream":"stdout","time":"2026-03-04T12:00:00.12Z"}` + "\n" +
				`{"log":"€\n","stream":"stdout","time":"2026-03-04T12:00:00.12Z"}` + "\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			s := openSet(t, Options{}, Target{c.driver, path})
			write(s, c.chunks...)
			if got := read(t, path); got != c.want {
				t.Errorf("log =\n%swant\n%s", got, c.want)
			}
		})
	}
}

func TestLogIsPrivateAndAppendedTo(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	path := filepath.Join(t.TempDir(), "log")
	for range 2 {
		s := openSet(t, Options{}, Target{K8sFile, path})
		write(s, chunk{Stdout, "text\n"})
		closeSet(t, s)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o640 {
		t.Errorf("mode = %o, want 640", got)
	}
	if got := strings.Count(read(t, path), "stdout F text\n"); got != 2 {
		t.Errorf("%d lines after two runs, want 2", got)
	}
}

func TestCloseEndsPartialLines(t *testing.T) {
	cases := []struct {
		name, text, want string
		driver           Driver
	}{
		{"k8s", "tail", " stdout F \n", K8sFile},
		{"k8s after a whole line", "line\n", " stdout F line\n", K8sFile},
		{"json", "tail", `{"log":"\n","stream":"stdout",`, JSONFile},
		{"json half a rune", "\xe2\x82", `{"log":"\ufffd\ufffd","stream":"stdout",`, JSONFile},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			s := openSet(t, Options{}, Target{c.driver, path})
			write(s, chunk{Stdout, c.text})
			closeSet(t, s)
			got := read(t, path)
			if !strings.Contains(got, c.want) {
				t.Errorf("log = %q, want %q in it", got, c.want)
			}
			if n := strings.Count(got, " F "); c.driver == K8sFile && n != 1 {
				t.Errorf("log = %q with %d ends of line, want 1", got, n)
			}
		})
	}
}

func TestSeveralDriversAtOnce(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	s := openSet(t, Options{}, Target{K8sFile, a}, Target{Driver: None}, Target{JSONFile, b})
	write(s, chunk{Stdout, "x\n"})
	if s.Passthrough() {
		t.Error("Passthrough = true, want false")
	}
	if got := read(t, a); !strings.HasSuffix(got, " stdout F x\n") {
		t.Errorf("k8s-file = %q", got)
	}
	if got := read(t, b); !strings.HasPrefix(got, `{"log":"x\n"`) {
		t.Errorf("json-file = %q", got)
	}
}

func TestPassthroughWritesNothing(t *testing.T) {
	s := openSet(t, Options{}, Target{Driver: Passthrough})
	write(s, chunk{Stdout, "x\n"})
	if !s.Passthrough() {
		t.Error("Passthrough = false, want true")
	}
}

func TestOpenFailsAsAWhole(t *testing.T) {
	dir := t.TempDir()
	before := openFDs(t)
	_, err := Open([]Target{{K8sFile, filepath.Join(dir, "a")}, {K8sFile, filepath.Join(dir, "none", "b")}}, Options{})
	if want := fmt.Sprintf("cannot open log %q: no such file or directory", filepath.Join(dir, "none", "b")); err == nil || err.Error() != want {
		t.Errorf("Open = %v, want %s", err, want)
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors open, want %d", after, before)
	}
}

func openFDs(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestWriteAllocatesNothingPerLine(t *testing.T) {
	s := openSet(t, Options{}, Target{K8sFile, filepath.Join(t.TempDir(), "log")})
	p := []byte(strings.Repeat("a line of text\n", 500))
	s.Write(Stdout, p, noon)
	if n := testing.AllocsPerRun(10, func() { s.Write(Stdout, p, noon) }); n > 0 {
		t.Errorf("%v allocations for 500 lines, want 0", n)
	}
}

func BenchmarkK8sFile(b *testing.B) {
	line := strings.Repeat("x", 99) + "\n"
	for _, c := range []struct {
		name string
		p    []byte
	}{
		{"one line", []byte(line)},
		{"8 KiB", []byte(strings.Repeat(line, 81))},
		{"8 KiB of short lines", []byte(strings.Repeat("short\n", 1365))},
	} {
		b.Run(c.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "log")
			s := openSet(b, Options{NoSync: true, SizeMax: 64 << 20}, Target{K8sFile, path})
			b.SetBytes(int64(len(c.p)))
			b.ReportAllocs()
			for b.Loop() {
				s.Write(Stdout, c.p, noon)
			}
		})
	}
}
