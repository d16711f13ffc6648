// SPDX-License-Identifier: Apache-2.0

package logs

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// texts is what the container wrote, as far as a k8s-file tells.
func texts(t *testing.T, log string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(log) {
		parts := strings.SplitN(line, " ", 4)
		if len(parts) != 4 || len(parts[0]) != 35 || parts[1] != "stdout" && parts[1] != "stderr" || !strings.HasSuffix(line, "\n") {
			t.Fatalf("line %q cannot be parsed", line)
		}
		text := parts[3]
		if parts[2] == "P" {
			text = strings.TrimSuffix(text, "\n")
		}
		b.WriteString(text)
	}
	return b.String()
}

func TestRotationLosesNoLine(t *testing.T) {
	cases := []struct {
		name      string
		sizeMax   int64
		perWrite  int // lines
		wholeRead bool
	}{
		{"a line per write", 1000, 1, true},
		{"many lines per write", 1000, 50, true},
		{"writes beyond the buffer", 20000, 1500, true},
		{"limit below a line", 10, 3, true},
		{"partial lines", 777, 5, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			s := openSet(t, Options{SizeMax: c.sizeMax, Rotate: true, MaxFiles: 10000}, Target{K8sFile, path})
			var want strings.Builder
			for i := range 3000 / c.perWrite {
				if c.sizeMax < 100 && i > 60 {
					break // each line is a file, and each file is renamed
				}
				var p strings.Builder
				for k := range c.perWrite {
					fmt.Fprintf(&p, "line %d of write %d\n", k, i)
				}
				text := p.String()
				if !c.wholeRead {
					text = text[:len(text)-1-i%7] // joins with the next write
				}
				want.WriteString(text)
				write(s, chunk{Stdout, text})
			}
			closeSet(t, s)

			logs := []string{read(t, path)}
			for n := 1; ; n++ {
				data, err := os.ReadFile(fmt.Sprintf("%s.%d", path, n))
				if errors.Is(err, os.ErrNotExist) {
					break
				}
				logs = append(logs, string(data))
			}
			if len(logs) < 3 {
				t.Fatalf("%d files: nothing was rotated", len(logs))
			}
			var got strings.Builder
			for n := len(logs) - 1; n >= 0; n-- {
				if int64(len(logs[n])) > c.sizeMax && strings.Count(logs[n], "\n") > 1 {
					t.Errorf("file %d has %d bytes, more than %d", n, len(logs[n]), c.sizeMax)
				}
				if len(logs[n]) == 0 {
					t.Errorf("file %d is empty", n)
				}
				got.WriteString(texts(t, logs[n]))
			}
			text := got.String()
			if !c.wholeRead {
				text = strings.TrimSuffix(text, "\n") // Close ended the last line
			}
			if sha256.Sum256([]byte(text)) != sha256.Sum256([]byte(want.String())) {
				t.Errorf("%d bytes in %d files differ from the %d written", len(text), len(logs), want.Len())
			}
		})
	}
}

func TestSizeLimit(t *testing.T) {
	const line = "2026-03-04T08:30:00.120000000-03:30 stdout F %s\n" // 47 bytes with one of text
	inZone(t)
	cases := []struct {
		name   string
		o      Options
		before string
		text   string
		want   map[string]string // by suffix of the path, %s of line
	}{
		{"exactly full", Options{SizeMax: 94}, "", "a\nb\n", map[string]string{"": "ab"}},
		{"replaced", Options{SizeMax: 94}, "", "a\nb\nc\n", map[string]string{"": "c"}},
		{"line above the limit", Options{SizeMax: 20}, "", "a\n", map[string]string{"": "a"}},
		{"full before", Options{SizeMax: 94}, strings.Repeat("x", 80), "a\n", map[string]string{"": "a"}},
		{"oldest is dropped", Options{SizeMax: 47, Rotate: true, MaxFiles: 2}, "", "a\nb\nc\nd\n", map[string]string{"": "d", ".1": "c", ".2": "b"}},
		{"one file kept", Options{SizeMax: 47, Rotate: true, MaxFiles: 1}, "", "a\nb\nc\n", map[string]string{"": "c", ".1": "b"}},
		{"no limit", Options{SizeMax: -1, Rotate: true, MaxFiles: 1}, "", "a\nb\n", map[string]string{"": "ab"}},
		{"global limit", Options{GlobalSizeMax: 100}, "", "a\nb\nc\n", map[string]string{"": "ab"}},
		{"global limit is final", Options{GlobalSizeMax: 100}, "", "a\n" + strings.Repeat("x", 20) + "\nc\n", map[string]string{"": "a"}},
		{"global limit across files", Options{GlobalSizeMax: 100, SizeMax: 47}, "", "a\nb\nc\n", map[string]string{"": "b"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "log")
			if c.before != "" {
				if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s := openSet(t, c.o, Target{K8sFile, path})
			for line := range strings.Lines(c.text) {
				write(s, chunk{Stdout, line})
			}
			closeSet(t, s)
			for suffix, entries := range c.want {
				var want strings.Builder
				for _, text := range entries {
					fmt.Fprintf(&want, line, string(text))
				}
				if got := read(t, path+suffix); got != want.String() {
					t.Errorf("log%s =\n%swant\n%s", suffix, got, want.String())
				}
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != len(c.want) {
				t.Errorf("files = %v, %v, want %d", entries, err, len(c.want))
			}
		})
	}
}

// A leftover temporary of a killed monitor, or a link that somebody put there,
// must neither stop rotation nor be followed.
func TestRotationReplacesALeftover(t *testing.T) {
	dir := t.TempDir()
	path, victim := filepath.Join(dir, "log"), filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, path+".tmp"); err != nil {
		t.Fatal(err)
	}
	s := openSet(t, Options{SizeMax: 50}, Target{K8sFile, path})
	write(s, chunk{Stdout, "a\nb\n"})
	if got := texts(t, read(t, path)); got != "b\n" {
		t.Errorf("log = %q, want the last line", got)
	}
	if got := read(t, victim); got != "precious" {
		t.Errorf("victim = %q", got)
	}
}

func TestFailedRotationKeepsTheLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.Mkdir(path+".tmp", 0o700); err != nil {
		t.Fatal(err)
	}
	var warned []string
	s := openSet(t, Options{SizeMax: 100, Warn: func(s string) { warned = append(warned, s) }}, Target{K8sFile, path})
	write(s, chunk{Stdout, "a\nb\nc\nd\n"})
	if got := texts(t, read(t, path)); got != "a\nb\nc\nd\n" {
		t.Errorf("log = %q, want all lines", got)
	}
	want := fmt.Sprintf("cannot begin a new file for log %q, it grows beyond its limit: is a directory", path)
	if len(warned) != 1 || warned[0] != want {
		t.Errorf("warnings = %q, want one: %q", warned, want)
	}
}

func TestReopenCreatesThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s := openSet(t, Options{}, Target{K8sFile, path})
	write(s, chunk{Stdout, "old\n"})
	if err := os.Rename(path, path+".kubelet"); err != nil {
		t.Fatal(err)
	}
	write(s, chunk{Stdout, "old too\n"})
	before := openFDs(t)
	if err := s.Reopen(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "" {
		t.Errorf("new log = %q, want an empty file", got)
	}
	write(s, chunk{Stdout, "new\n"})
	if got := texts(t, read(t, path)); got != "new\n" {
		t.Errorf("new log = %q", got)
	}
	if got := texts(t, read(t, path+".kubelet")); got != "old\nold too\n" {
		t.Errorf("old log = %q", got)
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors open, want %d", after, before)
	}
}

func TestFailedReopenKeepsTheOldFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "log")
	s := openSet(t, Options{}, Target{K8sFile, path})
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("cannot reopen log %q: no such file or directory", path)
	if err := s.Reopen(); err == nil || err.Error() != want {
		t.Errorf("Reopen = %v, want %s", err, want)
	}
	write(s, chunk{Stdout, "text\n"})
	if got := texts(t, read(t, filepath.Join(dir+".away", "log"))); got != "text\n" {
		t.Errorf("log = %q", got)
	}
}

func TestAllowlist(t *testing.T) {
	root := t.TempDir()
	in := func(path string) string { return filepath.Join(root, path) }
	for _, dir := range []string{"ok/sub", "okay", "other"} {
		if err := os.MkdirAll(in(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"ok/out": "../other", "in": "ok/sub", "alias": "ok", "ok/file": "../other/file",
	} {
		if err := os.Symlink(target, in(link)); err != nil {
			t.Fatal(err)
		}
	}
	const refused = "its directory is not below an allowed one"
	cases := []struct {
		name, path string
		allow      []string
		want       string // in the error
	}{
		{"no list", "other/log", nil, ""},
		{"in it", "ok/log", []string{"ok"}, ""},
		{"below it", "ok/sub/log", []string{"ok"}, ""},
		{"second entry", "other/log", []string{"ok", "other"}, ""},
		{"everything", "other/log", []string{"/"}, ""},
		{"link into it", "in/log", []string{"ok"}, ""},
		{"entry is a link", "ok/log", []string{"alias"}, ""},
		{"beside it", "other/log", []string{"ok"}, refused},
		{"same beginning", "okay/log", []string{"ok"}, refused},
		{"dots", "ok/../other/log", []string{"ok"}, refused},
		{"link out of it", "ok/out/log", []string{"ok"}, refused},
		{"log is a link", "ok/file", []string{"ok"}, "too many levels of symbolic links"},
		{"entry is not there", "ok/log", []string{"none"}, refused},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var o Options
			for _, dir := range c.allow {
				if dir != "/" {
					dir = in(dir)
				}
				o.AllowlistDirs = append(o.AllowlistDirs, dir)
			}
			s, err := Open([]Target{{K8sFile, in(c.path)}}, o)
			if err == nil {
				closeSet(t, s)
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("Open = %v, want %q", err, c.want)
			}
		})
	}
}

// The directory may be exchanged between Open and Reopen.
func TestAllowlistHoldsForReopen(t *testing.T) {
	root := t.TempDir()
	ok, other := filepath.Join(root, "ok"), filepath.Join(root, "other")
	for _, dir := range []string{filepath.Join(ok, "sub"), other} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s := openSet(t, Options{AllowlistDirs: []string{ok}}, Target{K8sFile, filepath.Join(ok, "sub", "log")})
	if err := os.Rename(filepath.Join(ok, "sub"), filepath.Join(ok, "old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, filepath.Join(ok, "sub")); err != nil {
		t.Fatal(err)
	}
	if err := s.Reopen(); !errors.Is(err, errNotAllowed) {
		t.Errorf("Reopen = %v, want %v", err, errNotAllowed)
	}
	if _, err := os.Stat(filepath.Join(other, "log")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("log outside the list: %v", err)
	}
}
