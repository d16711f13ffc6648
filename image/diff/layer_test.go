// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"berth/image/document"
)

func unpacked(t testing.TB, c document.Compression, blob []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(blob)
	switch c {
	case document.Gzip:
		z, err := gzip.NewReader(r)
		must(t, err)
		r = z
	case document.Zstd:
		z, err := zstd.NewReader(r)
		must(t, err)
		defer z.Close()
		r = z
	}
	data, err := io.ReadAll(r)
	must(t, err)
	return data
}

func TestLayerIsDescribedAndReproducible(t *testing.T) {
	plain := make([]byte, 3<<20)
	_, err := rand.Read(plain[:1<<20])
	must(t, err)
	write := func(w io.Writer) error { // in odd pieces
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{bytes.NewReader(plain)}, make([]byte, 7777))
		return err
	}
	for c, mediaType := range map[document.Compression]string{
		document.Uncompressed: ocispec.MediaTypeImageLayer,
		document.Gzip:         ocispec.MediaTypeImageLayerGzip,
		document.Zstd:         ocispec.MediaTypeImageLayerZstd,
	} {
		var a, b bytes.Buffer
		desc, diffID, err := Layer(&a, c, write)
		must(t, err)
		if err := document.Verify(a.Bytes(), desc); err != nil || desc.MediaType != mediaType {
			t.Errorf("%q: %v, type %s", c, err, desc.MediaType)
		}
		if diffID != digest.FromBytes(plain) || !bytes.Equal(unpacked(t, c, a.Bytes()), plain) {
			t.Errorf("%q: diffID %s, or other contents", c, diffID)
		}
		_, _, err = Layer(&b, c, write)
		must(t, err)
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("%q: other bytes the second time", c)
		}
		if c == document.Gzip && !bytes.Equal(a.Bytes()[:10], []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}) {
			t.Errorf("gzip header % x", a.Bytes()[:10])
		}
	}
}

func TestLayerErrors(t *testing.T) {
	failing := errors.New("no")
	if _, _, err := Layer(io.Discard, document.Gzip, func(io.Writer) error { return failing }); err != failing {
		t.Errorf("error %v, want %v", err, failing)
	}
	_, _, err := Layer(io.Discard, "lzma", nil)
	if want := `compression "lzma": want gzip, zstd, or none`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	must(t, err)
	defer full.Close()
	for _, c := range []document.Compression{document.Uncompressed, document.Gzip, document.Zstd} {
		_, _, err := Layer(full, c, func(w io.Writer) error { _, err := w.Write(make([]byte, 1000)); return err })
		if !errors.Is(err, unix.ENOSPC) {
			t.Errorf("%q on a full disk: %v", c, err)
		}
	}
}

// Plain names and small numbers need no PAX headers, which old readers skip.
func TestHeadersArePlainWherePossible(t *testing.T) {
	for want, c := range map[tar.Format]Change{
		tar.FormatUSTAR: {Path: strings.Repeat("d/", 60) + "file", Meta: Meta{Mode: 0o104755, UID: 1<<21 - 1, Size: 1<<33 - 1, MTime: unix.Timespec{Sec: 1e9, Nsec: 5}}},
		tar.FormatPAX:   {Path: "ä", Meta: Meta{Mode: 0o40755, UID: 1 << 21}},
	} {
		var b bytes.Buffer
		must(t, tar.NewWriter(&b).WriteHeader(c.header(nil)))
		h, err := tar.NewReader(&b).Next()
		must(t, err)
		if h.Format != want {
			t.Errorf("%s: format %s, want %s", c, h.Format, want)
		}
	}
}

func TestGNUTarReadsTheLayer(t *testing.T) {
	r := newRig(t)
	do(t, r.merged, `
		write new/a 1
		ln new/b new/a
		symlink new/l a
		fifo new/p
		mknod new/dev 020644 4 5
		write new/n\xff\xfe 2
		xattr new/a user.x y
		chown new/a 3000000 4000000000
		chmod etc 01711
		touch new 900000000
	`)
	changes, err := Upper(r.upper, r.lowers, Options{})
	must(t, err)
	layer, again := filepath.Join(r.dir, "layer.tar"), filepath.Join(r.dir, "again")
	must(t, os.WriteFile(layer, pack(t, r.upper, changes, Options{}), 0o600))
	run(t, "cp", "-a", r.base, again)
	run(t, "tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", layer, "-C", again)
	sameState(t, "GNU tar", state(t, again), state(t, r.merged))
}

// layout is an OCI layout with an image of the given layers, for umoci.
func layout(t *testing.T, dir string, image Image, blobs ...[]byte) {
	t.Helper()
	put := func(data []byte) {
		must(t, os.WriteFile(filepath.Join(dir, "blobs/sha256", digest.FromBytes(data).Encoded()), data, 0o644))
	}
	must(t, os.MkdirAll(filepath.Join(dir, "blobs/sha256"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644))
	d := document.Describe(ocispec.MediaTypeImageManifest, image.Manifest)
	d.Annotations = map[string]string{"org.opencontainers.image.ref.name": "test"}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []any{d}})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "index.json"), index, 0o644))
	for _, data := range append(blobs, image.Manifest, image.Config) {
		put(data)
	}
}

// A commit of ours, unpacked by umoci, is what the container saw.
func TestUmociUnpacksTheCommit(t *testing.T) {
	umoci, err := exec.LookPath("umoci")
	if err != nil {
		t.Skip("umoci is not installed")
	}
	r := newRig(t)
	whole, err := Tree(open(t, r.base), all(), Options{})
	must(t, err)
	image, first := addLayer(t, emptyImage(t), open(t, r.base), whole)
	do(t, r.merged, `
		rm etc/old
		write etc/old/b/new x
		rm usr/lib/y
		write usr/lib/y 1
		rm lib
		write lib/x 1
		ln lib/y lib/x
		mv etc/passwd etc/passwd-
		chmod tmp 0700
		chown null 5 6
		xattr usr/bin/ls user.origin above
		write n\xff\xfe 1
		touch etc 900000000
	`)
	changes, err := Upper(r.upper, r.lowers, Options{})
	must(t, err)
	image, second := addLayer(t, image, r.upper, changes)
	l := mkdir(t, filepath.Join(r.dir, "layout"))
	layout(t, l, image, first, second)
	bundle := filepath.Join(r.dir, "bundle")
	run(t, umoci, "unpack", "--image", l+":test", bundle)
	sameState(t, "umoci", state(t, bundle+"/rootfs"), state(t, r.merged))
}

func emptyImage(t testing.TB) Image {
	config := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
	m, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest,
		"config": document.Describe(ocispec.MediaTypeImageConfig, config), "layers": []any{},
	})
	must(t, err)
	return Image{m, config}
}

func addLayer(t testing.TB, base Image, root *os.File, changes []Change) (Image, []byte) {
	t.Helper()
	var blob bytes.Buffer
	desc, diffID, err := Layer(&blob, document.Gzip, func(w io.Writer) error { return Write(w, root, changes, Options{}) })
	must(t, err)
	image, err := Commit(base, Step{Layer: &desc, DiffID: diffID, CreatedBy: "test"})
	must(t, err)
	return image, blob.Bytes()
}
