// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
	"berth/image/transport"
)

// Image is one image of a store: a transport.Source, and a transport.Sink that
// gives what is put the image's name. It is valid until the store is closed.
type Image struct {
	s    *Store
	name string
}

var (
	_ transport.Source = (*Image)(nil)
	_ transport.Sink   = (*Image)(nil)
)

// Image is the image with a name, whether it is there or not. To read, name may
// be a digest, as well, or the beginning of one's hexadecimal part that is
// unique, 4 digits at least.
func (s *Store) Image(name string) *Image { return &Image{s, name} }

// Resolve finds the image: by its name first.
func (i *Image) Resolve(ctx context.Context) (ocispec.Descriptor, error) {
	err := i.s.use(ctx)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	idx, err := i.s.readIndex()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d, err := idx.resolve(i.name)
	if exact, ok := digestOf(i.name); ok && errors.Is(err, ErrNotExist) {
		d, err = i.s.sniff(exact)
	}
	if err != nil {
		return d, fmt.Errorf("image %q: %w", i.name, err)
	}
	return d, nil
}

// digestOf is the digest that a name is, or ends with.
func digestOf(name string) (digest.Digest, bool) {
	d := digest.Digest(name[strings.LastIndex(name, "@")+1:])
	return d, document.CheckDescriptor(ocispec.Descriptor{Digest: d}) == nil
}

var prefix = regexp.MustCompile(`^(?:sha256:|sha512:)?[0-9a-f]{4,128}$`)

// resolve looks for a name, then for a digest, then for the beginning of one.
func (idx *index) resolve(name string) (ocispec.Descriptor, error) {
	if at := idx.find(name); at >= 0 {
		return idx.entries[at].descriptor, nil
	}
	exact, isDigest := digestOf(name)
	found := map[digest.Digest]ocispec.Descriptor{}
	for _, e := range idx.entries {
		d := e.descriptor.Digest
		if isDigest && d == exact || !isDigest && prefix.MatchString(name) && (strings.HasPrefix(d.Encoded(), name) || strings.HasPrefix(d.String(), name)) {
			found[d] = e.descriptor
		}
	}
	if len(found) > 1 {
		return ocispec.Descriptor{}, ErrAmbiguous
	}
	for _, d := range found {
		return d, nil
	}
	return ocispec.Descriptor{}, ErrNotExist
}

// sniff finds out about a document that has no name: one of an index, or one
// whose name is gone.
func (s *Store) sniff(d digest.Digest) (ocispec.Descriptor, error) {
	raw, err := readBeneath(s.root, blobName(d), document.MaxSize)
	if err != nil {
		return ocispec.Descriptor{}, blobError(d, err)
	}
	doc, err := document.Parse(raw, ocispec.Descriptor{Digest: d, Size: int64(len(raw))})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return doc.Descriptor, nil
}

// Fetch opens a blob or document of the store, whatever image it is of.
func (i *Image) Fetch(_ context.Context, d ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	f, err := i.s.Blob(d)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		_ = f.Close() // only looked at
		return nil, fmt.Errorf("cannot seek in blob %s: %w", d.Digest, err)
	}
	return f, nil
}

// Has says whether a blob or document is in the store. It will be until Close.
func (i *Image) Has(ctx context.Context, d ocispec.Descriptor) (bool, error) {
	if err := i.s.use(ctx); err != nil {
		return false, err
	}
	return i.s.has(d)
}

// Put stores a blob or document; see transport.Sink. It goes on with what an
// earlier process received of it, and waits for another one that is receiving
// it.
func (i *Image) Put(ctx context.Context, d ocispec.Descriptor, open func(offset int64) (io.ReadCloser, error)) error {
	return i.s.put(ctx, d, open)
}

// Finish gives the image its name.
func (i *Image) Finish(ctx context.Context, root ocispec.Descriptor) error {
	return i.s.tag(ctx, i.name, root)
}
