// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"berth/image/document"
	"berth/image/transport"
)

// blobName is where a blob is, below the root. The digest was validated: it is
// two words without a slash.
func blobName(d digest.Digest) string {
	return ocispec.ImageBlobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded()
}

// Blob opens a blob or document for reading; the caller closes it. It is a
// regular file of the descriptor's size; its contents are for the caller to
// verify while reading. The error is ErrNotExist, or ErrDamaged for another size
// or something that is no file.
func (s *Store) Blob(d ocispec.Descriptor) (*os.File, error) {
	if err := s.use(context.Background()); err != nil {
		return nil, err
	}
	return s.openBlob(d)
}

// openBlob is Blob without a lease.
func (s *Store) openBlob(d ocispec.Descriptor) (*os.File, error) {
	if err := document.CheckDescriptor(d); err != nil {
		return nil, err
	}
	f, st, err := openRegular(s.root, blobName(d.Digest))
	if err != nil {
		return nil, blobError(d.Digest, err)
	}
	if st.Size != d.Size {
		_ = f.Close() // only looked at
		return nil, fmt.Errorf("%s: %d bytes, and the descriptor says %d: %w", d.Digest, st.Size, d.Size, ErrDamaged)
	}
	return f, nil
}

func blobError(d digest.Digest, err error) error {
	var errno unix.Errno
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%s: %w", d, ErrNotExist)
	case errors.As(err, &errno) && errno != unix.ELOOP && errno != unix.EISDIR:
		return fmt.Errorf("cannot open blob %s: %w", d, hint(err))
	}
	return fmt.Errorf("%s: %w: %w", d, err, ErrDamaged)
}

// has says whether a blob of the right size is there. Something else in its place
// is an error, unless it is a file, which may be replaced.
func (s *Store) has(d ocispec.Descriptor) (bool, error) {
	if err := document.CheckDescriptor(d); err != nil {
		return false, err
	}
	var st unix.Stat_t
	err := unix.Fstatat(int(s.root.Fd()), blobName(d.Digest), &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err == nil {
		err = checkRegular(&st)
	}
	if err != nil {
		return false, blobError(d.Digest, err)
	}
	return st.Size == d.Size, nil
}

// Document returns a document or image config, of at most document.MaxSize bytes
// and verified.
func (s *Store) Document(d ocispec.Descriptor) ([]byte, error) {
	if err := s.use(context.Background()); err != nil {
		return nil, err
	}
	return s.document(d)
}

// document is Document without a lease.
func (s *Store) document(d ocispec.Descriptor) ([]byte, error) {
	if d.Size > document.MaxSize {
		return nil, fmt.Errorf("%s: %d bytes; a document has at most %d", d.Digest, d.Size, document.MaxSize)
	}
	f, err := s.openBlob(d)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	raw, err := io.ReadAll(io.LimitReader(f, d.Size+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read blob %s: %w", d.Digest, err)
	}
	if err := document.Verify(raw, d); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	return raw, nil
}

// RemoveBlob removes a blob that Verify found to be damaged, so that the next
// pull brings it again. A blob that is not there is no error.
func (s *Store) RemoveBlob(d digest.Digest) error {
	if err := document.CheckDescriptor(ocispec.Descriptor{Digest: d}); err != nil {
		return err
	}
	err := s.use(context.Background())
	if err == nil {
		err = unix.Unlinkat(int(s.root.Fd()), blobName(d), 0)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("cannot remove blob %s: %w", d, hint(err))
	}
	return nil
}

// put stores a blob, unless it is there.
func (s *Store) put(ctx context.Context, d ocispec.Descriptor, open func(offset int64) (io.ReadCloser, error)) error {
	if err := s.use(ctx); err != nil {
		return err
	}
	p, err := s.ingest(ctx, d)
	if err != nil || p == nil {
		return hint(err)
	}
	defer p.file.Close() // and with it the lock
	resumed := p.incoming.Offset > 0
	err = p.incoming.Receive(ctx, open)
	if resumed && errors.Is(err, transport.ErrContents) {
		// What an earlier process left may be what is wrong, after a power cut.
		if err = p.restart(); err == nil {
			err = p.incoming.Receive(ctx, open)
		}
	}
	if err == nil {
		err = p.publish()
	}
	if err != nil && !p.worthKeeping(err) {
		_ = unix.Unlinkat(int(s.dirs[partialDir].Fd()), p.name, 0) // the first error is the one to tell
	}
	if err != nil {
		return fmt.Errorf("cannot store %w", hint(err))
	}
	return nil
}

// partial is a blob on its way into the store, and locked.
type partial struct {
	s        *Store
	name     string
	file     *os.File
	incoming *transport.Incoming
}

// ingest opens the partial file of a blob, with what an earlier process left in
// it, or waits for the process that is writing it. It returns nil if the blob is
// there.
func (s *Store) ingest(ctx context.Context, d ocispec.Descriptor) (*partial, error) {
	if has, err := s.has(d); has || err != nil {
		return nil, err
	}
	name := d.Digest.Algorithm().String() + "-" + d.Digest.Encoded()
	f, err := s.lockPartial(ctx, name)
	if err != nil {
		return nil, err
	}
	if has, err := s.has(d); has || err != nil {
		s.dropPartial(name, f)
		return nil, err
	}
	p := &partial{s: s, name: name, file: f}
	if err := p.resume(ctx, d); err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return p, nil
}

// resume reads what is there, for the hash.
func (p *partial) resume(ctx context.Context, d ocispec.Descriptor) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(p.file.Fd()), &st); err != nil {
		return err
	}
	if err := checkRegular(&st); err != nil {
		return fmt.Errorf("%q: %w", p.file.Name(), err)
	}
	in, err := transport.NewIncoming(d, p.file)
	if err != nil {
		return err
	}
	p.incoming = in
	if st.Size > d.Size {
		return p.restart()
	}
	in.Offset, err = io.Copy(in.Hash, interruptible{ctx, p.file})
	return err
}

// restart forgets what is there.
func (p *partial) restart() error {
	in, err := transport.NewIncoming(p.incoming.Descriptor, p.file)
	if err == nil {
		err = p.file.Truncate(0)
	}
	if err == nil {
		_, err = p.file.Seek(0, io.SeekStart)
	}
	p.incoming = in
	return err
}

// publish makes the verified file a blob. The contents are on disk before the
// name is; the name is there before index.json has it, as file systems with a
// journal keep the order of renames.
func (p *partial) publish() error {
	d := p.incoming.Descriptor.Digest
	if err := p.file.Sync(); err != nil {
		return fmt.Errorf("%s: %w", d, err)
	}
	blobs, err := p.s.mkdir(p.s.dirs["blobs"], d.Algorithm().String(), private)
	if err != nil {
		return fmt.Errorf("%s: %w", d, err)
	}
	defer blobs.Close() // only looked at
	if err := unix.Renameat(int(p.s.dirs[partialDir].Fd()), p.name, int(blobs.Fd()), d.Encoded()); err != nil {
		return fmt.Errorf("%s: cannot rename %q: %w", d, p.file.Name(), err)
	}
	return nil
}

// worthKeeping says whether a later process can go on after this error: not if
// the bytes are wrong, or take the last of the disk.
func (p *partial) worthKeeping(err error) bool {
	for _, fatal := range []error{transport.ErrContents, unix.ENOSPC, unix.EDQUOT, unix.EIO} {
		if errors.Is(err, fatal) {
			return false
		}
	}
	return p.incoming != nil && p.incoming.Offset > 0
}

// interruptible is a reader that ends when ctx is done.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i interruptible) Read(p []byte) (int, error) {
	if i.ctx.Err() != nil {
		return 0, context.Cause(i.ctx)
	}
	return i.r.Read(p)
}
