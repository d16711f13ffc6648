// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bytes"
	"context"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
)

// FetchDocument reads a document, of at most document.MaxSize bytes whatever its
// descriptor says, and verifies it.
func FetchDocument(ctx context.Context, src Source, d ocispec.Descriptor) ([]byte, error) {
	if d.Size > document.MaxSize {
		return nil, fmt.Errorf("%s: %d bytes; a document has at most %d", d.Digest, d.Size, document.MaxSize)
	}
	var raw bytes.Buffer
	in, err := NewIncoming(d, &raw)
	if err == nil {
		err = in.Receive(ctx, func(offset int64) (io.ReadCloser, error) { return src.Fetch(ctx, d, offset) })
	}
	if err != nil {
		return nil, err
	}
	return raw.Bytes(), nil
}

// newReader reads what comes after an offset; nothing if that is outside.
func newReader(raw []byte, offset int64) io.Reader {
	return bytes.NewReader(raw[min(max(offset, 0), int64(len(raw))):])
}
