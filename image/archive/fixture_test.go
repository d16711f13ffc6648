// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
	"berth/image/transport"
)

// memory is an image in memory: a source and a sink.
type memory struct {
	mu    sync.Mutex
	root  ocispec.Descriptor
	blobs map[digest.Digest][]byte
}

func newMemory() *memory { return &memory{blobs: map[digest.Digest][]byte{}} }

func (m *memory) add(mediaType string, data []byte) ocispec.Descriptor {
	d := document.Describe(mediaType, data)
	m.blobs[d.Digest] = data
	return d
}

func (m *memory) Resolve(context.Context) (ocispec.Descriptor, error) { return m.root, nil }

func (m *memory) Fetch(_ context.Context, d ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	data, ok := m.blobs[d.Digest]
	if !ok {
		return nil, os.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(data[offset:])), nil
}

func (m *memory) Has(_ context.Context, d ocispec.Descriptor) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.blobs[d.Digest]
	return ok, nil
}

func (m *memory) Put(ctx context.Context, d ocispec.Descriptor, open func(int64) (io.ReadCloser, error)) error {
	var b bytes.Buffer
	in, err := transport.NewIncoming(d, &b)
	if err == nil {
		err = in.Receive(ctx, open)
	}
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blobs[d.Digest] = b.Bytes()
	return nil
}

func (m *memory) Finish(_ context.Context, root ocispec.Descriptor) error {
	m.root = root
	return nil
}

// item is a member of a tar.
type item struct {
	name string
	kind byte // 0 is a regular file
	data string
	link string
}

func makeTar(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, i := range items {
		h := &tar.Header{Name: i.name, Typeflag: i.kind, Linkname: i.link, Size: int64(len(i.data)), Mode: 0o644}
		if i.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(i.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zip(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// newImage makes an image of some layers, every second one compressed. Its config has
// members that only Docker knows.
func newImage(t testing.TB, marks ...string) *memory {
	t.Helper()
	return imageOf(t, func(i int) bool { return i%2 == 0 }, marks...)
}

func imageOf(t testing.TB, compressed func(i int) bool, marks ...string) *memory {
	t.Helper()
	m := newMemory()
	config := map[string]any{
		"architecture": "amd64", "os": "linux", "docker_version": "1", "config": map[string]any{"Cmd": []string{"/bin/sh"}, "Healthcheck": map[string]any{"Test": []string{"NONE"}}},
	}
	diffIDs, layers := []digest.Digest{}, []ocispec.Descriptor{}
	for i, mark := range marks {
		data := makeTar(t, item{name: "file-" + mark, data: strings.Repeat(mark, 1000)})
		diffIDs = append(diffIDs, digest.FromBytes(data))
		mediaType := ocispec.MediaTypeImageLayer
		if compressed(i) {
			data, mediaType = zip(t, data), ocispec.MediaTypeImageLayerGzip
		}
		layers = append(layers, m.add(mediaType, data))
	}
	config["rootfs"] = map[string]any{"type": "layers", "diff_ids": diffIDs}
	m.root = m.add(ocispec.MediaTypeImageManifest, marshal(t, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: m.add(ocispec.MediaTypeImageConfig, marshal(t, config)), Layers: layers,
	}))
	m.root.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	return m
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (m *memory) manifest(t testing.TB) *ocispec.Manifest {
	t.Helper()
	doc, err := document.Parse(m.blobs[m.root.Digest], m.root)
	if err != nil || doc.Manifest == nil {
		t.Fatalf("no manifest: %v", err)
	}
	return doc.Manifest
}

func (m *memory) config(t testing.TB) *document.Config {
	t.Helper()
	c, err := document.ParseConfig(m.blobs[m.manifest(t).Config.Digest])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// store copies an image to a location, and load from one.
func (m *memory) store(t testing.TB, location string) {
	t.Helper()
	if err := copyTo(location, m); err != nil {
		t.Fatal(err)
	}
}

func copyTo(location string, m *memory) error {
	l, err := Parse(location)
	if err != nil {
		return err
	}
	sink, err := l.Create(Options{})
	if err != nil {
		return err
	}
	_, err = transport.Copy(context.Background(), m, sink, transport.CopyOptions{AllPlatforms: true})
	if cerr := sink.Close(); err == nil {
		err = cerr
	}
	return err
}

func copyFrom(location string) (*memory, Kind, error) {
	l, err := Parse(location)
	if err != nil {
		return nil, "", err
	}
	source, err := l.Open(Options{})
	if err != nil {
		return nil, "", err
	}
	defer source.Close()
	if source.Kind == Plain {
		return nil, Plain, nil
	}
	m := newMemory()
	_, err = transport.Copy(context.Background(), source, m, transport.CopyOptions{AllPlatforms: true})
	return m, source.Kind, err
}

func load(t testing.TB, location string) *memory {
	t.Helper()
	m, _, err := copyFrom(location)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func writeFile(t testing.TB, name string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// tarFile writes a tar of items and returns its path.
func tarFile(t testing.TB, items ...item) string {
	t.Helper()
	return writeFile(t, filepath.Join(t.TempDir(), "archive.tar"), makeTar(t, items...))
}

// layoutItems are the members of an image's oci-archive.
func (m *memory) layoutItems(t testing.TB, names ...string) []item {
	t.Helper()
	items := []item{{name: "oci-layout", data: layoutVersion}, {name: "blobs/", kind: tar.TypeDir}}
	for d, data := range m.blobs {
		items = append(items, item{name: "./" + blobName(d), data: string(data)})
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}}
	for _, name := range names {
		index.Manifests = append(index.Manifests, withName(m.root, name))
	}
	return append(items, item{name: "index.json", data: string(marshal(t, index))})
}

// dockerItems are the members of a docker-archive, layers as the image has them.
func (m *memory) dockerItems(t testing.TB, tags ...string) []item {
	t.Helper()
	var items []item
	image := saved{Config: "config.json", RepoTags: tags}
	for i, d := range m.manifest(t).Layers {
		name := fmt.Sprintf("%d/layer.tar", i)
		image.Layers = append(image.Layers, name)
		items = append(items, item{name: name, data: string(m.blobs[d.Digest])})
	}
	return append(items, item{name: "config.json", data: string(m.config(t).Raw)}, item{name: dockerManifest, data: string(marshal(t, []saved{image}))})
}
