// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"berth/image/document"
	"berth/image/transport"
)

// openLayout takes f, an open directory.
func openLayout(f *os.File, l Location) (*Source, error) {
	s := &Source{Kind: Layout, Path: l.Path, files: directory{f}}
	if err := checkVersion(s.files); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("it is no image layout: %w", err)
		}
		return nil, err
	}
	s.root = s.byIndex(l.Name)
	return s, nil
}

// byIndex resolves with index.json as it is then.
func (s *Source) byIndex(name string) func() (ocispec.Descriptor, error) {
	return func() (ocispec.Descriptor, error) {
		doc, err := readIndex(s.files)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		return s.find(doc.Index, name)
	}
}

// layoutSink writes to a layout. Several processes may write to one at a time:
// a blob gets its name when it is complete, and index.json is changed under a
// lock of the directory, flock(2).
type layoutSink struct {
	dir  directory
	name string
}

// createLayout opens a layout, or makes one: the directory, if its parent is
// there, and in an empty one the files.
func createLayout(l Location) (*layoutSink, error) {
	clean := filepath.Clean(l.Path)
	parent, err := os.Open(filepath.Dir(clean))
	if err != nil {
		return nil, err
	}
	defer parent.Close() // only looked at
	if _, err := os.Stat(clean); errors.Is(err, fs.ErrNotExist) {
		if err := unix.Mkdirat(int(parent.Fd()), filepath.Base(clean), 0o777); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, fmt.Errorf("cannot make the directory: %w", err)
		}
	}
	f, err := os.OpenFile(clean, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	s := &layoutSink{directory{f}, l.Name}
	if err := s.locked(context.Background(), s.prepare); err != nil {
		_ = f.Close() // only looked at
		return nil, err
	}
	return s, nil
}

// prepare makes what a layout has to have. index.json comes first: with
// oci-layout it is a layout.
func (s *layoutSink) prepare() error {
	err := checkVersion(s.dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	list, err := s.dir.openAt(".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	names, err := list.Readdirnames(3)
	_ = list.Close() // only read from
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for _, name := range names {
		// These are of a writer that was killed.
		if name != ocispec.ImageIndexFile && name != ocispec.ImageBlobsDir && !strings.HasPrefix(name, draftPrefix) {
			return fmt.Errorf("it is no image layout, and not empty: it has %q", name)
		}
	}
	blobs, err := s.dir.mkdir(ocispec.ImageBlobsDir)
	if err != nil {
		return err
	}
	_ = blobs.Close() // only looked at
	if _, err = readIndex(s.dir); errors.Is(err, fs.ErrNotExist) {
		err = s.write(ocispec.ImageIndexFile, []byte(emptyIndex))
	}
	if err != nil {
		return err
	}
	return s.write(ocispec.ImageLayoutFile, []byte(layoutVersion))
}

const (
	emptyIndex    = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	layoutVersion = `{"imageLayoutVersion":"1.0.0"}`
)

// write replaces a file of the layout.
func (s *layoutSink) write(name string, data []byte) error {
	t, err := newDraft(s.dir)
	if err != nil {
		return err
	}
	if _, err := t.Write(data); err != nil {
		t.discard()
		return fmt.Errorf("cannot write %q: %w", name, err)
	}
	return t.publish(name)
}

// Has implements transport.Sink. What is no file in a blob's place is an error.
func (s *layoutSink) Has(_ context.Context, d ocispec.Descriptor) (bool, error) {
	if err := document.CheckDescriptor(d); err != nil {
		return false, err
	}
	f, err := s.dir.open(blobName(d.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%q: %w", s.dir.Name(), err)
	}
	return f.size == d.Size, f.close()
}

// Put implements transport.Sink.
func (s *layoutSink) Put(ctx context.Context, d ocispec.Descriptor, open func(offset int64) (io.ReadCloser, error)) error {
	if err := document.CheckDescriptor(d); err != nil {
		return err
	}
	dir, err := s.dir.mkdir(path.Dir(blobName(d.Digest)))
	if err != nil {
		return err
	}
	defer dir.Close() // written by name
	t, err := newDraft(dir)
	if err != nil {
		return err
	}
	in, err := transport.NewIncoming(d, t)
	if err == nil {
		err = in.Receive(ctx, open)
	}
	if err != nil {
		t.discard()
		return err
	}
	return t.publish(d.Digest.Encoded())
}

// Finish implements transport.Sink.
func (s *layoutSink) Finish(ctx context.Context, root ocispec.Descriptor) error {
	if has, err := s.Has(ctx, root); err != nil || !has {
		return errors.Join(err, fmt.Errorf("%q: %s is not there", s.dir.Name(), root.Digest))
	}
	return s.locked(ctx, func() error {
		doc, err := readIndex(s.dir)
		if err != nil {
			return err
		}
		raw, err := edited(doc, s.name, root)
		if err != nil {
			return err
		}
		return s.write(ocispec.ImageIndexFile, raw)
	})
}

// Close implements Sink. Blobs stay, for the next attempt.
func (s *layoutSink) Close() error { return s.dir.Close() }

// locked calls do while no other one of us changes the layout. It asks for the
// lock again and again: a blocked flock(2) cannot be told that ctx is done.
func (s *layoutSink) locked(ctx context.Context, do func() error) error {
	// A description of its own: the lock is no lock within one.
	f, err := s.dir.openAt(".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer f.Close() // and with it the lock
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return do()
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("cannot lock %q: %w", s.dir.Name(), err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("waiting for the lock of %q: %w", s.dir.Name(), context.Cause(ctx))
		}
	}
}
