// SPDX-License-Identifier: Apache-2.0

package layer_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/layer"
)

// BenchmarkExtract unpacks the archive BERTH_LAYER, or a made one of 20,000
// files, on the file system of TMPDIR: BERTH_LAYER is the path of an
// uncompressed tar, and BERTH_LAYER.gz and .zst are tried too if they exist.
//
//	TMPDIR=/dev/shm BERTH_LAYER=/dev/shm/usr.tar go test -bench Extract -benchtime 3x ./image/layer
func BenchmarkExtract(b *testing.B) {
	tarball := os.Getenv("BERTH_LAYER")
	if tarball == "" {
		tarball = filepath.Join(b.TempDir(), "layer.tar")
		if err := os.WriteFile(tarball, manyFiles(20000), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	diffID := digestOf(b, tarball)
	for _, kind := range []struct{ suffix, mediaType string }{
		{"", ocispec.MediaTypeImageLayer}, {".gz", ocispec.MediaTypeImageLayerGzip}, {".zst", ocispec.MediaTypeImageLayerZstd},
	} {
		info, err := os.Stat(tarball + kind.suffix)
		if err != nil {
			continue
		}
		d := ocispec.Descriptor{MediaType: kind.mediaType, Digest: digestOf(b, tarball+kind.suffix), Size: info.Size()}
		b.Run("in process"+kind.suffix, func(b *testing.B) { benchmark(b, layer.Extract, tarball+kind.suffix, d, diffID) })
		b.Run("confined"+kind.suffix, func(b *testing.B) { benchmark(b, layer.Confined, tarball+kind.suffix, d, diffID) })
	}
}

func benchmark(b *testing.B, extract extractor, blob string, d ocispec.Descriptor, diffID digest.Digest) {
	root := b.TempDir()
	for i := 0; b.Loop(); i++ {
		in, err := os.Open(blob)
		if err != nil {
			b.Fatal(err)
		}
		name := filepath.Join(root, strconv.Itoa(i))
		if err := os.Mkdir(name, 0o755); err != nil {
			b.Fatal(err)
		}
		dir, err := os.Open(name)
		if err != nil {
			b.Fatal(err)
		}
		result, err := extract(b.Context(), dir, in, d, diffID, layer.Options{Limits: layer.DefaultLimits(), Rootless: os.Geteuid() != 0})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(result.Size)
		_, _ = in.Close(), dir.Close()
		b.StopTimer()
		if err := os.RemoveAll(name); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func digestOf(tb testing.TB, name string) digest.Digest {
	f, err := os.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	d, err := digest.FromReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}
