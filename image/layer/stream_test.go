// SPDX-License-Identifier: Apache-2.0

package layer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
	"berth/image/layer"
)

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b) // to memory
	_ = w.Close()
	return out.Bytes()
}

func zstded(b []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return w.EncodeAll(b, nil)
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestDecompress(t *testing.T) {
	for _, size := range []int{0, 1, 256 << 10, 3 << 20, 3<<20 + 17} {
		data := noise(size)
		half := size / 2
		for _, c := range []struct {
			kind document.Compression
			blob []byte
		}{
			{document.Uncompressed, data}, {document.Gzip, gzipped(data)}, {document.Zstd, zstded(data)},
			{document.Gzip, append(gzipped(data[:half]), gzipped(data[half:])...)},
			{document.Zstd, append(zstded(data[:half]), zstded(data[half:])...)},
		} {
			r, err := layer.Decompress(bytes.NewReader(c.blob), c.kind)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%q of %d bytes: %d came out, %v", c.kind, size, len(got), err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := layer.Decompress(nil, "xz"); !errors.Is(err, layer.ErrRefused) {
		t.Errorf("xz: error %v, want one of kind %v", err, layer.ErrRefused)
	}
}

func TestDecompressDamaged(t *testing.T) {
	data := noise(1 << 20)
	window := zstded(data)
	// A frame header that asks for a window of 1 GiB; RFC 8878, 3.1.1.1.2.
	huge := append(binary.LittleEndian.AppendUint32(nil, 0xFD2FB528), 0x00, 20<<3, 0x01, 0x00, 0x00)
	flipped := gzipped(data)
	flipped[len(flipped)/2] ^= 0xff
	for name, c := range map[string]struct {
		kind document.Compression
		blob []byte
	}{
		"gzip noise":     {document.Gzip, data},
		"gzip cut":       {document.Gzip, gzipped(data)[:5000]},
		"gzip cut early": {document.Gzip, gzipped(data)[:5]},
		"gzip nothing":   {document.Gzip, nil},
		"gzip flipped":   {document.Gzip, flipped},
		"gzip with tail": {document.Gzip, append(gzipped(data), "tail"...)},
		"zstd noise":     {document.Zstd, data},
		"zstd cut":       {document.Zstd, window[:5000]},
		"zstd window":    {document.Zstd, huge},
	} {
		r, err := layer.Decompress(bytes.NewReader(c.blob), c.kind)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); !errors.Is(err, layer.ErrArchive) {
			t.Errorf("%s: error %v, want one of kind %v", name, err, layer.ErrArchive)
		}
		_ = r.Close() // always nil
	}
}

// TestDecompressSourceError: what the source says is not the blob's fault.
func TestDecompressSourceError(t *testing.T) {
	for _, source := range []error{errors.New("reset by peer"), io.ErrUnexpectedEOF} {
		for _, kind := range []document.Compression{document.Uncompressed, document.Gzip, document.Zstd} {
			half := map[document.Compression][]byte{document.Uncompressed: noise(1000), document.Gzip: gzipped(noise(1 << 20))[:1000], document.Zstd: zstded(noise(1 << 20))[:1000]}[kind]
			r, err := layer.Decompress(io.MultiReader(bytes.NewReader(half), failing{source}), kind)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); !errors.Is(err, source) {
				t.Errorf("%q: error %v, want %v", kind, err, source)
			}
			_ = r.Close() // always nil
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestDecompressClosedEarly(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, kind := range []document.Compression{document.Uncompressed, document.Gzip, document.Zstd} {
		blob := map[document.Compression][]byte{document.Uncompressed: noise(8 << 20), document.Gzip: gzipped(noise(8 << 20)), document.Zstd: zstded(noise(8 << 20))}[kind]
		for _, read := range []int64{0, 1, 300 << 10} {
			r, err := layer.Decompress(bytes.NewReader(blob), kind)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, r, read); err != nil {
				t.Fatal(err)
			}
			_, _ = r.Close(), r.Close() // twice is fine
			if n, err := r.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("a read after Close gives %d, %v", n, err)
			}
		}
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

// TestBombs: what is small and unpacks to much.
func TestBombs(t *testing.T) {
	big := archive(file("f", strings.Repeat("\x00", 70<<20)))
	tail := append(archive(file("f", "x")), make([]byte, 4<<20)...)
	for _, c := range []struct {
		name   string
		tar    []byte
		blob   []byte
		kind   string
		limits layer.Limits
		want   error
	}{
		{"within limits", big, gzipped(big), ocispec.MediaTypeImageLayerGzip, layer.DefaultLimits(), nil},
		{"gzip ratio", big, gzipped(big), ocispec.MediaTypeImageLayerGzip, layer.Limits{Ratio: 100}, layer.ErrLimit},
		{"zstd ratio", big, zstded(big), ocispec.MediaTypeImageLayerZstd, layer.DefaultLimits(), layer.ErrLimit},
		{"bytes", big, zstded(big), ocispec.MediaTypeImageLayerZstd, layer.Limits{Bytes: 1 << 20}, layer.ErrLimit},
		{"bytes after the end", tail, gzipped(tail), ocispec.MediaTypeImageLayerGzip, layer.Limits{Bytes: 1 << 20}, layer.ErrLimit},
		{"a tail", tail, gzipped(tail), ocispec.MediaTypeImageLayerGzip, layer.DefaultLimits(), nil},
		{"many members", nil, bytes.Repeat(gzipped(nil), 10000), ocispec.MediaTypeImageLayerGzip, layer.DefaultLimits(), nil},
	} {
		for _, extract := range []extractor{layer.Extract, layer.Confined} {
			_, err := extract(t.Context(), openDir(t, t.TempDir()), bytes.NewReader(c.blob), describe(c.blob, c.kind), digest.FromBytes(c.tar),
				layer.Options{Rootless: true, Limits: c.limits})
			if !errors.Is(err, c.want) {
				t.Errorf("%s: error %v, want %v", c.name, err, c.want)
			}
		}
	}
}

// TestCancelled: a context that is done ends both kinds, and a source's error
// is the one that is told.
func TestCancelled(t *testing.T) {
	blob := gzipped(archive(file("f", string(noise(1<<20)))))
	d := describe(blob, ocispec.MediaTypeImageLayerGzip)
	for _, extract := range []extractor{layer.Extract, layer.Confined} {
		ctx, cancel := context.WithCancel(t.Context())
		source := io.MultiReader(bytes.NewReader(blob[:1000]), calling(cancel), bytes.NewReader(blob[1000:]))
		_, err := extract(ctx, openDir(t, t.TempDir()), source, d, d.Digest, layer.Options{Rootless: true})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want %v", err, context.Canceled)
		}
		reset := errors.New("reset by peer")
		source = io.MultiReader(bytes.NewReader(blob[:1000]), failing{reset})
		if _, err = extract(t.Context(), openDir(t, t.TempDir()), source, d, d.Digest, layer.Options{Rootless: true}); !errors.Is(err, reset) {
			t.Errorf("error %v, want %v", err, reset)
		}
	}
}

// calling is a reader that has nothing, and calls a function.
type calling func()

func (c calling) Read([]byte) (int, error) { c(); return 0, io.EOF }

// TestConfinedByFile reads a blob that is a file, at its offset.
func TestConfinedByFile(t *testing.T) {
	blob := zstded(archive(file("f", "x")))
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(append([]byte("before"), blob...)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(6, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var warnings []string
	o := layer.Options{Rootless: true, Warn: func(s string) {
		if !aboutCgo(s) {
			warnings = append(warnings, s)
		}
	}}
	result, err := layer.Confined(t.Context(), openDir(t, dir), f, describe(blob, ocispec.MediaTypeImageLayerZstd), digest.FromBytes(archive(file("f", "x"))), o)
	if want := (layer.Result{Entries: 1, Bytes: 1, Size: 2048}); err != nil || result != want {
		t.Errorf("%+v, %v, want %+v", result, err, want)
	}
	if got := brief(t, dir); got != "f:1" {
		t.Errorf("%s, want f:1", got)
	}
	if os.Geteuid() == 0 && len(warnings) > 0 {
		t.Errorf("warnings %q", warnings)
	}
}
