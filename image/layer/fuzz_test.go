// SPDX-License-Identifier: Apache-2.0

package layer_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"berth/image/layer"
	"berth/image/store"
)

// FuzzApply applies any bytes, on a tree that ordinary layers left, with a
// canary beside it. Use -fuzzminimizetime 5x: coverage depends on goroutines here,
// and minimizing what is no finding takes a minute each.
func FuzzApply(f *testing.F) {
	for i, a := range corpus("/witness") {
		if i%7 == 0 && len(a.layers[len(a.layers)-1]) < 64<<10 {
			f.Add(a.layers[len(a.layers)-1], uint8(i))
		}
	}
	limits := layer.Limits{Bytes: 1 << 20, Entries: 200, Depth: 40, XattrBytes: 4 << 10}
	below := archive(folder("d"), file("d/f", "below"), folder("d/sub"), symlink("l", "/d"), symlink("out", "../witness"), file("f", ""))
	f.Fuzz(func(t *testing.T, tarball []byte, form uint8) {
		s := newSandbox(t)
		t.Cleanup(func() { // may be locked
			dir, err := os.Open(s.top)
			if err == nil {
				err = store.RemoveTree(dir, "target")
			}
			if err != nil {
				t.Error(err)
			}
			_ = dir.Close() // only read
		})
		o := layer.Options{Form: layer.Form(form % 3), Rootless: os.Geteuid() != 0 || form&4 != 0, KeepDirlinks: form&8 != 0, Limits: limits}
		if o.Form == layer.Overlay && os.Geteuid() != 0 {
			o.Form = layer.UserOverlay
		}
		if err := s.apply(t, layer.Extract, [][]byte{below}, o); err != nil {
			t.Fatal(err)
		}
		target := openDir(t, s.dirs[0])
		if o.Form != layer.Plain {
			o.Lowers = []*os.File{target}
			name := filepath.Join(s.top, "target", "1")
			if err := os.Mkdir(name, 0o755); err != nil {
				t.Fatal(err)
			}
			target = openDir(t, name)
		}
		var before string
		if o.Form != layer.Plain {
			before = full(t, s.dirs[0])
		}
		_, err := layer.Apply(target, bytes.NewReader(tarball), o)
		if after := s.witness.state(t); after != s.before {
			t.Fatalf("the witness has changed (error %v)\nfrom %s\nto   %s", err, s.before, after)
		}
		if o.Form != layer.Plain && full(t, s.dirs[0]) != before {
			t.Fatalf("the layer below has changed (error %v)", err)
		}
	})
}
