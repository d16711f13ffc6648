// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
	"berth/image/transport"
)

// spool keeps blobs in one temporary file until all are there: they come at the
// same time and in any order, and go into a tar one after the other. It is on
// the archive's file system: $TMPDIR may be in memory.
type spool struct {
	data *draft

	mu    sync.Mutex
	end   int64
	blobs map[digest.Digest]extent
}

type extent struct{ offset, size int64 }

func newSpool(dir directory) (*spool, error) {
	f, err := newDraft(dir)
	if err != nil {
		return nil, err
	}
	return &spool{data: f, blobs: map[digest.Digest]extent{}}, nil
}

// put receives a blob into a place of its own. One that fails leaves a hole.
func (s *spool) put(ctx context.Context, d ocispec.Descriptor, open func(offset int64) (io.ReadCloser, error)) error {
	e, err := s.reserve(d)
	if err != nil {
		return err
	}
	in, err := transport.NewIncoming(d, io.NewOffsetWriter(s.data, e.offset))
	if err == nil {
		err = in.Receive(ctx, open)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[d.Digest] = e
	return nil
}

// reserve finds a place. Sizes are the image's word: their sum must not come
// round to the places of other blobs.
func (s *spool) reserve(d ocispec.Descriptor) (extent, error) {
	if err := document.CheckDescriptor(d); err != nil {
		return extent{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.Size > math.MaxInt64-s.end {
		return extent{}, fmt.Errorf("%s: %d bytes are too many", d.Digest, d.Size)
	}
	e := extent{s.end, d.Size}
	s.end += d.Size
	return e, nil
}

func (s *spool) has(d ocispec.Descriptor) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.blobs[d.Digest]
	return ok && e.size == d.Size
}

// section returns a blob that is there.
func (s *spool) section(d digest.Digest) (*io.SectionReader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.blobs[d]
	if !ok {
		return nil, fmt.Errorf("%s: %w", d, fs.ErrNotExist)
	}
	return io.NewSectionReader(s.data, e.offset, e.size), nil
}

// document returns a document that is there, and was verified on its way.
func (s *spool) document(d ocispec.Descriptor, limit int64) ([]byte, error) {
	r, err := s.section(d.Digest)
	if err != nil {
		return nil, err
	}
	if r.Size() > limit {
		return nil, fmt.Errorf("%s: %d bytes; a document has at most %d", d.Digest, r.Size(), limit)
	}
	return io.ReadAll(r)
}
