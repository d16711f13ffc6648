// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"context"
	"errors"
	"hash"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
)

// ratioFrom is how much a layer may have unpacked to before its ratio counts:
// small ones often have an extreme one.
const ratioFrom = 64 << 20

// Extract applies the layer that blob gives to a directory, and verifies all
// of it: the blob's size and digest, and the uncompressed archive's diffID, with
// what follows the archive's end. Only d.Size bytes are read. It must not be
// relied on what is in the directory before Extract returned without an error;
// after one, the directory is of no use. ctx ends it at the next read of blob.
// dir and blob stay the caller's.
func Extract(ctx context.Context, dir *os.File, blob io.Reader, d ocispec.Descriptor, diffID digest.Digest, o Options) (Result, error) {
	compression, err := check(d, diffID)
	if err != nil {
		return Result{}, err
	}
	in := &blobReader{ctx: ctx, r: blob, left: d.Size, sum: d.Digest.Algorithm().Hash()}
	sum := diffID.Algorithm().Hash()
	s, err := newStream(in, compression, sum, func(out int64) error { return o.Limits.check(out, d.Size-in.left) })
	if err != nil {
		return Result{}, err
	}
	result, err := Apply(dir, s, o)
	if err == nil {
		err = drain(s)
	}
	_ = s.Close() // always nil
	if err := in.verify(d, err); err != nil {
		return result, err
	}
	if got := digest.NewDigest(diffID.Algorithm(), sum); got != diffID {
		return result, mismatch("layer %s: the uncompressed archive has the digest %s, and the image's config says %s", d.Digest, got, diffID)
	}
	result.Size = s.size
	return result, nil
}

// check says how a layer is compressed, if it can be verified at all.
func check(d ocispec.Descriptor, diffID digest.Digest) (document.Compression, error) {
	err := document.CheckDescriptor(d)
	if err == nil {
		err = document.CheckDescriptor(ocispec.Descriptor{Digest: diffID})
	}
	if err != nil {
		return "", refuse("%s", err)
	}
	c, err := document.CompressionOf(d.MediaType)
	if err != nil {
		return "", refuse("%s", err)
	}
	return c, nil
}

// check is for a stream of which out bytes came from in compressed ones.
func (l *Limits) check(out, in int64) error {
	if l.Bytes > 0 && out > l.Bytes {
		return overLimit("the layer unpacks to more than %d bytes", l.Bytes)
	}
	if l.Ratio > 0 && out > ratioFrom && out/l.Ratio > in {
		return overLimit("the layer unpacks to more than %d times its size", l.Ratio)
	}
	return nil
}

// drain reads what follows the archive's end, which the diffID covers.
func drain(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return readError(err)
}

// blobReader reads a blob up to its size, and hashes it.
type blobReader struct {
	ctx  context.Context
	r    io.Reader
	left int64
	sum  hash.Hash
	err  error // of r, but for its end
}

// Read implements io.Reader.
func (b *blobReader) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if b.err == nil {
		b.err = b.ctx.Err()
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	_, _ = b.sum.Write(p[:n]) // never fails, hash.Hash
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// verify compares the blob with its descriptor once nobody reads it any more.
// applied is what became of applying it: a damaged archive may be an image that
// is wrong, or a blob that is.
func (b *blobReader) verify(d ocispec.Descriptor, applied error) error {
	if applied != nil && !errors.Is(applied, ErrArchive) && b.err == nil {
		return applied
	}
	_, _ = io.Copy(io.Discard, b) // its error is in b.err
	if b.err != nil {
		return b.err
	}
	if b.left > 0 {
		return mismatch("layer %s: the blob ends after %d bytes, and the descriptor says %d", d.Digest, d.Size-b.left, d.Size)
	}
	if got := digest.NewDigest(d.Digest.Algorithm(), b.sum); got != d.Digest {
		return mismatch("layer %s: the blob has the digest %s", d.Digest, got)
	}
	return applied
}
