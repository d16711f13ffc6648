// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
)

// counter hashes what goes through it.
type counter struct {
	w    io.Writer
	hash hash.Hash
	size int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	_, _ = c.hash.Write(b[:n]) // never fails
	c.size += int64(n)
	return n, err
}

func (c *counter) digest() digest.Digest { return digest.NewDigest(digest.SHA256, c.hash) }

// Layer compresses to w what write writes, and describes it in the same pass:
// desc is of the compressed blob, with OCI's media type, and diffID is the
// digest of what went in. The same input gives the same bytes.
func Layer(w io.Writer, c document.Compression, write func(io.Writer) error) (desc ocispec.Descriptor, diffID digest.Digest, err error) {
	blob := &counter{w: w, hash: digest.SHA256.Hash()}
	packer, err := compressor(blob, c)
	if err != nil {
		return desc, "", err
	}
	plain := &counter{w: packer, hash: digest.SHA256.Hash()}
	err = write(plain)
	if cerr := packer.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("cannot write a layer: %w", cerr)
	}
	if err != nil {
		return desc, "", err
	}
	desc = ocispec.Descriptor{MediaType: layerType(false, c), Digest: blob.digest(), Size: blob.size}
	return desc, plain.digest(), nil
}

// compressor writes no name, time or system into its headers, and uses one
// thread, so that the bytes do not depend on the machine.
func compressor(w io.Writer, c document.Compression) (io.WriteCloser, error) {
	switch c {
	case document.Uncompressed:
		return uncompressed{w}, nil
	case document.Gzip:
		z := gzip.NewWriter(w)
		z.ModTime = time.Unix(0, 0) // none; the zero value is written as some date
		return z, nil
	case document.Zstd:
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	}
	return nil, fmt.Errorf("compression %q: want gzip, zstd, or none", c)
}

type uncompressed struct{ io.Writer }

func (uncompressed) Close() error { return nil }
