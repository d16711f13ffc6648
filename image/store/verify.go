// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
)

// Checked is what Verify found out about a blob. Err is nil, ErrDamaged, or
// ErrNotExist for one that an image needs and that is not there.
type Checked struct {
	Digest digest.Digest
	Size   int64
	Err    error
}

// Verify reads all blobs again, compares them with their digests and with the
// sizes that the images say, and tells fn about each, which may be nil. The
// error is that of the first bad one, after all were read.
func (s *Store) Verify(ctx context.Context, fn func(Checked)) error {
	if err := s.use(ctx); err != nil {
		return err
	}
	var first error
	sizes := map[digest.Digest]int64{}
	tell := func(c Checked) {
		if first == nil {
			first = c.Err
		}
		if fn != nil {
			fn(c)
		}
	}
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		names, err := list(s.dirs["blobs"], algorithm.String())
		if err != nil {
			return err
		}
		slices.Sort(names)
		for _, name := range names {
			d := digest.NewDigestFromEncoded(algorithm, name)
			if d.Validate() != nil {
				continue // another tool's temporary file
			}
			size, err := s.rehash(ctx, d)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if errors.Is(err, ErrNotExist) {
				continue // removed meanwhile
			}
			if err == nil {
				sizes[d] = size
			} else {
				sizes[d] = bad
			}
			tell(Checked{d, size, err})
		}
	}
	if err := s.verifyImages(sizes, tell); err != nil {
		return err
	}
	return first
}

// bad is the size of a blob that was told about.
const bad = -1

func (s *Store) rehash(ctx context.Context, d digest.Digest) (int64, error) {
	f, st, err := openRegular(s.root, blobName(d))
	if err != nil {
		return 0, blobError(d, err)
	}
	defer f.Close() // only read from
	h := d.Algorithm().Hash()
	n, err := io.CopyBuffer(h, interruptible{ctx, f}, make([]byte, 256<<10))
	if err != nil {
		return n, fmt.Errorf("cannot read blob %s: %w", d, err)
	}
	if got := digest.NewDigest(d.Algorithm(), h); got != d {
		return st.Size, fmt.Errorf("%s: the contents have the digest %s: %w", d, got, ErrDamaged)
	}
	return n, nil
}

// verifyImages looks for what images name and the store does not have, or has in
// another size. The images of an index may be missing.
func (s *Store) verifyImages(sizes map[digest.Digest]int64, tell func(Checked)) error {
	idx, err := s.readIndex()
	if err != nil {
		return err
	}
	queue := []ocispec.Descriptor{}
	for _, e := range idx.entries {
		queue = append(queue, e.descriptor)
		checkSize(sizes, e.descriptor, tell)
	}
	seen := map[digest.Digest]bool{}
	for len(queue) > 0 {
		d := queue[0]
		queue = queue[1:]
		if size, ok := sizes[d.Digest]; seen[d.Digest] || !ok || size == bad || !document.IsIndex(d.MediaType) && !document.IsManifest(d.MediaType) {
			continue
		}
		seen[d.Digest] = true
		raw, err := s.Document(d)
		if err != nil {
			continue // told about above
		}
		doc, err := document.Parse(raw, d)
		if err != nil {
			tell(Checked{d.Digest, d.Size, fmt.Errorf("%w: %w", err, ErrDamaged)})
			continue
		}
		for _, child := range doc.Children() {
			if _, ok := sizes[child.Digest]; ok || doc.Manifest != nil {
				checkSize(sizes, child, tell)
			}
			if doc.Index != nil {
				queue = append(queue, child)
			}
		}
	}
	return nil
}

// checkSize tells about a blob that is missing or has another size, once.
func checkSize(sizes map[digest.Digest]int64, d ocispec.Descriptor, tell func(Checked)) {
	size, ok := sizes[d.Digest]
	switch {
	case size == bad:
		return
	case !ok:
		tell(Checked{d.Digest, d.Size, fmt.Errorf("%s: %w", d.Digest, ErrNotExist)})
	case size != d.Size:
		tell(Checked{d.Digest, size, fmt.Errorf("%s: %d bytes, and a descriptor says %d: %w", d.Digest, size, d.Size, ErrDamaged)})
	default:
		return
	}
	sizes[d.Digest] = bad
}
