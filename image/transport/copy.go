// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
)

// CopyOptions say what of an image is copied, and how. The zero value copies
// the image for this machine.
type CopyOptions struct {
	// Platform chooses from an index. If it is given, an image that is not in an
	// index must be for it, too.
	Platform *ocispec.Platform
	// AllPlatforms copies an index with all that is in it.
	AllPlatforms bool
	// Parallel is how many blobs are copied at a time; 0 stands for 4.
	Parallel int
	// Progress is told what happens to each document and blob, by one goroutine
	// at a time. It must not block.
	Progress func(Progress)
}

// State of a document or blob that is copied.
type State string

// The states of what is copied. Each one begins as Waiting and ends as Present,
// Done or Failed; what another one's failure cancelled stays as it was.
const (
	Waiting State = "waiting"
	Present State = "present" // the sink has it already
	Copying State = "copying"
	Done    State = "done"
	Failed  State = "failed"
)

// Progress is how far a document or blob is: Bytes of Descriptor.Size. Bytes
// does not begin at 0 when a sink goes on with what an earlier process left.
type Progress struct {
	Descriptor ocispec.Descriptor
	Bytes      int64
	State      State
}

// The bounds of one image, so that an index of indexes ends somewhere.
const (
	maxDepth     = 4                    // indexes in indexes
	maxDocuments = 4 * document.MaxSize // bytes of all documents, which are in memory
)

// Copy copies the image that src resolves to, blobs first, then manifests, then
// the index, each as it is, and gives it its name in dst. What dst has is not
// read. If something fails, what else is going on is cancelled and waited for.
// It returns the descriptor of what got the name: of the chosen manifest, or of
// the index with AllPlatforms.
func Copy(ctx context.Context, src Source, dst Sink, o CopyOptions) (ocispec.Descriptor, error) {
	c := &copier{src: src, dst: dst, o: o, seen: map[digest.Digest]ocispec.Descriptor{}}
	root, err := src.Resolve(ctx)
	if err == nil {
		root, err = c.collect(ctx, root)
	}
	if err != nil {
		return root, err
	}
	for _, d := range c.blobs {
		c.tell(d, 0, Waiting)
	}
	for _, doc := range c.documents {
		c.tell(doc.Descriptor, 0, Waiting)
	}
	if err := c.putBlobs(ctx); err != nil {
		return root, err
	}
	for _, doc := range c.documents {
		if err := c.put(ctx, doc.Descriptor, doc.open); err != nil {
			return root, err
		}
	}
	return root, dst.Finish(ctx, root)
}

// copier is one run of Copy.
type copier struct {
	src Source
	dst Sink
	o   CopyOptions

	seen      map[digest.Digest]ocispec.Descriptor
	blobs     []ocispec.Descriptor
	documents []held // each after those it names
	held      int    // bytes of documents

	telling sync.Mutex // around o.Progress
}

// held is a document in memory.
type held struct {
	ocispec.Descriptor
	raw []byte
}

func (h held) open(offset int64) (io.ReadCloser, error) {
	return io.NopCloser(newReader(h.raw, offset)), nil
}

// collect reads all documents of the image and returns the one that is its
// root.
func (c *copier) collect(ctx context.Context, d ocispec.Descriptor) (ocispec.Descriptor, error) {
	for depth := 0; ; depth++ {
		doc, err := c.fetch(ctx, d)
		switch {
		case err != nil:
			return d, err
		case doc.Index == nil || c.o.AllPlatforms:
			d = doc.Descriptor
			if doc.Manifest != nil && c.o.Platform != nil && depth == 0 {
				if err := c.checkPlatform(ctx, doc.Manifest.Config); err != nil {
					return d, err
				}
			}
			return d, c.walk(ctx, doc, 0)
		case depth == maxDepth:
			return d, fmt.Errorf("%s: indexes in indexes, more than %d deep", d.Digest, maxDepth)
		}
		want := document.HostPlatform()
		if c.o.Platform != nil {
			want = *c.o.Platform
		}
		if d, err = document.Select(doc.Index, want); err != nil {
			return d, err
		}
	}
}

// checkPlatform refuses an image that was not built for the wanted platform.
func (c *copier) checkPlatform(ctx context.Context, config ocispec.Descriptor) error {
	if !document.IsConfig(config.MediaType) {
		return nil // an artifact is for any
	}
	raw, err := FetchDocument(ctx, c.src, config)
	if err != nil {
		return err
	}
	parsed, err := document.ParseConfig(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", config.Digest, err)
	}
	if document.Rank(parsed.Platform, *c.o.Platform) < 0 {
		return fmt.Errorf("%w %s: the image is for %s only (hint: --platform)", document.ErrNoPlatform,
			document.FormatPlatform(*c.o.Platform), document.FormatPlatform(parsed.Platform))
	}
	return nil
}

// walk notes what a document names, and then the document.
func (c *copier) walk(ctx context.Context, doc *document.Document, depth int) error {
	c.seen[doc.Descriptor.Digest] = doc.Descriptor
	if depth > maxDepth {
		return fmt.Errorf("%s: indexes in indexes, more than %d deep", doc.Descriptor.Digest, maxDepth)
	}
	for _, d := range doc.Children() {
		if before, ok := c.seen[d.Digest]; ok {
			if before.Size != d.Size {
				return fmt.Errorf("%s: %d bytes in one place, %d in another", d.Digest, before.Size, d.Size)
			}
			continue
		}
		// Only entries of an index are documents: a layer that claims to be one
		// is a layer. Media types that we do not know are no errors.
		if doc.Index == nil || !document.IsIndex(d.MediaType) && !document.IsManifest(d.MediaType) {
			c.seen[d.Digest] = d
			c.blobs = append(c.blobs, d)
			continue
		}
		child, err := c.fetch(ctx, d)
		if err == nil {
			err = c.walk(ctx, child, depth+1)
		}
		if err != nil {
			return err
		}
	}
	if c.held += len(doc.Raw); c.held > maxDocuments {
		return fmt.Errorf("%s: the image has more than %d bytes of manifests", doc.Descriptor.Digest, maxDocuments)
	}
	c.documents = append(c.documents, held{doc.Descriptor, doc.Raw})
	return nil
}

func (c *copier) fetch(ctx context.Context, d ocispec.Descriptor) (*document.Document, error) {
	raw, err := FetchDocument(ctx, c.src, d)
	if err != nil {
		return nil, err
	}
	return document.Parse(raw, d)
}

// putBlobs copies all blobs, some at a time. The first failure cancels the rest.
func (c *copier) putBlobs(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parallel := c.o.Parallel
	if parallel <= 0 {
		parallel = 4
	}
	queue := make(chan ocispec.Descriptor)
	var workers sync.WaitGroup
	for range min(parallel, len(c.blobs)) {
		workers.Go(func() {
			for d := range queue {
				if err := c.put(ctx, d, c.opener(ctx, d)); err != nil {
					cancel(err) // the first one stays the cause
				}
			}
		})
	}
feed:
	for _, d := range c.blobs {
		select {
		case queue <- d:
		case <-ctx.Done():
			break feed
		}
	}
	close(queue)
	workers.Wait()
	return context.Cause(ctx)
}

// opener reads a blob from the source.
func (c *copier) opener(ctx context.Context, d ocispec.Descriptor) func(int64) (io.ReadCloser, error) {
	return func(offset int64) (io.ReadCloser, error) {
		r, err := c.src.Fetch(ctx, d, offset)
		if err != nil {
			var t Temporary
			if document.IsForeign(d.MediaType) && !errors.As(err, &t) && ctx.Err() == nil {
				// CVE-2020-15157: urls are the image's, and lead anywhere.
				err = fmt.Errorf("a foreign layer, which this source does not have, and its urls are not followed: %w", err)
			}
			return nil, err
		}
		return &counted{ReadCloser: r, at: offset, tell: func(at int64) { c.tell(d, at, Copying) }}, nil
	}
}

// put copies one document or blob, unless it is there.
func (c *copier) put(ctx context.Context, d ocispec.Descriptor, open func(int64) (io.ReadCloser, error)) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	has, err := c.dst.Has(ctx, d)
	if err == nil && has {
		c.tell(d, d.Size, Present)
		return nil
	}
	if err == nil {
		err = c.dst.Put(ctx, d, open)
	}
	if err != nil {
		if ctx.Err() == nil {
			c.tell(d, 0, Failed)
		}
		return err
	}
	c.tell(d, d.Size, Done)
	return nil
}

func (c *copier) tell(d ocispec.Descriptor, bytes int64, s State) {
	if c.o.Progress == nil {
		return
	}
	c.telling.Lock()
	defer c.telling.Unlock()
	c.o.Progress(Progress{d, bytes, s})
}

// counted tells how far a reader is.
type counted struct {
	io.ReadCloser
	at   int64
	tell func(int64)
}

func (r *counted) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if n > 0 {
		r.at += int64(n)
		r.tell(r.at)
	}
	return n, err
}
