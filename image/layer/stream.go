// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"bufio"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"berth/image/document"
)

const (
	// A stream has this many blocks in flight, so that decompression goes on
	// while files are written.
	streamBlocks = 6
	blockSize    = 256 << 10
	// maxWindow bounds a zstd frame's memory; the format recommends that
	// readers support 8 MiB, and encoders make up to 128 MiB.
	maxWindow = 128 << 20
)

// Decompress reads a layer's tar. The work is done ahead in a goroutine, which
// ends at r's end or with Close; Close waits for a Read of r that is under way.
// r stays the caller's.
func Decompress(r io.Reader, c document.Compression) (io.ReadCloser, error) {
	return newStream(r, c, nil, nil)
}

// block is a part of the tar. It is free again when nobody uses it.
type block struct {
	data  []byte
	users atomic.Int32
	space [blockSize]byte
}

// stream hands blocks from the goroutine that decompresses to the reader, and
// to one that hashes if there is something to hash with:
//
//	free ──► fill ──► full ──► Read ──┐
//	 ▲        └────► hashed ─► hash ──┤
//	 └────────────────────────────────┘
type stream struct {
	free, full, tap chan *block
	stop            chan struct{}
	filled, hashed  chan struct{} // closed at the goroutines' ends
	size            int64         // of the tar so far; readable once filled is closed
	now             *block
	left            []byte
	err             error // of fill; readable once full is closed
	stopped         bool
}

// newStream decompresses r. sum may be nil; it has all of the tar once the
// stream was closed after io.EOF. check, which may be nil, is told how many
// bytes came out so far.
func newStream(r io.Reader, c document.Compression, sum hash.Hash, check func(int64) error) (*stream, error) {
	s := &stream{
		free: make(chan *block, streamBlocks), full: make(chan *block, streamBlocks), tap: make(chan *block, streamBlocks),
		stop: make(chan struct{}), filled: make(chan struct{}), hashed: make(chan struct{}),
	}
	if c != document.Uncompressed && c != document.Gzip && c != document.Zstd {
		return nil, refuse("compression %q is not supported", c)
	}
	users := int32(1)
	if sum != nil {
		users = 2
	}
	for range streamBlocks {
		s.free <- new(block)
	}
	go s.hash(sum)
	go s.fill(r, c, users, check)
	return s, nil
}

// fill is the goroutine that decompresses.
func (s *stream) fill(r io.Reader, c document.Compression, users int32, check func(int64) error) {
	defer close(s.filled)
	defer close(s.full)
	defer close(s.tap)
	source, closeSource, err := open(sourceReader{r}, c)
	if err != nil {
		s.err = err
		return
	}
	defer closeSource()
	for {
		var b *block
		select {
		case b = <-s.free:
		case <-s.stop:
			return
		}
		n, err := io.ReadFull(source, b.space[:])
		if s.size += int64(n); n > 0 {
			b.data = b.space[:n]
			b.users.Store(users)
			if users == 2 {
				s.tap <- b
			}
			s.full <- b // has room for all blocks
		}
		if (err == nil || errors.Is(err, io.EOF)) && check != nil {
			if checkErr := check(s.size); checkErr != nil {
				err = checkErr
			}
		}
		if err == nil {
			continue
		}
		if !isEnd(err, n) {
			s.err = decompressError(err, c)
		}
		return
	}
}

// isEnd tells io.ReadFull's own error about a last block that is not full from
// a source that was cut.
func isEnd(err error, n int) bool {
	return err == io.EOF || err == io.ErrUnexpectedEOF && n > 0 // of io.ReadFull, unwrapped
}

func decompressError(err error, c document.Compression) error {
	var s sourceError
	if errors.As(err, &s) {
		return s.error
	}
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return damaged(fmt.Errorf("%s: %w", c, err))
}

// open finds the decompressor. A damaged stream must not look like io.ReadFull
// at its end.
func open(r io.Reader, c document.Compression) (io.Reader, func(), error) {
	switch c {
	case document.Gzip:
		z, err := gzip.NewReader(bufio.NewReaderSize(r, blockSize))
		if err != nil {
			return nil, nil, decompressError(cut(err), c)
		}
		return cutReader{z}, func() {}, nil
	case document.Zstd:
		// One goroutine is enough beside those that hash and write.
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, decompressError(cut(err), c)
		}
		return cutReader{z}, z.Close, nil
	}
	return r, func() {}, nil
}

// sourceReader marks what the reader of the compressed stream says, as opposed
// to what is wrong with the data.
type sourceReader struct{ r io.Reader }

type sourceError struct{ error }

func (e sourceError) Unwrap() error { return e.error }

func (s sourceReader) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		err = sourceError{err}
	}
	return n, err
}

var errCut = errors.New("the stream ends too early")

// cut renames the error that io.ReadFull uses itself.
func cut(err error) error {
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		return errCut
	}
	return err
}

type cutReader struct{ r io.Reader }

func (c cutReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if err != nil && err != io.EOF {
		err = cut(err)
	}
	return n, err
}

// hash is the goroutine that hashes.
func (s *stream) hash(sum hash.Hash) {
	defer close(s.hashed)
	for b := range s.tap {
		_, _ = sum.Write(b.data) // never fails, hash.Hash
		s.release(b)
	}
}

func (s *stream) release(b *block) {
	if b.users.Add(-1) == 0 {
		s.free <- b // has room for all blocks
	}
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	if len(s.left) == 0 {
		if s.now != nil {
			s.release(s.now)
			s.now = nil
		}
		b, ok := <-s.full
		if !ok || s.stopped {
			if s.err != nil {
				return 0, s.err
			}
			return 0, io.EOF
		}
		s.now, s.left = b, b.data
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	return n, nil
}

// Close ends the goroutines, and waits for them.
func (s *stream) Close() error {
	if s.stopped {
		return nil
	}
	s.stopped = true
	close(s.stop)
	<-s.filled
	<-s.hashed
	s.left = nil
	return nil
}
