// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
	"berth/image/transport"
)

// unpack makes the layers of chains: a file with the chain's name in each.
func unpack(t *testing.T, s *Store, form string, chains ...digest.Digest) {
	t.Helper()
	for _, id := range chains {
		if _, err := s.Layer(t.Context(), id, form, fillWith(id)); err != nil {
			t.Fatal(err)
		}
	}
}

func fillWith(id digest.Digest) func(*os.File) error {
	return func(dir *os.File) error {
		return os.WriteFile(filepath.Join(dir.Name(), "chain"), []byte(id), 0o600)
	}
}

func gc(t *testing.T, s *Store, o GCOptions) string {
	t.Helper()
	report, err := s.GC(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range report {
		if r.Kind == KindLayer || r.Kind == KindVolume {
			r.Size = 0 // as the file system has it
		}
		fmt.Fprintln(&b, r.Kind, r.Name, r.Size)
	}
	return b.String()
}

func TestLayerIsMadeOnce(t *testing.T) {
	s := newStore(t)
	id := digest.FromString("chain")
	made := 0
	for range 2 {
		path, err := s.Layer(t.Context(), id, "overlay", func(dir *os.File) error {
			if st, err := dir.Stat(); err != nil || st.Mode() != os.ModeDir|0o700 {
				t.Errorf("mode = %v, %v", st.Mode(), err)
			}
			made++
			return dir.Chmod(0o755)
		})
		if want := s.Path() + "/layers/sha256-" + id.Encoded() + "-overlay"; err != nil || path != want {
			t.Errorf("path = %q, %v; want %q", path, err, want)
		}
	}
	if made != 1 {
		t.Errorf("made %d times, want once", made)
	}
	expectNames(t, s, partialDir)
}

func TestLayerThatCannotBeMade(t *testing.T) {
	s := newStore(t)
	id, bad := digest.FromString("chain"), errors.New("wrong diffID")
	_, err := s.Layer(t.Context(), id, "overlay", func(dir *os.File) error {
		if err := fillWith(id)(dir); err != nil {
			t.Fatal(err)
		}
		return bad
	})
	expectError(t, err, bad, "cannot make layer")
	expectNames(t, s, layersDir)
	expectNames(t, s, partialDir)
	for _, c := range []struct{ id, form string }{
		{"sha256:../x", "overlay"}, {"", "overlay"}, {id.String(), ""}, {id.String(), "../x"}, {id.String(), "a:b"}, {id.String(), "-"},
	} {
		if path, err := s.Layer(t.Context(), digest.Digest(c.id), c.form, fillWith(id)); err == nil {
			t.Errorf("%+v: made %q", c, path)
		}
	}
}

func TestRemainsOfALayerAreNotUsed(t *testing.T) {
	s := newStore(t)
	id := digest.FromString("chain")
	name := making + layerName(id, "copy")
	write(t, filepath.Join(s.Path(), layersDir, name, "old"), nil)
	unpack(t, s, "copy", id)
	expectNames(t, s, layersDir+"/"+layerName(id, "copy"), "chain")
	expectNames(t, s, layersDir, layerName(id, "copy"))
}

func TestGC(t *testing.T) {
	s := newStore(t)
	var p pool
	base := noise(1, 100)
	// The index stays as an image; its second manifest was never pulled.
	kept, keptChains := p.addImage(base, noise(2, 100))
	absent := document.Describe(ocispec.MediaTypeImageManifest, []byte("absent"))
	sparse := p.addJSON(ocispec.MediaTypeImageIndex, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{kept, absent}})
	pull(t, s, &p, "kept")
	if err := putBytes(s, sparse, p.blobs[sparse.Digest]); err != nil {
		t.Fatal(err)
	}
	if err := s.Tag("kept", sparse); err != nil {
		t.Fatal(err)
	}
	// A bundle keeps its image without a name, and one form of its layers.
	pinned, pinnedChains := p.addImage(base, noise(3, 100))
	pull(t, s, &p, "pinned")
	// Nothing keeps these.
	gone, goneChains := p.addImage(base, noise(4, 100))
	pull(t, s, &p, "gone")
	for _, name := range []string{"pinned", "gone"} {
		if err := s.Untag(name); err != nil {
			t.Fatal(err)
		}
	}
	unpack(t, s, "overlay", keptChains...)
	unpack(t, s, "overlay", pinnedChains[1], goneChains[1])
	unpack(t, s, "userxattr", pinnedChains[1])
	dir := t.TempDir()
	for _, b := range []Bundle{
		{Path: dir, Manifest: pinned, Mode: "overlay", Form: "overlay", ChainIDs: pinnedChains, Volumes: []string{"data"}},
		{Path: filepath.Join(dir, "removed"), Manifest: gone, Mode: "overlay", Form: "overlay", ChainIDs: goneChains},
	} {
		if err := s.PinBundle(b); err != nil {
			t.Fatal(err)
		}
	}
	for _, left := range []string{"partial/sha256-x", "partial/new"} {
		write(t, filepath.Join(s.Path(), left), []byte("12345"))
	}
	for _, left := range []string{"layers/.new-x/a/b", "layers/.dead-x/c", "volumes/.dead-1/d", "layers/README", "blobs/sha256/.umoci-1", "blobs/blake3/00"} {
		write(t, filepath.Join(s.Path(), left), nil)
	}
	if _, err := s.Volume("unused"); err != nil {
		t.Fatal(err)
	}

	doc, err := document.Parse(p.blobs[gone.Digest], gone)
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{}
	for _, d := range []ocispec.Descriptor{gone, doc.Manifest.Config, doc.Manifest.Layers[1]} {
		lines = append(lines, fmt.Sprintln(KindBlob, d.Digest, d.Size))
	}
	lines = append(lines, fmt.Sprintln(KindLayer, layerName(goneChains[1], "overlay"), 0), fmt.Sprintln(KindLayer, layerName(pinnedChains[1], "userxattr"), 0))
	want := sorted(lines[:3]) + "bundle " + dir + "/removed"
	dry := gc(t, s, GCOptions{DryRun: true})
	if !strings.HasPrefix(dry, want) {
		t.Errorf("report:\n%swant it to begin with:\n%s", dry, want)
	}
	rest := "layer .dead-x 0\nlayer .new-x 0\n" + sorted(lines[3:]) + "partial new 5\npartial sha256-x 5\nvolume .dead-1 0\n"
	if !strings.HasSuffix(dry, rest) {
		t.Errorf("report:\n%swant it to end with:\n%s", dry, rest)
	}
	if got := gc(t, s, GCOptions{}); got != dry {
		t.Errorf("report:\n%swant as without doing it:\n%s", got, dry)
	}
	if got := gc(t, s, GCOptions{}); got != "" {
		t.Errorf("the second time:\n%s", got)
	}
	for _, d := range append(keepOf(t, &p, kept), keepOf(t, &p, pinned)...) {
		if _, err := s.Document(d); err != nil {
			t.Error(err)
		}
	}
	expectNames(t, s, partialDir)
	expectNames(t, s, volumesDir, "unused")
	for _, other := range []string{"layers/README", "blobs/sha256/.umoci-1", "blobs/blake3/00"} {
		if _, err := os.Lstat(filepath.Join(s.Path(), other)); err != nil {
			t.Error(err)
		}
	}
	if n := len(names(t, s, layersDir)); n != 4 { // two of kept, one of pinned, README
		t.Errorf("%d layers: %q", n, names(t, s, layersDir))
	}
}

func sorted(lines []string) string {
	return strings.Join(slices.Sorted(slices.Values(lines)), "")
}

func keepOf(t *testing.T, p *pool, d ocispec.Descriptor) []ocispec.Descriptor {
	t.Helper()
	doc, err := document.Parse(p.blobs[d.Digest], d)
	if err != nil {
		t.Fatal(err)
	}
	return append(doc.Children(), d)
}

func TestGCRemovesNothingIfItCannotTell(t *testing.T) {
	for name, damage := range map[string]func(s *Store, root ocispec.Descriptor) string{
		"manifest": func(s *Store, root ocispec.Descriptor) string { return blobName(root.Digest) },
		"index":    func(*Store, ocispec.Descriptor) string { return "index.json" },
		"record":   func(*Store, ocispec.Descriptor) string { return "bundles/" + recordName("/b") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			var p pool
			root, _ := p.addImage(noise(1, 10))
			pull(t, s, &p, "image")
			if err := s.PinBundle(Bundle{Path: "/b", Manifest: root, Mode: "copy"}); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(s.Path(), damage(s, root)), []byte("{"))
			report, err := s.GC(t.Context(), GCOptions{})
			expectError(t, err, nil, "cannot collect garbage")
			if len(report) > 0 || len(names(t, s, "blobs/sha256")) != 3 {
				t.Errorf("removed %v", report)
			}
		})
	}
}

func TestGCDoesNotFollowLinksNorMountsOut(t *testing.T) {
	s := newStore(t)
	outside := t.TempDir()
	write(t, filepath.Join(outside, "a/witness"), []byte("here"))
	deep := filepath.Join(s.Path(), layersDir, ".dead-1")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(deep, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(s.Path(), layersDir, ".dead-2")); err != nil {
		t.Fatal(err)
	}
	// Deeper than a process may have descriptors, and than a path may be long.
	dir, err := os.Open(deep)
	for range 6000 {
		if err != nil {
			t.Fatal(err)
		}
		var next *os.File
		if next, err = s.mkdir(dir, "d", 0o500); err == nil {
			_ = dir.Close()
			_ = os.Chmod(fmt.Sprintf("/proc/self/fd/%d", next.Fd()), 0o700)
			dir = next
		}
	}
	_ = dir.Close()
	gc(t, s, GCOptions{})
	expectNames(t, s, layersDir)
	if raw, err := os.ReadFile(filepath.Join(outside, "a/witness")); err != nil || string(raw) != "here" {
		t.Errorf("witness = %q, %v", raw, err)
	}
}

func TestGCOfASymlinkedLayer(t *testing.T) {
	s := newStore(t)
	name := layerName(digest.FromString("x"), "copy")
	if err := os.Symlink("/", filepath.Join(s.Path(), layersDir, name)); err != nil {
		t.Fatal(err)
	}
	_, err := s.Layer(t.Context(), digest.FromString("x"), "copy", func(*os.File) error { return nil })
	expectError(t, err, ErrDamaged, "not a directory")
	gc(t, s, GCOptions{})
	expectNames(t, s, layersDir)
}

func TestGCWaitsForUsers(t *testing.T) {
	root := t.TempDir()
	user, collector := openStore(t, root), openStore(t, root)
	raw := noise(1, 10)
	d := document.Describe("a/b", raw)
	if err := putBytes(user, d, raw); err != nil {
		t.Fatal(err)
	}
	_, err := collector.GC(t.Context(), GCOptions{})
	expectError(t, err, ErrBusy, "cannot collect garbage")
	if _, err := user.Blob(d); err != nil {
		t.Error(err)
	}
	done := make(chan error)
	go func() {
		_, err := collector.GC(t.Context(), GCOptions{Wait: true})
		done <- err
	}()
	if err := user.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	_, err = collector.Blob(d)
	expectError(t, err, ErrNotExist, d.Digest.String())
}

func TestBundles(t *testing.T) {
	s := newStore(t)
	d := document.Describe(ocispec.MediaTypeImageManifest, []byte("x"))
	for _, b := range []Bundle{{Path: "/b", Manifest: d, Image: "one"}, {Path: "/a", Manifest: d}, {Path: "/b", Manifest: d, Image: "two"}} {
		if err := s.PinBundle(b); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.Bundles()
	if err != nil || len(all) != 2 || all[0].Path != "/a" || all[1].Image != "two" {
		t.Errorf("bundles = %+v, %v", all, err)
	}
	if b, err := s.Bundle("/b"); err != nil || b.Image != "two" || b.Manifest.Digest != d.Digest {
		t.Errorf("bundle = %+v, %v", b, err)
	}
	for range 2 {
		if err := s.UnpinBundle("/b"); err != nil {
			t.Error(err)
		}
	}
	_, err = s.Bundle("/b")
	expectError(t, err, ErrNotExist, `bundle "/b"`)
	for _, b := range []Bundle{{Path: "b", Manifest: d}, {Path: "/a/../b", Manifest: d}, {Path: "/c"}, {Path: "/c", Manifest: d, ChainIDs: []digest.Digest{"x"}}} {
		expectError(t, s.PinBundle(b), nil, "cannot record bundle")
	}
}

func TestVolumes(t *testing.T) {
	s := newStore(t)
	path, err := s.Volume("data")
	if err != nil || path != s.Path()+"/volumes/data" {
		t.Fatalf("path = %q, %v", path, err)
	}
	write(t, filepath.Join(path, "a/b"), nil)
	if again, err := s.Volume("data"); err != nil || again != path {
		t.Errorf("path = %q, %v", again, err)
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b", ".dead-1", "a,b", "a:b", strings.Repeat("x", 129)} {
		_, err := s.Volume(name)
		expectError(t, err, nil, "a name has letters")
		expectError(t, s.RemoveVolume(name), nil, "a name has letters")
	}
	dir := t.TempDir()
	d := document.Describe(ocispec.MediaTypeImageManifest, []byte("x"))
	if err := s.PinBundle(Bundle{Path: dir, Manifest: d, Volumes: []string{"data"}}); err != nil {
		t.Fatal(err)
	}
	expectError(t, s.RemoveVolume("data"), ErrInUse, dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveVolume("data"); err != nil {
		t.Error(err)
	}
	expectError(t, s.RemoveVolume("data"), ErrNotExist, "data")
	expectNames(t, s, volumesDir)
}

func TestCopyBetweenStores(t *testing.T) {
	from, to := newStore(t), newStore(t)
	var p pool
	root, _ := p.addImage(noise(1, 1000), noise(2, 1000))
	pull(t, from, &p, "a")
	got, err := transport.Copy(t.Context(), from.Image(root.Digest.Encoded()[:12]), to.Image("b"), transport.CopyOptions{})
	if err != nil || got.Digest != root.Digest {
		t.Fatalf("root = %v, %v", got, err)
	}
	if err := to.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
	expectNames(t, to, "blobs/sha256", names(t, from, "blobs/sha256")...)
}
