// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestWireKeepsEntriesAndErrors(t *testing.T) {
	entries := []Entry{
		{Path: "d/\xff", Type: tar.TypeReg, Mode: 0o4755, UID: 1<<32 - 2, GID: 7, Size: 1 << 40, ModTime: time.Unix(-5, 7), Inode: 1 << 63, Changed: -1},
		{Path: "gone"}, {Path: "h", Type: tar.TypeLink, Link: "d/f"}, {Path: "null", Type: tar.TypeChar, Device: unix.Mkdev(1, 3), ModTime: time.Unix(1, 0)},
	}
	failures := []error{nil, refuse("why"), of("a\xffb", overLimit("much")), failed("openat", "x", unix.ENOSPC), damaged(errors.New("x")), fmt.Errorf("read: %w", unix.EIO)}
	for _, failure := range failures {
		var b bytes.Buffer
		out := &frames{w: bufio.NewWriter(&b)}
		out.warn("lost")
		for _, e := range entries {
			out.record(e)
		}
		if err := out.reply(reply{Result{Entries: 3}, failureOf(failure)}); err != nil {
			t.Fatal(err)
		}
		var warnings []string
		var got []Entry
		r, err := receive(&b, func(s string) { warnings = append(warnings, s) }, func(e Entry) { got = append(got, e) })
		if err != nil || r.Result.Entries != 3 {
			t.Errorf("reply %+v, %v", r, err)
		}
		if !slices.EqualFunc(got, entries, func(a, b Entry) bool {
			same := a.ModTime.Equal(b.ModTime)
			a.ModTime, b.ModTime = time.Time{}, time.Time{}
			return same && a == b
		}) || !slices.Equal(warnings, []string{"lost"}) {
			t.Errorf("entries %+v, warnings %q\nwant %+v", got, warnings, entries)
		}
		switch err := r.Failed.err(); {
		case failure == nil && err == nil:
		case failure == nil || err == nil || failure.Error() != err.Error():
			t.Errorf("error %v, want %v", err, failure)
		default:
			for _, kind := range append(kinds, unix.ENOSPC, unix.EIO) {
				if errors.Is(failure, kind) != errors.Is(err, kind) {
					t.Errorf("%v: errors.Is %v is lost", failure, kind)
				}
			}
		}
	}
}

// FuzzReceive: the child is as hostile as a layer may have made it.
func FuzzReceive(f *testing.F) {
	var b bytes.Buffer
	out := &frames{w: bufio.NewWriter(&b)}
	out.warn("w")
	out.record(Entry{Path: "p", Link: "l", Type: '0'})
	if err := out.reply(reply{Failed: failureOf(refuse("x"))}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("e\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := receive(bytes.NewReader(b), func(string) {}, func(e Entry) {
			if again, err := parseEntry(e.append(nil)); err != nil || again.Path != e.Path || again.Size != e.Size {
				t.Errorf("%+v is read again as %+v, %v", e, again, err)
			}
		})
		if err == nil && r.Failed != nil && r.Failed.err() == nil {
			t.Error("a failure without an error")
		}
	})
}

func TestParseName(t *testing.T) {
	for _, c := range []struct {
		name string
		what meaning
		path string
	}{
		{".", change, ""}, {"a/", change, "a"}, {"/../a/./b//c", change, "a/b/c"}, {"a/.wh.b", whiteout, "a/b"}, {".wh..wh..opq", opaque, ""},
		{"a/b/.wh..wh..opq", opaque, "a/b"}, {".wh.b c", whiteout, "b c"}, {"a.wh.b", change, "a.wh.b"}, {".wh..wh.plnk/3", ignored, ".wh..wh.plnk/3"},
	} {
		what, name, err := parseName(c.name)
		if what != c.what || name != c.path || err != nil {
			t.Errorf("parseName(%q) = %d, %q, %v, want %d, %q", c.name, what, name, err, c.what, c.path)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, name := range []string{"a/../.wh...", ".wh.", "a/.wh.b/c", "/./..//", ".wh..wh..opq", "\x00"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		what, got, err := parseName(name)
		if err != nil {
			if !errors.Is(err, ErrRefused) && !errors.Is(err, ErrLimit) {
				t.Errorf("parseName(%q): error %v of no kind", name, err)
			}
			return
		}
		if got != "" && (path.Clean("/" + got)[1:] != got || strings.HasPrefix(got, "../")) || got == ".." || what == whiteout && got == "" {
			t.Errorf("parseName(%q) = %d, %q", name, what, got)
		}
		if what == change && strings.Contains("/"+got, "/"+whiteoutPrefix) {
			t.Errorf("parseName(%q) = %q, which has a whiteout's name", name, got)
		}
	})
}

func TestSparseRuns(t *testing.T) {
	b := make([]byte, 3*holeSize+10)
	b[holeSize] = 1
	for _, c := range []struct {
		from, n int
		zero    bool
	}{{0, holeSize, true}, {holeSize, holeSize, false}, {2 * holeSize, holeSize + 10, true}} {
		if n, zero := run(b[c.from:]); n != c.n || zero != c.zero {
			t.Errorf("run from %d = %d, %v, want %d, %v", c.from, n, zero, c.n, c.zero)
		}
	}
}
