// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
)

// files are those of a directory or a tar.
type files interface {
	// open returns a regular file; fs.ErrNotExist if there is none.
	open(name string) (*file, error)
	Close() error
}

// file is open for reading; close gives back what it holds.
type file struct {
	io.ReaderAt
	size  int64
	close func() error
}

// reader reads from an offset to the end, and closes.
func (f *file) reader(offset int64) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, offset, f.size-offset), closer(f.close)}
}

type closer func() error

func (c closer) Close() error { return c() }

// read returns the contents of a file, of at most limit bytes.
func read(in files, name string, limit int64) ([]byte, error) {
	f, err := in.open(name)
	if err != nil {
		return nil, err
	}
	defer f.close() // only read from
	if f.size > limit {
		return nil, fmt.Errorf("%s: %d bytes; at most %d are read", name, f.size, limit)
	}
	raw, err := io.ReadAll(io.NewSectionReader(f, 0, f.size))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return raw, nil
}

// Source is an image in files, a transport.Source, or a plain tar.
type Source struct {
	Kind Kind
	// Path is where it is, as it was given.
	Path string

	files       files
	root        func() (ocispec.Descriptor, error)
	saved       string                   // the first name that docker save has noted
	made        map[digest.Digest][]byte // documents that are not in the files
	names       map[digest.Digest]string // blobs that are not in blobs/
	plain       *os.File
	compression document.Compression
}

// ErrPlain is for a tar that is no image.
var ErrPlain = errors.New("it is no image but a plain tar (hint: import it)")

// Resolve finds the image by the location's name.
func (s *Source) Resolve(context.Context) (ocispec.Descriptor, error) {
	if s.Kind == Plain {
		return ocispec.Descriptor{}, fmt.Errorf("%q: %w", s.Path, ErrPlain)
	}
	d, err := s.root()
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%q: %w", s.Path, err)
	}
	return d, nil
}

// Name is what the image calls itself, with its repository; "" if it does not
// say, or a layout has its tag only.
func (s *Source) Name() string {
	if s.Kind == Plain || s.saved != "" {
		return s.saved
	}
	d, err := s.root()
	if err != nil {
		return ""
	}
	if full := d.Annotations[containerdName]; full != "" {
		return full
	}
	if name := d.Annotations[ocispec.AnnotationRefName]; strings.ContainsAny(name, ":/") {
		return name
	}
	return ""
}

// Fetch opens a document or blob. It is a regular file of the descriptor's size.
func (s *Source) Fetch(_ context.Context, d ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	r, err := s.fetch(d, offset)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", s.Path, err)
	}
	return r, nil
}

func (s *Source) fetch(d ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	if s.Kind == Plain {
		return nil, ErrPlain
	}
	if err := document.CheckDescriptor(d); err != nil {
		return nil, err
	}
	if offset < 0 || offset > d.Size {
		return nil, fmt.Errorf("%s: there is no byte %d of %d", d.Digest, offset, d.Size)
	}
	var f *file
	if raw, ok := s.made[d.Digest]; ok {
		f = &file{bytes.NewReader(raw), int64(len(raw)), func() error { return nil }}
	} else {
		name, ok := s.names[d.Digest]
		if !ok {
			name = blobName(d.Digest)
		}
		var err error
		if f, err = s.files.open(name); err != nil {
			return nil, err
		}
	}
	if f.size != d.Size {
		_ = f.close() // only looked at
		return nil, fmt.Errorf("%s: %d bytes, and the descriptor says %d", d.Digest, f.size, d.Size)
	}
	return f.reader(offset), nil
}

// Tar gives the file of a plain tar, at its beginning, and its compression.
// The file stays the source's.
func (s *Source) Tar() (*os.File, document.Compression, error) {
	if s.Kind != Plain {
		return nil, "", fmt.Errorf("%q: it is an image, not a plain tar", s.Path)
	}
	if _, err := s.plain.Seek(0, io.SeekStart); err != nil {
		return nil, "", fmt.Errorf("%q: %w", s.Path, err)
	}
	return s.plain, s.compression, nil
}

// Close closes the files. What Fetch returned for a tar is of no use then.
func (s *Source) Close() error {
	if s.plain != nil {
		return s.plain.Close()
	}
	return s.files.Close()
}

// blobName is where a layout has a blob. The digest was validated: it is two
// words without a slash.
func blobName(d digest.Digest) string {
	return ocispec.ImageBlobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded()
}

// document reads a document below the root of a layout, verified.
func (s *Source) document(d ocispec.Descriptor) (*document.Document, error) {
	if d.Size > document.MaxSize {
		return nil, fmt.Errorf("%s: %d bytes; a document has at most %d", d.Digest, d.Size, document.MaxSize)
	}
	r, err := s.fetch(d, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close() // only read from
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Digest, err)
	}
	return document.Parse(raw, d)
}

// missing is the error for a file that is not there.
func missing(name string) error { return fmt.Errorf("%s: %w", name, fs.ErrNotExist) }
