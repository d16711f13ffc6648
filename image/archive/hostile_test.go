// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"berth/image/document"
)

// TestHostileLayouts: what is in place of a file of a layout is neither followed
// nor waited for.
func TestHostileLayouts(t *testing.T) {
	m := newImage(t, "1")
	outside := t.TempDir()
	config := blobName(m.manifest(t).Config.Digest)
	writeFile(t, filepath.Join(outside, "blob"), m.blobs[m.manifest(t).Config.Digest])
	writeFile(t, filepath.Join(outside, "index"), []byte(emptyIndex))
	replace := func(name string, with func(at string) error) func(string) error {
		return func(dir string) error {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				return err
			}
			return with(filepath.Join(dir, name))
		}
	}
	link := func(to string) func(string) error { return func(at string) error { return os.Symlink(to, at) } }
	fifo := func(at string) error { return unix.Mkfifo(at, 0o644) }
	mkdir := func(at string) error { return os.Mkdir(at, 0o755) }
	contents := func(data string) func(string) error {
		return func(at string) error { return os.WriteFile(at, []byte(data), 0o644) }
	}
	big := func(size int64) func(string) error {
		return func(at string) error {
			if err := os.WriteFile(at, nil, 0o644); err != nil {
				return err
			}
			return os.Truncate(at, size)
		}
	}
	entry := func(d string) string {
		return `{"schemaVersion":2,"manifests":[{"mediaType":"` + ocispec.MediaTypeImageManifest + `",` + d + `}]}`
	}
	for _, c := range []struct {
		name string
		do   func(dir string) error
		want string
	}{
		{"blob is a link", replace(config, link(outside+"/blob")), "not a regular file"},
		{"blob is a relative link", replace(config, link("../../index.json")), "not a regular file"},
		{"blob is a fifo", replace(config, fifo), "not a regular file"},
		{"blob is a directory", replace(config, mkdir), "not a regular file"},
		{"blob is short", replace(config, big(1)), "1 bytes, and the descriptor says"},
		{"blob is long", replace(config, big(1<<40)), "1099511627776 bytes, and the descriptor says"},
		{"blob has other contents", replace(config, big(int64(len(m.blobs[m.manifest(t).Config.Digest])))), "the contents have the digest"},
		{"blob is missing", replace(config, func(string) error { return nil }), "file does not exist"},
		{"algorithm is a link", replace("blobs/sha256", link(outside)), "a symbolic link in the path, which is not followed"},
		{"blobs is a link", replace("blobs", link(outside)), "a symbolic link in the path, which is not followed"},
		{"index is a link", replace("index.json", link(outside+"/index")), "not a regular file"},
		{"index is a fifo", replace("index.json", fifo), "not a regular file"},
		{"index is enormous", replace("index.json", big(100<<20)), "index.json: 104857600 bytes; at most 4194304 are read"},
		{"index has enormous numbers of entries", replace("index.json", contents(`{"manifests":[`+strings.Repeat("{},", 1<<20)+`{}]}`)), "more than 10000 entries"},
		{"index is null", replace("index.json", contents("null")), `neither a manifest's nor an index's`},
		{"index is a manifest", replace("index.json", contents(`{"schemaVersion":2,"config":{"digest":"`+string(m.root.Digest)+`","size":0},"layers":[]}`)), "it is no index"},
		{"index is both", replace("index.json", contents(`{"config":{},"manifests":[]}`)), "it is a manifest and an index at once"},
		{"digest leads up", replace("index.json", contents(entry(`"digest":"sha256:../../../../etc/passwd","size":1`))), "invalid checksum digest"},
		{"digest is a path", replace("index.json", contents(entry(`"digest":"../../etc:passwd","size":1`))), "invalid checksum digest format"},
		{"size is negative", replace("index.json", contents(entry(`"digest":"`+string(m.root.Digest)+`","size":-1`))), "size -1"},
		{"manifest is enormous", replace("index.json", contents(entry(`"digest":"`+string(m.root.Digest)+`","size":104857600`))), "bytes; a document has at most 4194304"},
		{"version", replace("oci-layout", contents(`{"imageLayoutVersion":"2.0.0"}`)), `version "2.0.0" is not supported`},
		{"oci-layout is a fifo", replace("oci-layout", fifo), "not a regular file"},
		{"no layout", replace("oci-layout", func(string) error { return nil }), "it is no image layout: oci-layout: file does not exist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			m.store(t, "oci:"+dir)
			if err := c.do(dir); err != nil {
				t.Fatal(err)
			}
			wantRefusal(t, "oci:"+dir, c.want)
			// As a sink it must not write through what is there either.
			_ = copyTo("oci:"+dir+":again", m) // may repair it, or fail
			if list, err := os.ReadDir(outside); err != nil || len(list) != 2 {
				t.Errorf("outside there is %v, %v", list, err)
			}
		})
	}
}

func wantRefusal(t *testing.T, location, want string) {
	t.Helper()
	got, _, err := copyFrom(location)
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: %v, want %q", location, err, want)
	}
	if got != nil && got.root.Digest != "" {
		t.Error("and the image has a name")
	}
}

func TestHostileArchives(t *testing.T) {
	m := newImage(t, "1")
	good, docker := m.layoutItems(t, "x"), m.dockerItems(t, "x:1")
	with := func(base []item, more ...item) []item { return append(append([]item{}, more...), base...) }
	without := func(base []item, name string) []item {
		var out []item
		for _, i := range base {
			if i.name != name {
				out = append(out, i)
			}
		}
		return out
	}
	layerName := "./" + blobName(m.manifest(t).Layers[0].Digest)
	manifestJSON := func(text string) []item {
		return with(without(docker, dockerManifest), item{name: dockerManifest, data: text})
	}
	many := func(n int) string { return `"0/layer.tar"` + strings.Repeat(`,"0/layer.tar"`, n-1) }
	for _, c := range []struct {
		name  string
		kind  Kind
		items []item
		want  string
	}{
		{"twice", OCIArchive, with(good, item{name: "index.json", data: emptyIndex}), "it is there twice"},
		{"twice, spelled otherwise", OCIArchive, with(good, item{name: ".//index.json", data: emptyIndex}), "it is there twice"},
		{"twice, as a directory", OCIArchive, with(good, item{name: "index.json/", kind: tar.TypeDir}), "it is there twice"},
		{"name leads up", OCIArchive, with(good, item{name: "../x"}), `"../x": no image has such a name`},
		{"name is absolute", OCIArchive, with(good, item{name: "/x"}), `"/x": no image has such a name`},
		{"hard link", OCIArchive, with(without(good, layerName), item{name: layerName, kind: tar.TypeLink, link: "index.json"}), "a file of type '1', which no image has"},
		{"device", OCIArchive, with(good, item{name: "blobs/sha256/x", kind: tar.TypeBlock}), "a file of type '4', which no image has"},
		{"fifo", OCIArchive, with(good, item{name: "x", kind: tar.TypeFifo}), "a file of type '6', which no image has"},
		{"blob is a link", OCIArchive, with(without(good, layerName), item{name: layerName, kind: tar.TypeSymlink, link: "../../index.json"}), "a symbolic link, which is not followed"},
		{"index is a link", OCIArchive, with(without(good, "index.json"), item{name: "index.json", kind: tar.TypeSymlink, link: "/etc/passwd"}), "it is no oci-archive"},
		{"blob is a directory", OCIArchive, with(without(good, layerName), item{name: layerName, kind: tar.TypeDir}), "not a regular file"},
		{"long name", OCIArchive, with(good, item{name: strings.Repeat("n", 5000)}), "the name is too long"},
		{"no index", OCIArchive, without(good, "index.json"), "it is no oci-archive"},

		{"config leads up", DockerArchive, manifestJSON(`[{"Config":"../../../../etc/passwd","Layers":[]}]`), "../../../../etc/passwd: file does not exist"},
		{"config is absolute", DockerArchive, manifestJSON(`[{"Config":"/etc/passwd","Layers":[]}]`), "/etc/passwd: file does not exist"},
		{"layer leads up", DockerArchive, manifestJSON(`[{"Config":"config.json","Layers":["../../etc/passwd"]}]`), "../../etc/passwd: file does not exist"},
		{"link leads up", DockerArchive, with(without(docker, "0/layer.tar"), item{name: "0/layer.tar", kind: tar.TypeSymlink, link: "../../etc/passwd"}), "a link that leads out of the archive"},
		{"link is absolute", DockerArchive, with(without(docker, "0/layer.tar"), item{name: "0/layer.tar", kind: tar.TypeSymlink, link: "/etc/passwd"}), "a link that leads out of the archive"},
		{"link to itself", DockerArchive, with(without(docker, "0/layer.tar"), item{name: "0/layer.tar", kind: tar.TypeSymlink, link: "layer.tar"}), "too many links"},
		{"too many layers for the config", DockerArchive, manifestJSON(`[{"Config":"config.json","Layers":[` + many(2) + `]}]`), "2 layers, but rootfs.diff_ids of config.json has 1"},
		{"layer bomb", DockerArchive, manifestJSON(`[{"Config":"config.json","Layers":[` + many(maxSavedLayers+1) + `]}]`), "1001 layers; at most 1000 are possible"},
		{"image bomb", DockerArchive, manifestJSON("[" + strings.Repeat("{},", 20000) + "{}]"), "20001 images; at most 10000 are possible"},
		{"manifest is no list", DockerArchive, manifestJSON(`{}`), "its manifest.json is not of docker save"},
		{"no config", DockerArchive, manifestJSON(`[{}]`), "[0] has no Config"},
		{"config is a layer", DockerArchive, manifestJSON(`[{"Config":"0/layer.tar","Layers":[]}]`), "0/layer.tar: "},
		{"manifest is enormous", DockerArchive, manifestJSON(strings.Repeat(" ", 5<<20) + "[]"), "manifest.json: 5242882 bytes; at most 4194304 are read"},
		{"nothing", DockerArchive, manifestJSON(`[]`), "there is no image in it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantRefusal(t, string(c.kind)+":"+tarFile(t, c.items...), c.want)
		})
	}
}

// TestLayerThatIsNotTheConfigs: an uncompressed layer has the name that the config
// gives it, and is verified where it goes.
func TestLayerThatIsNotTheConfigs(t *testing.T) {
	m := newImage(t, "1")
	items := m.dockerItems(t, "x:1")
	items[0].data = string(makeTar(t, item{name: "other"}))
	wantRefusal(t, tarFile(t, items...), "the contents have the digest")
}

func TestFilesThatAreNoArchives(t *testing.T) {
	dir := t.TempDir()
	archive := makeTar(t, newImage(t, "1").layoutItems(t, "x")...)
	if err := unix.Mkfifo(dir+"/fifo", 0o644); err != nil {
		t.Fatal(err)
	}
	sparse := bytes.Clone(makeTar(t, item{name: "x", data: "1"}))
	sparse[156] = tar.TypeGNUSparse
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"text":      {bytes.Repeat([]byte("text "), 1000), "it is no tar"},
		"empty":     {nil, "it is empty"},
		"cut":       {archive[:len(archive)-3000], "it is damaged: unexpected EOF"},
		"cut.gz":    {zip(t, archive)[:300], "the stream ends too early"},
		"text.gz":   {zip(t, bytes.Repeat([]byte("text "), 1000)), "it is no tar"},
		"bzip2":     {[]byte("BZh9xxxxxx"), "bzip2 is not supported (hint: decompress it first)"},
		"xz":        {[]byte("\xfd7zXZ\x00xxx"), "xz is not supported (hint: decompress it first)"},
		"fifo":      {nil, "neither a directory nor a regular file"},
		"missing":   {nil, "no such file or directory"},
		"/dev/zero": {nil, "neither a directory nor a regular file"},
	} {
		path := filepath.Join(dir, name)
		if name[0] == '/' {
			path = name
		} else if name != "fifo" && name != "missing" {
			writeFile(t, path, c.data)
		}
		if _, err := (Location{"", path, ""}).Open(Options{}); err == nil || err.Error() != fmt.Sprintf("cannot open %q: %s", path, c.want) && !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// TestBomb: what comes out of a compressed archive or layer is bounded.
func TestBomb(t *testing.T) {
	const limit = 1 << 20
	bomb := zip(t, makeTar(t, append(newImage(t, "1").layoutItems(t, "x"), item{name: "zeros", data: string(make([]byte, 2*limit))})...))
	l := Location{OCIArchive, writeFile(t, filepath.Join(t.TempDir(), "x"), bomb), ""}
	if _, err := l.Open(Options{MaxBytes: limit}); err == nil || !strings.HasSuffix(err.Error(), "more than 1048576 bytes come out of it, which is the limit") {
		t.Errorf("archive: %v", err)
	}

	m := newImage(t, "1")
	data := makeTar(t, item{name: "zeros", data: string(make([]byte, 2*limit))})
	manifest, config := m.manifest(t), m.config(t)
	config.RootFS.DiffIDs[0] = digest.FromBytes(data)
	manifest.Config = m.add(ocispec.MediaTypeImageConfig, marshal(t, config.Image))
	manifest.Layers[0] = m.add(ocispec.MediaTypeImageLayerGzip, zip(t, data))
	m.root = m.add(ocispec.MediaTypeImageManifest, marshal(t, manifest))
	sink, err := Location{DockerArchive, filepath.Join(t.TempDir(), "x"), ""}.Create(Options{MaxBytes: limit})
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
	if err := sink.Finish(t.Context(), m.root); err == nil || !strings.HasSuffix(err.Error(), "more than 1048576 bytes come out of it, which is the limit") {
		t.Errorf("layer: %v", err)
	}
}

// TestManyMembers: the index of an archive is bounded, too.
func TestManyMembers(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range maxMembers + 10 {
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprint("n", i), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, "oci-archive:"+writeFile(t, filepath.Join(t.TempDir(), "x"), b.Bytes()), "it has more than 100000 members")
}

// FuzzScan: no index leads out of the file, and no name out of the archive.
func FuzzScan(f *testing.F) {
	m := newImage(f, "1")
	f.Add(makeTar(f, m.layoutItems(f, "x")...))
	f.Add(makeTar(f, m.dockerItems(f, "x:1")...))
	f.Add(makeTar(f, item{name: "a", kind: tar.TypeSymlink, link: "../b"}, item{name: strings.Repeat("l/", 200) + "x", data: "x"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		c, err := scan(r, func() int64 { at, _ := r.Seek(0, io.SeekCurrent); return at })
		if err != nil {
			return
		}
		temp, err := newTemporary()
		if err != nil {
			t.Fatal(err)
		}
		defer temp.Close()
		if _, err := temp.Write(data); err != nil {
			t.Fatal(err)
		}
		ball := &tarball{contents: c, data: temp, links: true}
		for name, m := range c.members {
			if m.offset < 0 || m.size < 0 || c.odd == nil && m.offset+m.size > int64(len(data)) {
				t.Fatalf("%q: %+v, in %d bytes", name, m, len(data))
			}
			if strings.HasPrefix(name, "/") || strings.HasPrefix(name, "..") {
				t.Fatalf("name %q", name)
			}
			if f, err := ball.open(name); err == nil && f.size > int64(len(data)) && c.odd == nil {
				t.Fatalf("%q: %d bytes", name, f.size)
			}
		}
	})
}

// FuzzDockerManifest reads manifest.json beside a right config and layer.
func FuzzDockerManifest(f *testing.F) {
	f.Add([]byte(`[{"Config":"config.json","RepoTags":["x:1"],"Layers":["0/layer.tar"]}]`), "x:1")
	f.Add([]byte(`[{"Config":"../x"},null]`), "")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		s := &Source{Kind: DockerArchive, files: inMemory{dockerManifest: data, "config.json": []byte(`{"rootfs":{"type":"layers","diff_ids":[]}}`)}}
		if err := s.openDocker(name); err != nil {
			return
		}
		if d, err := s.root(); err == nil {
			if _, err := s.document(d); err != nil {
				t.Errorf("%s: it resolves, and then %v", data, err)
			}
		}
	})
}

// FuzzIndex: what is found is named, and what was edited can be read again.
func FuzzIndex(f *testing.F) {
	m := newImage(f, "1")
	f.Add([]byte(emptyIndex), "x")
	f.Add(marshal(f, ocispec.Index{Manifests: []ocispec.Descriptor{withName(m.root, "x"), m.root}}), "")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		s := &Source{Kind: Layout, files: inMemory{ocispec.ImageIndexFile: data}}
		doc, err := readIndex(s.files)
		if err != nil {
			return
		}
		if d, err := s.find(doc.Index, name); err == nil && document.CheckDescriptor(d) != nil {
			t.Errorf("found %+v", d)
		}
		raw, err := edited(doc, "new", m.root)
		if err != nil {
			return
		}
		again, err := readIndex(inMemory{ocispec.ImageIndexFile: raw})
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if d, err := s.find(again.Index, "new"); err != nil || d.Digest != m.root.Digest {
			t.Errorf("%s: %+v, %v", raw, d, err)
		}
	})
}

// inMemory are files by name.
type inMemory map[string][]byte

func (m inMemory) open(name string) (*file, error) {
	data, ok := m[name]
	if !ok {
		return nil, missing(name)
	}
	return &file{bytes.NewReader(data), int64(len(data)), func() error { return nil }}, nil
}

func (m inMemory) Close() error { return nil }
