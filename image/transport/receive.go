// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
)

// ErrContents is for bytes that are not what their descriptor says: too many or
// too few of them, or others.
var ErrContents = errors.New("not what the descriptor says")

// Bounds of trying again: a source that breaks off early each time still ends
// the download, and so does one that sends a byte and breaks off.
const (
	maxIdle   = 5   // attempts in a row that brought nothing
	maxTries  = 100 // attempts in all
	firstWait = 250 * time.Millisecond
	lastWait  = 8 * time.Second
	maxAfter  = 120 // seconds; who asks for more does not want us
)

// Incoming is a blob that is on its way to a sink: the part that is there, and
// where the rest goes. NewIncoming makes one of which nothing is there.
type Incoming struct {
	Descriptor ocispec.Descriptor
	Writer     io.Writer // gets the bytes from Offset on, each once
	Hash       hash.Hash // has seen the bytes before Offset
	Offset     int64     // bytes that are there
}

// NewIncoming is for a blob of which nothing is there. It fails for a
// descriptor that must not be acted on.
func NewIncoming(d ocispec.Descriptor, w io.Writer) (*Incoming, error) {
	if err := document.CheckDescriptor(d); err != nil {
		return nil, err
	}
	return &Incoming{Descriptor: d, Writer: w, Hash: d.Digest.Algorithm().Hash()}, nil
}

// Receive reads what is missing and verifies size and digest of the whole: what
// a Sink's Put is made of. If open or its reader fails with a Temporary error,
// or the reader ends early, open is called again at the offset that was reached,
// after a pause that grows while no bytes come, and a bounded number of times.
// After an error, in holds what was received, unless it is ErrContents.
func (in *Incoming) Receive(ctx context.Context, open func(offset int64) (io.ReadCloser, error)) error {
	var buf []byte
	for idle, tries := 0, 1; in.Offset < in.Descriptor.Size; tries++ {
		if buf == nil {
			buf = make([]byte, min(in.Descriptor.Size+1, 256<<10))
		}
		before := in.Offset
		err := in.attempt(ctx, open, buf)
		if err == nil {
			break
		}
		if idle++; in.Offset > before {
			idle = 0
		}
		wait, again := pause(err, idle)
		if !again || tries >= maxTries || ctx.Err() != nil {
			return in.say(err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return in.say(context.Cause(ctx))
		}
	}
	if got := digest.NewDigest(in.Descriptor.Digest.Algorithm(), in.Hash); got != in.Descriptor.Digest {
		return fmt.Errorf("%s: the contents have the digest %s: %w", in.Descriptor.Digest, got, ErrContents)
	}
	return nil
}

func (in *Incoming) say(err error) error {
	return fmt.Errorf("%s: at byte %d of %d: %w", in.Descriptor.Digest, in.Offset, in.Descriptor.Size, err)
}

// pause says how long to wait before another attempt, and whether one makes
// sense. A reader that ends early without a byte would do so again.
func pause(err error, idle int) (wait time.Duration, again bool) {
	if idle >= maxIdle {
		return 0, false
	}
	wait = min(firstWait<<idle, lastWait)
	var t Temporary
	switch {
	case errors.As(err, &t) && t.RetryAfter() > maxAfter:
		return 0, false
	case errors.As(err, &t) && t.RetryAfter() > 0:
		return time.Duration(t.RetryAfter()) * time.Second, true
	case errors.As(err, &t):
		return wait, true
	}
	return wait, idle == 0 && errors.Is(err, errShort)
}

// errShort is for a reader that ends early.
var errShort = fmt.Errorf("the source has no more bytes: %w", ErrContents)

// attempt opens the source once and reads to the end, or to an error.
func (in *Incoming) attempt(ctx context.Context, open func(int64) (io.ReadCloser, error), buf []byte) error {
	r, err := open(in.Offset)
	if err != nil {
		return err
	}
	defer r.Close() // only read from
	for empty := 0; ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := r.Read(buf)
		missing := in.Descriptor.Size - in.Offset
		if int64(n) > missing {
			return fmt.Errorf("the source has more bytes: %w", ErrContents)
		}
		if err := in.take(buf[:n]); err != nil {
			return err
		}
		if empty++; n > 0 {
			empty = 0
		}
		switch {
		case in.Offset == in.Descriptor.Size && err != nil:
			return nil // whatever the error is: the digest tells
		case errors.Is(err, io.EOF):
			return errShort
		case err != nil:
			return err
		case empty > 100:
			return io.ErrNoProgress
		}
	}
}

func (in *Incoming) take(data []byte) error {
	n, err := in.Writer.Write(data)
	in.Hash.Write(data[:n]) // never fails, see hash.Hash
	in.Offset += int64(n)
	return err
}
