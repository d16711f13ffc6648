// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
	"berth/image/transport"
)

func TestParse(t *testing.T) {
	dir := t.TempDir()
	odd := writeFile(t, filepath.Join(dir, "a:b"), nil)
	id := "sha256:" + strings.Repeat("a", 64)
	for in, want := range map[string]Location{
		"oci:d":                            {Layout, "d", ""},
		"oci:d:tag":                        {Layout, "d", "tag"},
		"oci:d:localhost:5000/x:1":         {Layout, "d", "localhost:5000/x:1"},
		"oci:d@" + id:                      {Layout, "d", id},
		"oci:d:" + id:                      {Layout, "d", id},
		"oci-archive:/x/y.tar:z":           {OCIArchive, "/x/y.tar", "z"},
		"docker-archive:f.tar:busybox:1.2": {DockerArchive, "f.tar", "busybox:1.2"},
		odd:                                {"", odd, ""},
		dir + "/c:d":                       {"", dir + "/c", "d"},
		dir:                                {"", dir, ""},
	} {
		if got, err := Parse(in); err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", in, got, err, want)
		}
	}
	for in, want := range map[string]string{"oci:": `"oci:": there is no path`, "": `"": there is no path`, "oci::x": `"oci::x": there is no path`} {
		if _, err := Parse(in); err == nil || err.Error() != want {
			t.Errorf("Parse(%q): %v, want %s", in, err, want)
		}
	}
	if !HasPrefix("oci:x") || HasPrefix("localhost:5000/x") || HasPrefix("oci") {
		t.Error("HasPrefix takes one for the other")
	}
}

// TestRoundTrip: what goes in comes out, byte by byte; a docker-archive keeps the
// config and the contents of layers.
func TestRoundTrip(t *testing.T) {
	m := newImage(t, "a", "b", "c", "b")
	dir := t.TempDir()
	for _, location := range []string{"oci:" + dir + "/layout", "oci:" + dir + "/layout:name", "oci-archive:" + dir + "/oci.tar", "oci-archive:" + dir + "/oci.tar:x"} {
		m.store(t, location)
		got := load(t, location)
		if !reflect.DeepEqual(got.blobs, m.blobs) || got.root.Digest != m.root.Digest {
			t.Errorf("%s: another image came back", location)
		}
	}
	for _, location := range []string{"docker-archive:" + dir + "/d.tar", "docker-archive:" + dir + "/e.tar:busybox:1"} {
		m.store(t, location)
		got := load(t, location)
		if !bytes.Equal(got.config(t).Raw, m.config(t).Raw) {
			t.Errorf("%s: another config came back", location)
		}
		for i, l := range got.manifest(t).Layers {
			if l.Digest != m.config(t).RootFS.DiffIDs[i] || l.MediaType != ocispec.MediaTypeImageLayer {
				t.Errorf("%s: layer %d is %s, %s", location, i, l.Digest, l.MediaType)
			}
		}
	}
}

// TestArchiveIsDeterministic: whatever order the blobs come in.
func TestArchiveIsDeterministic(t *testing.T) {
	m := newImage(t, "a", "b", "c")
	for _, kind := range []Kind{OCIArchive, DockerArchive} {
		var first []byte
		for range 4 {
			path := filepath.Join(t.TempDir(), "x.tar")
			l := Location{kind, path, "name:1"}
			sink, err := l.Create(Options{})
			if err != nil {
				t.Fatal(err)
			}
			for id, data := range m.blobs { // in Go's random order
				d := ocispec.Descriptor{Digest: id, Size: int64(len(data))}
				if err := sink.Put(t.Context(), d, func(o int64) (io.ReadCloser, error) { return m.Fetch(t.Context(), d, o) }); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(sink.Finish(t.Context(), m.root), sink.Close()); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = data
			}
			if !bytes.Equal(first, data) {
				t.Errorf("%s: two archives of one image differ", kind)
			}
		}
	}
}

func TestOpenFindsOutTheKind(t *testing.T) {
	m := newImage(t, "a")
	dir := t.TempDir()
	m.store(t, "oci:"+dir+"/layout")
	root := []item{{name: "./", kind: tar.TypeDir}, {name: "./etc/", kind: tar.TypeDir}, {name: "./etc/x", kind: tar.TypeSymlink, link: "/y"}}
	small := []item{{name: "manifest.json", data: `{"a":1}`}, {name: "hello", data: "x"}}
	both := append(m.layoutItems(t, "latest"), m.dockerItems(t, "busybox:latest")...)
	incomplete := slices.DeleteFunc(slices.Clone(both), func(i item) bool {
		return i.name == "./"+blobName(m.manifest(t).Layers[0].Digest)
	})
	gz := func(items []item) string {
		return writeFile(t, filepath.Join(t.TempDir(), "archive.tar.gz"), zip(t, makeTar(t, items...)))
	}
	for _, c := range []struct {
		name, location string
		want           Kind
	}{
		{"layout", dir + "/layout", Layout},
		{"oci-archive", tarFile(t, m.layoutItems(t, "x")...), OCIArchive},
		{"oci-archive, compressed", gz(m.layoutItems(t, "x")), OCIArchive},
		{"docker-archive", tarFile(t, m.dockerItems(t, "x:1")...), DockerArchive},
		{"docker-archive, compressed", gz(m.dockerItems(t)), DockerArchive},
		{"both forms", tarFile(t, both...), OCIArchive},
		{"both forms, a name that docker's alone has", "docker-archive:" + tarFile(t, both...) + ":busybox", DockerArchive},
		{"both forms, the OCI's incomplete", tarFile(t, incomplete...), DockerArchive},
		{"root file system", tarFile(t, root...), Plain},
		{"root file system, compressed", gz(root), Plain},
		{"a manifest.json of something else", tarFile(t, small...), Plain},
		{"device", tarFile(t, item{name: "null", kind: tar.TypeChar}), Plain},
		{"duplicates", tarFile(t, item{name: "x"}, item{name: "x"}), Plain},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, kind, err := copyFrom(c.location)
			if err != nil || kind != c.want {
				t.Fatalf("kind %q, %v; want %q", kind, err, c.want)
			}
			if kind != Plain && !bytes.Equal(got.config(t).Raw, m.config(t).Raw) {
				t.Error("another image")
			}
		})
	}
}

func TestPlainTar(t *testing.T) {
	data := zip(t, makeTar(t, item{name: "usr/x", data: "1"}))
	l := Location{Path: writeFile(t, filepath.Join(t.TempDir(), "x"), data)}
	s, err := l.Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f, c, err := s.Tar()
	if err != nil || c != document.Gzip {
		t.Fatalf("compression %q, %v", c, err)
	}
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, data) {
		t.Errorf("other bytes, %v", err)
	}
	if _, err := s.Resolve(t.Context()); !errors.Is(err, ErrPlain) {
		t.Errorf("Resolve: %v", err)
	}
	if _, err := s.Fetch(t.Context(), ocispec.Descriptor{}, 0); !errors.Is(err, ErrPlain) {
		t.Errorf("Fetch: %v", err)
	}
}

func TestNames(t *testing.T) {
	one, two := newImage(t, "1"), newImage(t, "2")
	inner := newMemory()
	inner.root = inner.add(ocispec.MediaTypeImageIndex, marshal(t, ocispec.Index{Manifests: []ocispec.Descriptor{two.root}, MediaType: ocispec.MediaTypeImageIndex}))
	docker := withName(one.root, "latest")
	docker.Annotations[containerdName] = "docker.io/library/busybox:latest"
	index := ocispec.Index{Manifests: []ocispec.Descriptor{withName(one.root, "one"), withName(one.root, "uno"), docker, withName(inner.root, "many")}}
	items := []item{{name: "oci-layout", data: layoutVersion}, {name: "index.json", data: string(marshal(t, index))}}
	for _, m := range []*memory{one, two, inner} {
		for d, data := range m.blobs {
			items = append(items, item{name: blobName(d), data: string(data)})
		}
	}
	path := tarFile(t, items...)
	for name, want := range map[string]digest.Digest{
		"one": one.root.Digest, "uno": one.root.Digest, "busybox": one.root.Digest, "docker.io/library/busybox:latest": one.root.Digest,
		"many": inner.root.Digest, two.root.Digest.String(): two.root.Digest, inner.root.Digest.String(): inner.root.Digest,
	} {
		s, err := Location{OCIArchive, path, name}.Open(Options{})
		if err != nil {
			t.Fatal(err)
		}
		if d, err := s.Resolve(t.Context()); err != nil || d.Digest != want {
			t.Errorf("%q is %s, %v; want %s", name, d.Digest, err, want)
		}
		s.Close()
	}
	for name, want := range map[string]string{
		"":                                  `there is more than one image (hint: add :NAME to the path, of "one", "many")`,
		"none":                              `there is no image "none" (hint: there are "one", "uno", "latest", "many")`,
		"sha256:" + strings.Repeat("0", 64): `there is no image sha256:` + strings.Repeat("0", 64),
	} {
		if _, _, err := copyFrom("oci-archive:" + path + ":" + name); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
}

func TestDockerNames(t *testing.T) {
	m := newImage(t, "1")
	path := tarFile(t, m.dockerItems(t, "busybox:1", "registry.example/x:2")...)
	for _, name := range []string{"", "busybox:1", "docker.io/library/busybox:1", "registry.example/x:2", m.manifest(t).Config.Digest.String()} {
		if got := load(t, "docker-archive:"+path+":"+name); !bytes.Equal(got.config(t).Raw, m.config(t).Raw) {
			t.Errorf("%q: another image", name)
		}
	}
	want := `there is no image "busybox" (hint: there are "busybox:1", "registry.example/x:2")`
	if _, _, err := copyFrom("docker-archive:" + path + ":busybox"); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestOldDockerArchive: layers that images share are links there.
func TestOldDockerArchive(t *testing.T) {
	m := newImage(t, "1", "2")
	items := m.dockerItems(t, "x:1")
	items[0].name = "real/layer.tar"
	items = append(items, item{name: "0/layer.tar", kind: tar.TypeSymlink, link: "../0/other"}, item{name: "0/other", kind: tar.TypeSymlink, link: "../real/layer.tar"},
		item{name: "repositories", data: "{}"}, item{name: "0/", kind: tar.TypeDir}, item{name: "0/VERSION", data: "1.0"})
	got := load(t, tarFile(t, items...))
	if l := got.manifest(t).Layers; l[0].Digest != m.manifest(t).Layers[0].Digest || l[0].MediaType != ocispec.MediaTypeImageLayerGzip {
		t.Errorf("layer 0 is %+v", l[0])
	}
}

// TestLayoutKeepsTheRest: other images and what we do not know.
func TestLayoutKeepsTheRest(t *testing.T) {
	m, n := newImage(t, "1"), newImage(t, "2")
	dir := t.TempDir()
	at := "oci:" + dir + ":"
	m.store(t, at+"one")
	index := filepath.Join(dir, "index.json")
	raw, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	odd := strings.Replace(string(raw), `{"`, `{"x-unknown":[1,{"a":null}],"`, 1)
	odd = strings.Replace(odd, `"manifests":[{`, `"manifests":[{"x-mine":"kept","mediaType":"application/x","digest":"`+string(n.root.Digest)+`","size":1},{`, 1)
	writeFile(t, index, []byte(odd))
	n.store(t, at+"two")
	n.store(t, at+"one") // moves the name
	n.store(t, at+"one")
	raw, err = os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Unknown   json.RawMessage `json:"x-unknown"`
		Manifests []struct {
			Mine        string `json:"x-mine"`
			Digest      digest.Digest
			Annotations map[string]string
		}
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	names := ""
	for _, d := range got.Manifests {
		names += " " + d.Annotations[ocispec.AnnotationRefName] + d.Mine
	}
	if string(got.Unknown) != `[1,{"a":null}]` || names != " kept one two" || got.Manifests[1].Digest != n.root.Digest {
		t.Errorf("index.json is %s", raw)
	}
}

func TestLayoutOfSeveralWriters(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for _, name := range strings.Split("abcdefgh", "") {
		m := newImage(t, "shared", name)
		all.Go(func() {
			if err := copyTo("oci:"+dir+":"+name, m); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, name := range strings.Split("abcdefgh", "") {
		if got, want := load(t, "oci:"+dir+":"+name), newImage(t, "shared", name); got.root.Digest != want.root.Digest {
			t.Errorf("%s: another image", name)
		}
	}
}

// TestNothingHalfMade: an image that does not come through leaves no name, no
// archive, and no temporary file.
func TestNothingHalfMade(t *testing.T) {
	for _, kind := range []Kind{Layout, OCIArchive, DockerArchive} {
		dir := t.TempDir()
		m := newImage(t, "1", "2")
		l := m.manifest(t).Layers[1].Digest
		m.blobs[l] = append([]byte("x"), m.blobs[l][1:]...)
		err := copyTo(string(kind)+":"+dir+"/out:name:1", m)
		if !errors.Is(err, transport.ErrContents) {
			t.Errorf("%s: %v", kind, err)
		}
		var left []string
		if err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
			if !e.IsDir() && !strings.Contains(name, "/blobs/sha256/") {
				left = append(left, filepath.Base(name))
			}
			if strings.HasPrefix(e.Name(), draftPrefix) {
				t.Errorf("%s: %s is left", kind, name)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if want := map[Kind][]string{Layout: {"index.json", "oci-layout"}}[kind]; !slices.Equal(left, want) {
			t.Errorf("%s: there is %v, want %v", kind, left, want)
		}
		if kind == Layout {
			if _, _, err := copyFrom("oci:" + dir + "/out:name:1"); err == nil || !strings.HasSuffix(err.Error(), "there is no image in it") {
				t.Errorf("%s: %v", kind, err)
			}
		}
	}
}

func TestSinksThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir+"/full/file", nil)
	m := newImage(t, "1")
	many := newMemory()
	many.root = many.add(ocispec.MediaTypeImageIndex, marshal(t, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}))
	lying := newImage(t, "1")
	manifest := lying.manifest(t)
	manifest.Layers[0] = lying.add(ocispec.MediaTypeImageLayerGzip, zip(t, []byte("something else")))
	lying.root = lying.add(ocispec.MediaTypeImageManifest, marshal(t, manifest))
	for _, c := range []struct {
		location string
		m        *memory
		want     string
	}{
		{"oci:" + dir + "/full", m, `it is no image layout, and not empty: it has "file"`},
		{"oci:" + dir + "/none/below", m, `open ` + dir + `/none: no such file or directory`},
		{dir + "/out.tar", m, `of which kind? (hint: put oci:, oci-archive: or docker-archive: before it)`},
		{"oci-archive:" + dir, m, `there is something that is no regular file`},
		{"oci-archive:/dev/null", m, `there is something that is no regular file`},
		{"docker-archive:" + dir + "/x:UPPER", m, `image name "UPPER": repository "UPPER" has upper case; registries allow lower case only`},
		{"docker-archive:" + dir + "/x", many, `a docker-archive has images of one platform (hint: --platform)`},
		{"docker-archive:" + dir + "/x", lying, ", not " + lying.config(t).RootFS.DiffIDs[0].String()},
	} {
		if err := copyTo(c.location, c.m); err == nil || !strings.HasSuffix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", c.location, err, c.want)
		}
		if _, err := os.Lstat(dir + "/x"); err == nil {
			t.Errorf("%s: there is an archive", c.location)
		}
	}
}

// TestSpoolSizesDoNotWrap: descriptors of enormous sizes must not give a blob the
// place of another one.
func TestSpoolSizesDoNotWrap(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	s, err := newSpool(directory{dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.data.discard()
	id := digest.FromString("x")
	for i, size := range []int64{10, 1<<63 - 20, 1 << 62, -1, 10} {
		e, err := s.reserve(ocispec.Descriptor{Digest: id, Size: size})
		if fits := i == 0 || i == 1; (err == nil) != fits || e.offset < 0 || i > 0 && err == nil && e.offset < 10 {
			t.Errorf("%d bytes: %+v, %v", size, e, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	m := newImage(t, "1")
	l := Location{DockerArchive, filepath.Join(t.TempDir(), "x"), ""}
	sink, err := l.Create(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	for id, data := range m.blobs {
		d := ocispec.Descriptor{Digest: id, Size: int64(len(data))}
		if err := sink.Put(t.Context(), d, func(o int64) (io.ReadCloser, error) { return m.Fetch(t.Context(), d, o) }); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sink.Finish(ctx, m.root); !errors.Is(err, context.Canceled) {
		t.Errorf("Finish: %v", err)
	}
	if _, err := os.Lstat(l.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is an archive: %v", err)
	}
}
