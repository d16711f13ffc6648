// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"

	"berth/image/document"
)

// Fetch opens a document or blob at an offset, at the first mirror that has it
// or the registry. It gives exactly the bytes up to the descriptor's size, or
// an error; their digest is for the caller to verify. It does not retry: an
// error that may pass is a transport.Temporary, also one of Read.
func (r *Repository) Fetch(ctx context.Context, d ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	if err := document.CheckDescriptor(d); err != nil {
		return nil, err
	}
	switch {
	case offset < 0 || offset > d.Size:
		return nil, fmt.Errorf("%s: offset %d of %d bytes", d.Digest, offset, d.Size)
	case isDocument(d) && d.Size > document.MaxSize:
		return nil, fmt.Errorf("%s: a manifest of %d bytes; at most %d are possible", d.Digest, d.Size, document.MaxSize)
	case offset == d.Size:
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	var body io.ReadCloser
	e, err := r.fromAny(ctx, func(e *endpoint) (err error) {
		body, err = e.open(ctx, d, offset)
		return err
	})
	if err != nil {
		return nil, explain(ctx, verbPull, r.name.String(), e.registry, err)
	}
	return &content{ReadCloser: body, left: d.Size - offset, fail: func(err error) error {
		r.giveUp(ctx, e, err)
		return explain(ctx, verbPull, r.name.String(), e.registry, fmt.Errorf("%s: %w", d.Digest, err))
	}}, nil
}

func isDocument(d ocispec.Descriptor) bool {
	return document.IsManifest(d.MediaType) || document.IsIndex(d.MediaType)
}

// open asks for the bytes from offset on.
func (e *endpoint) open(ctx context.Context, d ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	repo, err := e.ready(ctx)
	if err != nil {
		return nil, err
	}
	kind := "blobs"
	if isDocument(d) {
		kind = "manifests"
	}
	ctx = auth.AppendRepositoryScope(ctx, repo.Reference, auth.ActionPull)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address(repo, kind, d.Digest.String()), nil)
	if err != nil {
		return nil, err
	}
	if isDocument(d) {
		req.Header.Set("Accept", d.MediaType)
	}
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, d.Size-1))
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, err
	}
	skip, err := checkAnswer(resp, d, offset)
	if err == nil && skip > 0 {
		// The registry ignores Range.
		if _, err = io.CopyN(io.Discard, resp.Body, skip); err != nil {
			err = brokenBody{err}
		}
	}
	if err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp.Body, nil
}

// checkAnswer holds an answer's head against what was asked for, and says how
// many bytes of it come before the offset.
func checkAnswer(resp *http.Response, d ocispec.Descriptor, offset int64) (skip int64, err error) {
	want := d.Size - offset
	switch resp.StatusCode {
	case http.StatusOK:
		want, skip = d.Size, offset
	case http.StatusPartialContent:
		if err := checkRange(resp.Header.Get("Content-Range"), d.Size, offset); err != nil {
			return 0, fmt.Errorf("%s: %w", d.Digest, err)
		}
	case http.StatusNotFound:
		return 0, fmt.Errorf("%s: %w", d.Digest, errdef.ErrNotFound)
	default:
		return 0, &StatusError{Status: resp.StatusCode}
	}
	if resp.ContentLength >= 0 && resp.ContentLength != want {
		return 0, fmt.Errorf("%s: the registry would send %d bytes instead of %d", d.Digest, resp.ContentLength, want)
	}
	// A document that is one thing by its descriptor and another one by its
	// header may be read differently by two programs (CVE-2021-41190).
	sent := ocispec.Descriptor{MediaType: mediaTypeOf(resp)}
	if isDocument(d) && isDocument(sent) && sent.MediaType != d.MediaType {
		return 0, fmt.Errorf("%s: the registry calls it a %s, and it was named as a %s", d.Digest, sent.MediaType, d.MediaType)
	}
	return skip, nil
}

// checkRange holds a Content-Range against the request for all from offset on;
// RFC 9110, 14.4.
func checkRange(header string, size, offset int64) error {
	rest, ok := strings.CutPrefix(header, "bytes ")
	span, total, slash := strings.Cut(rest, "/")
	first, last, dash := strings.Cut(span, "-")
	ok = ok && slash && dash && offset > 0
	for _, number := range []struct {
		text string
		want int64
	}{{first, offset}, {last, size - 1}, {total, size}} {
		n, err := strconv.ParseInt(number.text, 10, 64)
		ok = ok && (err == nil && n == number.want || number.text == "*" && number.text == total)
	}
	if !ok {
		return fmt.Errorf("the registry sends the range %q; asked for was %d-%d/%d", oneLine(header), offset, size-1, size)
	}
	return nil
}

func mediaTypeOf(resp *http.Response) string {
	mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return mediaType
}

// content is a body of exactly so many bytes.
type content struct {
	io.ReadCloser
	left int64
	fail func(error) error // explains; called for each error but io.EOF
}

func (c *content) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, c.end()
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	switch {
	case err == io.EOF && c.left > 0:
		err = c.fail(fmt.Errorf("cut off %d bytes before its end: %w", c.left, io.ErrUnexpectedEOF))
	case err != nil && err != io.EOF:
		err = c.fail(brokenBody{err})
	}
	return n, err
}

// end looks whether anything comes after the last byte.
func (c *content) end() error {
	var one [1]byte
	switch n, err := io.ReadFull(c.ReadCloser, one[:]); {
	case n > 0:
		return c.fail(fmt.Errorf("longer than its descriptor says"))
	case err != io.EOF:
		return c.fail(brokenBody{err})
	}
	return io.EOF
}

// brokenBody is an error while a body is read: whatever it is, the request was
// in order, so that another attempt may succeed.
type brokenBody struct{ error }

func (b brokenBody) Unwrap() error { return b.error }
