// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var sampleEntries = []Entry{
	{Path: "", Meta: Meta{Mode: 0o40755, MTime: unix.Timespec{Sec: -5, Nsec: 999_999_999}, Links: 1}},
	{Path: "a", Meta: Meta{Mode: 0o40000, UID: 1<<32 - 2, GID: 7, Links: 1}, CTime: unix.Timespec{Sec: 1}},
	{Path: "a/\xff", Meta: Meta{Mode: 0o100644, Size: 1<<63 - 1, Links: 3, Inode: FileID{Ino: 1<<64 - 1}}, Xattrs: Sum{1}, Contents: Sum{2}},
	{Path: "a.b", Meta: Meta{Mode: 0o120777, Target: strings.Repeat("t", maxPath), Links: 1}},
	{Path: "dev", Meta: Meta{Mode: 0o20600, Rdev: unix.Mkdev(4095, 1<<20-1), Links: 1}},
}

func all(list ...Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func collect(entries iter.Seq2[Entry, error]) (list []Entry, err error) {
	for e, err := range entries {
		if err != nil {
			return list, err
		}
		list = append(list, e)
	}
	return list, nil
}

func manifest(t testing.TB, entries ...Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, WriteManifest(&b, all(entries...)))
	return b.Bytes()
}

func TestManifestIsReadAsItWasWritten(t *testing.T) {
	for _, want := range [][]Entry{nil, sampleEntries, sampleEntries[2:3]} {
		got, err := collect(ReadManifest(bytes.NewReader(manifest(t, want...))))
		must(t, err)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v\nwant %+v", got, want)
		}
	}
}

func TestManifestThatIsCutOff(t *testing.T) {
	whole := manifest(t, sampleEntries...)
	for n := range whole {
		if _, err := collect(ReadManifest(bytes.NewReader(whole[:n]))); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
}

func TestManifestErrors(t *testing.T) {
	for want, data := range map[string]string{
		"cannot read the manifest after /: not a manifest, or one of another version of this program": "berth manifest 2\n",
		"cannot read the manifest after /: 0 entries, and it should have 1":                           magic + "\x80\x20\x01",
		"cannot read the manifest after /: number 5000, and at most 4096 is possible":                 magic + "\x88\x27",
		"cannot read the manifest after /: .. is no path in a tree":                                   magic + "\x02" + strings.Repeat("\x00", 14) + "..",
		"cannot read the manifest after /: number 1, and at most 0 is possible":                       magic + "\x02\x01",
		"cannot read the manifest after a: a is not in order":                                         magic + strings.Repeat("\x01"+strings.Repeat("\x00", 14)+"a", 2),
	} {
		if _, err := collect(ReadManifest(strings.NewReader(data))); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	err := WriteManifest(io.Discard, all(Entry{Path: "b"}, Entry{Path: "a"}))
	if want := "cannot write a manifest: a after b"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestSavedManifestReplacesTheOldOne(t *testing.T) {
	dir := t.TempDir()
	at := open(t, dir)
	must(t, SaveManifest(at, "manifest", all(sampleEntries...)))
	failing := errors.New("disk on fire")
	err := SaveManifest(at, "manifest", func(yield func(Entry, error) bool) { yield(Entry{}, failing) })
	if !errors.Is(err, failing) {
		t.Errorf("error %v, want %v", err, failing)
	}
	data, err := os.ReadFile(filepath.Join(dir, "manifest"))
	must(t, err)
	if !bytes.Equal(data, manifest(t, sampleEntries...)) {
		t.Error("the manifest is not what was saved first")
	}
}

func FuzzReadManifest(f *testing.F) {
	f.Add(manifest(f, sampleEntries...))
	f.Add(manifest(f))
	f.Add([]byte(magic + "\x80\x20\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := collect(ReadManifest(bytes.NewReader(data)))
		if err != nil {
			return
		}
		again, err := collect(ReadManifest(bytes.NewReader(manifest(t, list...))))
		if err != nil || !reflect.DeepEqual(again, list) {
			t.Errorf("%+v, %v, want %+v", again, err, list)
		}
	})
}

func TestOrderIsThatOfAWalk(t *testing.T) {
	want := []string{"", "a", "a/b", "a/b/c", "a/z", "a\x01", "a.b", "ab", "b"}
	for i, a := range want {
		for j, b := range want {
			if got := order(a, b); got < 0 != (i < j) || got == 0 != (i == j) {
				t.Errorf("order(%q, %q) = %d", a, b, got)
			}
		}
	}
}

// Without sums and without ctimes a layer may have more than it must, and never
// less.
func TestTreeWithPoorManifests(t *testing.T) {
	dir := t.TempDir()
	do(t, dir, "write a 1\n write b 1\n mkdir d\n symlink l a")
	age(t, dir)
	root := open(t, dir)
	entries, err := collect(Walk(root, Options{}))
	must(t, err)
	touch := func() {
		do(t, dir, "chmod a 0600\n chmod a 0644\n chmod d 0700\n chmod d 0755\n write b 2\n touch b 1000000000")
	}
	touch()
	old := func(e Entry) Entry { e.CTime = unix.Timespec{}; return e }
	var poor []Entry
	for _, e := range entries {
		poor = append(poor, old(e))
	}
	for name, c := range map[string]struct {
		before []Entry
		o      Options
		want   string
		err    string
	}{
		"no sums":            {entries, Options{}, "M a\nM b\n", ""},
		"no ctimes":          {poor, Options{}, "M a\nM b\n", ""},
		"paranoid, no sums":  {entries, Options{Paranoid: true}, "", "cannot compare a: the manifest has no sums of contents (hint: unpack with --paranoid, or commit without)"},
		"nothing was before": {entries[:1], Options{}, "A a\nA b\nA d\nA l\n", ""},
	} {
		changes, err := Tree(root, all(c.before...), c.o)
		if got := lines(changes); got != c.want || fmt.Sprint(err) != c.err && err != nil {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

// A file that has the inode, size and times that it had is only read if that is
// asked for.
func TestParanoidReadsEveryFile(t *testing.T) {
	dir := t.TempDir()
	do(t, dir, "write a 1\n write b 1")
	root := open(t, dir)
	entries, err := collect(Walk(root, Options{Paranoid: true}))
	must(t, err)
	entries[1].Contents[0]++ // as if the file had changed behind the clock's back
	for paranoid, want := range map[bool]string{false: "", true: "M a\n"} {
		changes, err := Tree(root, all(entries...), Options{Paranoid: paranoid})
		must(t, err)
		if got := lines(changes); got != want {
			t.Errorf("paranoid %v: %q, want %q", paranoid, got, want)
		}
	}
}

func TestErrorOfTheManifestIsTold(t *testing.T) {
	data := manifest(t, sampleEntries...)
	_, err := Tree(open(t, t.TempDir()), ReadManifest(bytes.NewReader(data[:60])), Options{})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

// bigTree has 50,000 entries, and ten changes since its manifest was made.
func bigTree(b *testing.B) (root *os.File, data []byte) {
	dir := private(b)
	for i := range 500 {
		d := fmt.Sprintf("d%02d/e%02d", i/50, i%50)
		do(b, dir, "mkdir "+d+"\n many "+d+" 98")
	}
	root = open(b, dir)
	var m bytes.Buffer
	must(b, WriteManifest(&m, Walk(root, Options{})))
	for i := range 10 {
		do(b, dir, fmt.Sprintf("write d%02d/e07/f00050 changed", i))
	}
	return root, m.Bytes()
}

func BenchmarkTree(b *testing.B) {
	root, data := bigTree(b)
	for b.Loop() {
		changes, err := Tree(root, ReadManifest(bytes.NewReader(data)), Options{})
		if err != nil || len(changes) != 30 {
			b.Fatal(len(changes), err)
		}
	}
	b.ReportMetric(float64(len(data)), "manifest-B")
}

func BenchmarkWalk(b *testing.B) {
	root, _ := bigTree(b)
	for b.Loop() {
		must(b, WriteManifest(io.Discard, Walk(root, Options{})))
	}
}
