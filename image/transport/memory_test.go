// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
)

// temporary is an error that may pass.
type temporary struct{ after int }

func (temporary) Error() string     { return "busy" }
func (t temporary) RetryAfter() int { return t.after }

var errAbsent = errors.New("no such blob")

// memory is a source and a sink.
type memory struct {
	root ocispec.Descriptor

	mu    sync.Mutex
	blobs map[digest.Digest][]byte
	order []digest.Digest // of Put
	named []ocispec.Descriptor
	opens []int64 // offsets of Fetch

	// faults: what Fetch does in place of the right thing, once each, by digest.
	faults map[digest.Digest][]fault
	// most is how many Puts there were at a time.
	running, most int
}

// fault is what one Fetch does.
type fault struct {
	err   error // of Fetch, if there is no limit
	limit int   // bytes, then err, or EOF if that is nil
	hang  bool  // until the context is done
	wrong bool  // other bytes
	more  bool  // bytes than there are
}

func newMemory() *memory {
	return &memory{blobs: map[digest.Digest][]byte{}, faults: map[digest.Digest][]fault{}}
}

// add stores a blob; the descriptor is its.
func (m *memory) add(mediaType, contents string) ocispec.Descriptor {
	d := document.Describe(mediaType, []byte(contents))
	m.blobs[d.Digest] = []byte(contents)
	return d
}

func (m *memory) addJSON(mediaType string, v any) ocispec.Descriptor {
	raw, err := json.MarshalIndent(v, "", "   ") // as nobody else writes it
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return m.add(mediaType, string(raw))
}

// addImage stores an image with layers of these contents.
func (m *memory) addImage(p ocispec.Platform, layers ...string) ocispec.Descriptor {
	c := ocispec.Image{Platform: p, RootFS: ocispec.RootFS{Type: "layers"}}
	man := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest}
	for _, l := range layers {
		man.Layers = append(man.Layers, m.add(ocispec.MediaTypeImageLayer, l))
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, digest.FromString(l))
	}
	man.Config = m.addJSON(ocispec.MediaTypeImageConfig, c)
	d := m.addJSON(man.MediaType, man)
	d.Platform = &p
	return d
}

func (m *memory) addIndex(manifests ...ocispec.Descriptor) ocispec.Descriptor {
	return m.addJSON(ocispec.MediaTypeImageIndex, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: manifests})
}

func (m *memory) Resolve(context.Context) (ocispec.Descriptor, error) { return m.root, nil }

func (m *memory) Fetch(ctx context.Context, d ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opens = append(m.opens, offset)
	raw, ok := m.blobs[d.Digest]
	if !ok {
		return nil, fmt.Errorf("%s: %w", d.Digest, errAbsent)
	}
	rest := raw[offset:]
	f := fault{limit: -1}
	if all := m.faults[d.Digest]; len(all) > 0 {
		f, m.faults[d.Digest] = all[0], all[1:]
	}
	switch {
	case f.hang:
		return io.NopCloser(readerFunc(func([]byte) (int, error) { <-ctx.Done(); return 0, ctx.Err() })), nil
	case f.err != nil && f.limit == 0:
		return nil, f.err
	case f.wrong:
		rest = bytes.Repeat([]byte{'?'}, len(rest))
	case f.more:
		rest = append(slices.Clone(rest), '!')
	case f.limit >= 0:
		head := bytes.NewReader(rest[:min(f.limit, len(rest))])
		return io.NopCloser(readerFunc(func(p []byte) (int, error) {
			n, err := head.Read(p)
			if err != nil && f.err != nil {
				err = f.err
			}
			return n, err
		})), nil
	}
	return io.NopCloser(bytes.NewReader(rest)), nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (m *memory) Has(_ context.Context, d ocispec.Descriptor) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.blobs[d.Digest]
	return ok, nil
}

func (m *memory) Put(ctx context.Context, d ocispec.Descriptor, open func(int64) (io.ReadCloser, error)) error {
	m.mu.Lock()
	m.running++
	m.most = max(m.most, m.running)
	m.mu.Unlock()
	defer func() { m.mu.Lock(); m.running--; m.mu.Unlock() }()
	var raw bytes.Buffer
	in, err := NewIncoming(d, &raw)
	if err == nil {
		err = in.Receive(ctx, open)
	}
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blobs[d.Digest] = raw.Bytes()
	m.order = append(m.order, d.Digest)
	return nil
}

func (m *memory) Finish(_ context.Context, root ocispec.Descriptor) error {
	m.named = append(m.named, root)
	return nil
}

// sameBlobs compares what a sink has with those of the source that are wanted.
func (m *memory) sameBlobs(t *testing.T, src *memory, want ...ocispec.Descriptor) {
	t.Helper()
	expect := map[digest.Digest][]byte{}
	for _, d := range want {
		expect[d.Digest] = src.blobs[d.Digest]
	}
	if !maps.EqualFunc(m.blobs, expect, bytes.Equal) {
		t.Errorf("blobs = %v, want %v", names(m.blobs), names(expect))
	}
}

func names(blobs map[digest.Digest][]byte) string {
	var all []string
	for d := range blobs {
		all = append(all, d.Encoded()[:8])
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// tree is an image's documents and blobs, the root last.
func (m *memory) tree(t *testing.T, d ocispec.Descriptor) []ocispec.Descriptor {
	t.Helper()
	var all []ocispec.Descriptor
	if document.IsIndex(d.MediaType) || document.IsManifest(d.MediaType) {
		doc, err := document.Parse(m.blobs[d.Digest], d)
		if err != nil {
			t.Fatal(err)
		}
		for _, child := range doc.Children() {
			all = append(all, m.tree(t, child)...)
		}
	}
	return append(all, d)
}
