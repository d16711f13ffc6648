// SPDX-License-Identifier: Apache-2.0

package store

import (
	"os"
	"testing"

	"github.com/opencontainers/go-digest"

	"berth/image/document"
)

// What a start of the program pays: open the store, find an image by its name
// and a layer that is there.
func BenchmarkOpenAndFind(b *testing.B) {
	root := b.TempDir()
	s, err := Open(root)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	raw := []byte("{}")
	d := document.Describe("application/vnd.oci.image.manifest.v1+json", raw)
	if err := putBytes(s, d, raw); err != nil {
		b.Fatal(err)
	}
	if err := s.Tag("image", d); err != nil {
		b.Fatal(err)
	}
	id := digest.FromString("chain")
	for b.Loop() {
		s, err := Open(root)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Image("image").Resolve(b.Context()); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Layer(b.Context(), id, "copy", func(*os.File) error { return nil }); err != nil {
			b.Fatal(err)
		}
		_ = s.Close() // measured as well
	}
}

func BenchmarkPut(b *testing.B) {
	s, err := Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	raw := make([]byte, 64<<20)
	d := document.Describe("a/b", raw)
	b.SetBytes(d.Size)
	for b.Loop() {
		if err := putBytes(s, d, raw); err != nil {
			b.Fatal(err)
		}
		if err := s.RemoveBlob(d.Digest); err != nil {
			b.Fatal(err)
		}
	}
}
