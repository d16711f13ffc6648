// SPDX-License-Identifier: Apache-2.0

package imagesweep

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
	"berth/tests/registryfault"
	"berth/tests/rig"
)

// layer is a tar that is being made.
type layer struct {
	t    *testing.T
	data bytes.Buffer
	w    *tar.Writer
}

func newLayer(t *testing.T) *layer {
	l := &layer{t: t}
	l.w = tar.NewWriter(&l.data)
	return l
}

func (l *layer) add(h tar.Header, body []byte) {
	l.t.Helper()
	h.Size = int64(len(body))
	if err := l.w.WriteHeader(&h); err != nil {
		l.t.Fatal(err)
	}
	if _, err := l.w.Write(body); err != nil {
		l.t.Fatal(err)
	}
}

func (l *layer) dir(name string) {
	l.add(tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}, nil)
}

func (l *layer) file(name string, mode int64, body []byte) {
	l.add(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode}, body)
}

func (l *layer) bytes() []byte {
	l.t.Helper()
	if err := l.w.Close(); err != nil {
		l.t.Fatal(err)
	}
	return l.data.Bytes()
}

// layers are a busybox, then many small files, then one that takes a while and
// removes some of those.
func layers(t *testing.T) [][]byte {
	t.Helper()
	random := rand.NewChaCha8([32]byte{7})
	noise := func(n int) []byte {
		data := make([]byte, n)
		_, _ = random.Read(data) // never fails
		return data
	}
	busybox, err := os.ReadFile(rig.Busybox)
	if err != nil {
		rig.Missing(t, err.Error())
	}
	base, small, large := newLayer(t), newLayer(t), newLayer(t)
	for _, name := range []string{"bin/", "proc/", "sys/", "dev/", "tmp/", "etc/"} {
		base.dir(name)
	}
	base.file("bin/busybox", 0o755, busybox)
	base.add(tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/sh", Linkname: "busybox", Mode: 0o777}, nil)
	for d := range 20 {
		small.dir(fmt.Sprintf("data/%d/", d))
		for f := range 20 {
			small.file(fmt.Sprintf("data/%d/%d", d, f), 0o640, noise(700))
		}
	}
	large.file("large", 0o600, noise(3<<20))
	large.file("data/3/.wh.7", 0o600, nil)
	large.file("data/4/.wh..wh..opq", 0o600, nil)
	large.file("data/4/new", 0o600, noise(100))
	return [][]byte{base.bytes(), small.bytes(), large.bytes()}
}

// serve puts an image into a registry, and returns its name.
func serve(t *testing.T, r *registryfault.Registry, name string, tars [][]byte) string {
	t.Helper()
	config := ocispec.Image{
		Platform: document.HostPlatform(),
		Config:   ocispec.ImageConfig{Cmd: []string{"/bin/sh", "-c", "exit 3"}},
		RootFS:   ocispec.RootFS{Type: "layers"},
	}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, raw := range tars {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write(raw); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(raw))
		manifest.Layers = append(manifest.Layers, r.AddBlob(packed.Bytes()))
	}
	manifest.Config = r.AddBlob(marshal(t, config))
	manifest.Config.MediaType = ocispec.MediaTypeImageConfig
	r.AddDocument(name, "1", ocispec.MediaTypeImageManifest, marshal(t, manifest))
	return r.Host() + "/" + name + ":1"
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// tree describes every file below dir: mode, owner, size and contents.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var text bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path) // it is below
		fmt.Fprintf(&text, "%s %v", name, info.Mode())
		if info.Mode().IsRegular() {
			body, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&text, " %s", digest.FromBytes(body))
		}
		text.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Errorf("tree of %s: %v", dir, err)
	}
	return text.String()
}
