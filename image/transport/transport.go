// SPDX-License-Identifier: Apache-2.0

// Package transport copies images from a source to a sink: registries, layouts,
// archives and the store are one or the other or both. A blob is there under its
// digest or not at all; a document comes after everything that it names.
package transport

import (
	"context"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Source has the documents and blobs of images. Its methods may be called from
// several goroutines.
type Source interface {
	// Resolve finds the manifest or index that the source was opened for.
	Resolve(ctx context.Context) (ocispec.Descriptor, error)
	// Fetch opens a document or blob at an offset; the caller verifies what it
	// reads, and closes. Errors that may pass are Temporary.
	Fetch(ctx context.Context, d ocispec.Descriptor, offset int64) (io.ReadCloser, error)
}

// Sink takes images. Its methods may be called from several goroutines.
type Sink interface {
	// Has says whether a document or blob is there, so that it need not be sent.
	Has(ctx context.Context, d ocispec.Descriptor) (bool, error)
	// Put stores what r gives, which is verified against d: nothing is visible
	// before that. open may be called again, at another offset, if it failed.
	Put(ctx context.Context, d ocispec.Descriptor, open func(offset int64) (io.ReadCloser, error)) error
	// Finish gives the image its name, once everything is there.
	Finish(ctx context.Context, root ocispec.Descriptor) error
}

// Temporary is an error that another attempt may not meet. After is how long to
// wait before that, 0 for a guess.
type Temporary interface {
	error
	RetryAfter() (seconds int)
}
