// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
)

func TestDefaultRoot(t *testing.T) {
	if os.Geteuid() == 0 {
		if got, err := DefaultRoot(); err != nil || got != "/var/lib/berth-image" {
			t.Errorf("root = %q, %v", got, err)
		}
		return
	}
	for _, c := range []struct{ data, home, want string }{
		{"/data", "/home/u", "/data/berth-image"},
		{"", "/home/u", "/home/u/.local/share/berth-image"},
		{"relative", "/home/u", "/home/u/.local/share/berth-image"},
		{"", "", ""},
	} {
		t.Setenv("XDG_DATA_HOME", c.data)
		t.Setenv("HOME", c.home)
		if got, err := DefaultRoot(); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%+v: root = %q, %v", c, got, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	full, newer, file := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "file")
	write(t, filepath.Join(full, "photo.jpg"), nil)
	write(t, filepath.Join(newer, "oci-layout"), []byte(`{"imageLayoutVersion":"2.0.0"}`))
	write(t, file, nil)
	for path, want := range map[string]string{
		full:  `not a store: it has "photo.jpg" and no oci-layout`,
		newer: `version "2.0.0" is not supported`,
		file:  "not a directory",
	} {
		s, err := Open(path)
		if err == nil {
			_ = s.Close()
		}
		expectError(t, err, nil, want)
		expectError(t, err, nil, path)
	}
	if all, err := os.ReadDir(full); err != nil || len(all) != 1 {
		t.Errorf("the directory now has %v, %v", all, err)
	}
}

func TestOpenGoesOnWhereItWasKilled(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, partialDir, "new"), []byte(`{"imageLa`))
	s := openStore(t, root)
	expectNames(t, s, ".", "blobs", "bundles", "index.json", "layers", "oci-layout", "partial", "volumes")
	raw, err := os.ReadFile(filepath.Join(root, "oci-layout"))
	if err != nil || string(raw) != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("oci-layout = %s, %v", raw, err)
	}
}

func TestNames(t *testing.T) {
	s := newStore(t)
	var p pool
	one, _ := p.addImage(noise(1, 10))
	pull(t, s, &p, "docker.io/library/one:latest")
	two, _ := p.addImage(noise(2, 10))
	pull(t, s, &p, "two")
	if err := s.Tag("alias", one); err != nil {
		t.Fatal(err)
	}
	if err := s.Tag("two", one); err != nil { // moves
		t.Fatal(err)
	}
	images, err := s.Images()
	got := ""
	for _, i := range images {
		got += i.Name + " " + i.Descriptor.Digest.String() + "\n"
	}
	want := "alias " + one.Digest.String() + "\ndocker.io/library/one:latest " + one.Digest.String() + "\ntwo " + one.Digest.String() + "\n"
	if err != nil || got != want {
		t.Errorf("images:\n%s%v, want:\n%s", got, err, want)
	}
	if err := s.Untag("alias"); err != nil {
		t.Error(err)
	}
	expectError(t, s.Untag("alias"), ErrNotExist, `cannot untag "alias": not in the store`)
	expectError(t, s.Tag("x", document.Describe(ocispec.MediaTypeImageManifest, []byte("absent"))), ErrNotExist, `cannot tag "x"`)
	for _, name := range []string{"", "a\nb", "a\xff", strings.Repeat("x", 5000)} {
		expectError(t, s.Tag(name, two), nil, "cannot be the name of an image")
	}
}

func TestResolve(t *testing.T) {
	s := newStore(t)
	var p pool
	one, _ := p.addImage(noise(1, 10))
	pull(t, s, &p, "one")
	two, _ := p.addImage(noise(2, 10))
	pull(t, s, &p, "two")
	pull(t, s, &p, "deadbeef")
	untagged, _ := p.addImage(noise(3, 10))
	pull(t, s, &p, "x")
	if err := s.Untag("x"); err != nil {
		t.Fatal(err)
	}
	hex := one.Digest.Encoded()
	for _, c := range []struct {
		name string
		want ocispec.Descriptor
		err  error
	}{
		{"one", one, nil},
		{"deadbeef", two, nil},
		{one.Digest.String(), one, nil},
		{"docker.io/x@" + one.Digest.String(), one, nil},
		{hex[:4], one, nil},
		{hex, one, nil},
		{"sha256:" + hex[:6], one, nil},
		{two.Digest.Encoded()[:8], two, nil},
		{untagged.Digest.String(), untagged, nil},
		{untagged.Digest.Encoded()[:12], untagged, ErrNotExist},
		{hex[:3], one, ErrNotExist},
		{"three", one, ErrNotExist},
		{"sha256:" + strings.Repeat("0", 64), one, ErrNotExist},
	} {
		d, err := s.Image(c.name).Resolve(t.Context())
		if !errors.Is(err, c.err) || err == nil && (d.Digest != c.want.Digest || d.Size != c.want.Size || d.MediaType != c.want.MediaType) {
			t.Errorf("%s: %v, %v; want %v, %v", c.name, d, err, c.want, c.err)
		}
	}
	idx := &index{}
	for _, end := range []string{"00", "01"} {
		idx.entries = append(idx.entries, entry{descriptor: ocispec.Descriptor{Digest: digest.Digest("sha256:" + strings.Repeat("ab", 31) + end)}})
	}
	if _, err := idx.resolve("abab"); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("error = %v, want ErrAmbiguous", err)
	}
}

// What other tools wrote into index.json stays.
func TestIndexOfOthers(t *testing.T) {
	root := t.TempDir()
	const foreign = `{"mediaType":"application/xml","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","size":7143,"x-new":{"a":1.50}}`
	write(t, filepath.Join(root, "oci-layout"), []byte(`{"imageLayoutVersion": "1.0.0"}`))
	write(t, filepath.Join(root, "index.json"), []byte(`{"schemaVersion":2,"x-member":[1e3,"\u00e4"],"manifests":[`+foreign+`],"annotations":{"com.example":"r1"}}`))
	s := openStore(t, root)
	var p pool
	p.addImage(noise(1, 10))
	pull(t, s, &p, "image")
	pull(t, s, &p, "other")
	if err := s.Untag("image"); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(root, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Version     json.RawMessage   `json:"schemaVersion"`
		Member      json.RawMessage   `json:"x-member"`
		Manifests   []json.RawMessage `json:"manifests"`
		Annotations json.RawMessage   `json:"annotations"`
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if string(got.Version) != "2" || string(got.Member) != `[1e3,"\u00e4"]` && string(got.Member) != `[1e3,"ä"]` || string(got.Annotations) != `{"com.example":"r1"}` || len(got.Manifests) != 2 || string(got.Manifests[0]) != foreign {
		t.Errorf("index.json = %s", raw)
	}
}

func FuzzParseIndex(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[]}`))
	f.Add([]byte(`{"manifests":[{"digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","size":1,"annotations":{"org.opencontainers.image.ref.name":"x"}}],"y":null}`))
	f.Add([]byte(`{"manifests":[null]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		idx, err := parseIndex(raw)
		if err != nil {
			return
		}
		before := len(idx.entries)
		idx.untag("new")
		if err := idx.tag("new", document.Describe("a/b", nil)); err != nil {
			t.Fatal(err)
		}
		out, err := idx.format()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseIndex(out)
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if _, err := again.resolve("new"); err != nil || len(again.members) < len(idx.members) || len(again.entries) > before+1 {
			t.Errorf("%s became %s", raw, out)
		}
	})
}
