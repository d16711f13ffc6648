// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"

	"berth/image/document"
)

// Put stores a document, or a blob in one upload; the registry shows it when
// its digest is right, and we do not send the last bytes if it is not. What
// the source loses, it is asked for again at the same offset; what the
// registry loses is sent again.
func (r *Repository) Put(ctx context.Context, d ocispec.Descriptor, open func(offset int64) (io.ReadCloser, error)) error {
	if err := document.CheckDescriptor(d); err != nil {
		return err
	}
	if isDocument(d) {
		return r.putDocument(ctx, d, open)
	}
	expired := false
	err := r.retry(ctx, verbPush, func() error {
		err := r.putBlob(ctx, d, open)
		var status *StatusError
		if errors.As(err, &status) && status.Status == http.StatusUnauthorized && !expired {
			expired = true // the token, between the upload's beginning and its end
			err = r.putBlob(ctx, d, open)
		}
		return err
	})
	return err
}

func (r *Repository) putBlob(ctx context.Context, d ocispec.Descriptor, open func(offset int64) (io.ReadCloser, error)) error {
	repo, err := r.own.ready(ctx)
	if err != nil {
		return err
	}
	for _, from := range r.options.MountFrom {
		if from == r.name.Repository {
			continue
		}
		mounted, err := mount(ctx, repo, d, from)
		if mounted || ctx.Err() != nil {
			return err
		}
	}
	source := r.newSource(ctx, d, open)
	return source.end(repo.Blobs().Push(ctx, d, source))
}

// errUpload ends a mount for which the registry wants the contents.
var errUpload = errors.New("the registry does not mount it")

// mount takes a blob from another repository of the registry, if it is there
// and the registry does that.
func mount(ctx context.Context, repo *remote.Repository, d ocispec.Descriptor, from string) (bool, error) {
	err := repo.Mount(ctx, d, from, func() (io.ReadCloser, error) { return nil, errUpload })
	return err == nil, err
}

func (r *Repository) putDocument(ctx context.Context, d ocispec.Descriptor, open func(offset int64) (io.ReadCloser, error)) error {
	if d.Size > document.MaxSize {
		return fmt.Errorf("%s: a manifest of %d bytes; at most %d are possible", d.Digest, d.Size, document.MaxSize)
	}
	source := r.newSource(ctx, d, open)
	raw, err := io.ReadAll(source)
	if err = source.end(err); err != nil {
		return err
	}
	err = r.retry(ctx, verbPush, func() error {
		repo, err := r.own.ready(ctx)
		if err != nil {
			return err
		}
		return repo.Push(ctx, d, bytes.NewReader(raw))
	})
	if err == nil {
		r.mu.Lock()
		r.last = &pushed{d, raw}
		r.mu.Unlock()
	}
	return err
}

// source is the contents of an upload, verified, from as many attempts as it
// takes. A transport may still read it when the upload was answered already:
// hence the lock, and an end for good.
type source struct {
	ctx  context.Context // of the Put, for the waits between attempts
	r    *Repository
	d    ocispec.Descriptor
	open func(offset int64) (io.ReadCloser, error)

	mu       sync.Mutex
	verifier digest.Verifier
	body     io.ReadCloser
	offset   int64
	attempt  int
	err      error // that ended it, which an upload reports as something else
}

func (r *Repository) newSource(ctx context.Context, d ocispec.Descriptor, open func(offset int64) (io.ReadCloser, error)) *source {
	return &source{ctx: ctx, r: r, d: d, open: open, verifier: d.Digest.Verifier()}
}

// Read never gives the last bytes of something that is not what d says: an
// upload of the right length is never made of it.
func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.read(p)
	s.offset += int64(n)
	_, _ = s.verifier.Write(p[:n]) // a hash does not fail
	switch {
	case s.offset > s.d.Size:
		s.err = fmt.Errorf("cannot push %s: longer than its %d bytes", s.d.Digest, s.d.Size)
	case (n > 0 || err == io.EOF) && s.offset == s.d.Size && !s.verifier.Verified():
		s.err = fmt.Errorf("cannot push %s: the contents have another digest", s.d.Digest)
	case err == io.EOF && s.offset < s.d.Size:
		s.err = fmt.Errorf("cannot push %s: it ends after %d of %d bytes", s.d.Digest, s.offset, s.d.Size)
	case err != nil && err != io.EOF:
		s.err = err
	default:
		return n, err
	}
	return 0, s.err
}

// read opens the source again, where it was, after errors that may pass. What
// came with an error is given first.
func (s *source) read(p []byte) (n int, err error) {
	for {
		if s.body == nil {
			s.body, err = s.open(s.offset)
		}
		if err == nil {
			n, err = s.body.Read(p)
		}
		if err == nil || err == io.EOF {
			return n, err
		}
		s.release()
		wait, again := s.r.pause(s.attempt, err)
		if !again || !sleep(s.ctx, wait) {
			return n, err
		}
		s.attempt++
		if n > 0 {
			return n, nil
		}
		err = nil
	}
}

// release closes what is open, of which all has been read that can be.
func (s *source) release() {
	if s.body != nil {
		_ = s.body.Close() // read only
		s.body = nil
	}
}

// end closes the source, and gives the reason for which an upload failed: the
// source's own, if there is one.
func (s *source) end(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release()
	if err != nil && s.err != nil {
		err = s.err
	}
	s.err = io.ErrClosedPipe
	return err
}
