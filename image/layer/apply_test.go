// SPDX-License-Identifier: Apache-2.0

package layer_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"berth/image/layer"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sandbox is a directory with a witness and what a stack of layers became.
type sandbox struct {
	top     string
	witness witness
	before  string
	dirs    []string // applied layers, the lowest first; in plain form one directory
}

func newSandbox(tb testing.TB) *sandbox {
	tb.Helper()
	top, err := filepath.EvalSymlinks(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	s := &sandbox{top: top, witness: newWitness(tb, top)}
	s.empty(tb)
	s.before = s.witness.state(tb)
	return s
}

// empty makes it ready for another stack of layers.
func (s *sandbox) empty(tb testing.TB) {
	tb.Helper()
	_ = unix.Unmount(filepath.Join(s.top, "merged"), unix.MNT_DETACH) // if it is mounted
	for _, d := range []string{"target", "merged"} {
		name := filepath.Join(s.top, d)
		if err := os.RemoveAll(name); err != nil {
			tb.Fatal(err)
		}
		if err := os.Mkdir(name, 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	s.dirs = nil
}

// apply applies the layers, as a store would: each to a directory of its own in
// the overlay forms.
func (s *sandbox) apply(tb testing.TB, extract extractor, layers [][]byte, o layer.Options) error {
	tb.Helper()
	var files []*os.File
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	for i, tarball := range layers {
		name := filepath.Join(s.top, "target", "0")
		if o.Form != layer.Plain {
			name = filepath.Join(s.top, "target", fmt.Sprint(i))
		}
		if err := os.Mkdir(name, 0o755); err == nil {
			s.dirs = append(s.dirs, name)
		} else if !errors.Is(err, os.ErrExist) {
			tb.Fatal(err)
		}
		dir, err := os.Open(name)
		if err != nil {
			tb.Fatal(err)
		}
		d := describe(tarball, ocispec.MediaTypeImageLayer)
		_, err = extract(tb.Context(), dir, bytes.NewReader(tarball), d, d.Digest, o)
		files = append(files, dir)
		if err != nil {
			return err
		}
		if o.Form != layer.Plain {
			o.Lowers = append([]*os.File{dir}, o.Lowers...)
		}
	}
	return nil
}

// tree is where the result can be looked at: merged, in an overlay form.
func (s *sandbox) tree(tb testing.TB, form layer.Form) string {
	tb.Helper()
	if form == layer.Plain {
		return s.dirs[0]
	}
	lowers := slices.Clone(s.dirs)
	slices.Reverse(lowers)
	empty := filepath.Join(s.top, "target", "empty")
	if err := os.MkdirAll(empty, 0o755); err != nil {
		tb.Fatal(err)
	}
	options := "lowerdir=" + strings.Join(append(lowers, empty), ":")
	if form == layer.UserOverlay {
		options += ",userxattr"
	}
	merged := filepath.Join(s.top, "merged")
	if err := unix.Mount("overlay", merged, "overlay", unix.MS_RDONLY, options); err != nil {
		tb.Skipf("no overlay can be mounted here: %v", err)
	}
	tb.Cleanup(func() { _ = unix.Unmount(merged, unix.MNT_DETACH) })
	return merged
}

func needRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("owners, devices and overlay mounts need root")
	}
}

// forms of the corpus.
var forms = []struct {
	name string
	o    layer.Options
}{
	{"plain", layer.Options{}},
	{"overlay", layer.Options{Form: layer.Overlay}},
	{"rootless", layer.Options{Rootless: true}},
}

// TestCorpus applies each hostile archive in each form. The witness beside it
// stays as it is, and what becomes of the layer stands in the golden file:
// refused with its reason, or the tree, which is the same in all forms unless
// said otherwise.
func TestCorpus(t *testing.T) {
	needRoot(t)
	var golden strings.Builder
	s := newSandbox(t)
	all := corpus(s.witness.top)
	if len(all) < 200 {
		t.Errorf("%d archives in the corpus, want at least 200", len(all))
	}
	for i, a := range all {
		fmt.Fprintf(&golden, "%s\n", strings.ReplaceAll(a.name, s.witness.top, "W"))
		last := ""
		for _, form := range forms {
			got := s.attack(t, a, layer.Extract, form.o)
			if form.name == "plain" && i%5 == 0 { // one in five: each is a process
				began := time.Now()
				confined := s.attack(t, a, layer.Confined, form.o)
				cheap(t, a.name, began)
				if confined != got {
					t.Errorf("%s: confined, it is %s\nin process, it is %s", a.name, confined, got)
				}
			}
			if got != last {
				fmt.Fprintf(&golden, "\t%s: %s\n", form.name, got)
			}
			if last == "" {
				last = got
			}
		}
	}
	compare(t, "corpus.golden", golden.String())
}

// attack applies one, and says what became of it. The witness' path is W.
func (s *sandbox) attack(t *testing.T, a attack, extract extractor, o layer.Options) string {
	t.Helper()
	defer s.empty(t)
	o.Limits = layer.DefaultLimits()
	if a.limits != (layer.Limits{}) {
		o.Limits = a.limits
	}
	err := s.apply(t, extract, a.layers, o)
	if after := s.witness.state(t); after != s.before {
		t.Errorf("%s: the witness has changed\nfrom %s\nto   %s", a.name, s.before, after)
	}
	if err != nil {
		var e *layer.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: error %v is of type %T", a.name, err, err)
		}
		return strings.ReplaceAll("REFUSED "+strings.ReplaceAll(err.Error(), s.witness.top, "W"), s.witness.top[1:], "W")
	}
	got := strings.ReplaceAll(brief(t, s.tree(t, o.Form)), s.witness.top, "W")
	got = strings.ReplaceAll(got, s.witness.top[1:], "W")
	var words []string
	for word := range strings.SplitSeq(got, " ") {
		if !strings.HasSuffix(word, "/") || !strings.HasPrefix(s.witness.top[1:]+"/", strings.TrimPrefix(word, "proc/self/root/")) {
			if len(word) > 50 {
				word = fmt.Sprintf("%s…(%d)", word[:20], len(word))
			}
			words = append(words, word)
		}
	}
	if len(words) > 30 {
		words = append(words[:10], fmt.Sprintf("and %d more", len(words)-10))
	}
	return "(" + strings.Join(words, " ") + ")"
}

// compare compares with a golden file, or rewrites it.
func compare(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range min(len(gotLines), len(wantLines)) {
		if gotLines[i] != wantLines[i] {
			t.Fatalf("%s:%d (-update rewrites it)\n got %s\nwant %s", name, i+1, gotLines[i], wantLines[i])
		}
	}
	t.Fatalf("%s has %d lines, want %d (-update rewrites it)", name, len(wantLines), len(gotLines))
}
