// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
	"berth/image/store"
)

// Summary is a line of list.
type Summary struct {
	Name     string        `json:"name"`
	Digest   digest.Digest `json:"digest"`
	Platform string        `json:"platform"` // "index" for several, "artifact" for none
	Size     int64         `json:"size"`     // of the blobs, in bytes
	Created  *time.Time    `json:"created,omitempty"`
}

// List describes the images of the store, by name. One that cannot be read has
// only its name and digest, and is in the error.
func (t *Tool) List() ([]Summary, error) {
	images, err := t.store.Images()
	if err != nil {
		return nil, err
	}
	var all []Summary
	var bad error
	for _, n := range images {
		s := Summary{Name: n.Name, Digest: n.Descriptor.Digest}
		if document.IsIndex(n.Descriptor.MediaType) {
			s.Platform, s.Size = "index", n.Descriptor.Size
		} else if img, err := t.loadDescriptor(n.Name, n.Descriptor, nil); err == nil {
			s.describe(img)
		} else if errors.Is(err, document.ErrNotImage) {
			s.Platform = "artifact"
		} else {
			bad = errors.Join(bad, err)
		}
		all = append(all, s)
	}
	return all, bad
}

func (s *Summary) describe(img *loaded) {
	s.Platform, s.Created = document.FormatPlatform(img.config.Platform), img.config.Created
	s.Size = img.manifest.Descriptor.Size
	for _, d := range img.manifest.Children() {
		s.Size += d.Size
	}
}

// Inspection is what inspect prints: the documents as they are.
type Inspection struct {
	Name       string             `json:"name"`
	Descriptor ocispec.Descriptor `json:"descriptor"`
	Index      json.RawMessage    `json:"index,omitempty"`
	Manifest   json.RawMessage    `json:"manifest,omitempty"`
	Config     json.RawMessage    `json:"config,omitempty"`
}

// Inspect reads the documents of an image of the store. Of an index without an
// image for the platform, only that is there.
func (t *Tool) Inspect(ctx context.Context, s string, platform *ocispec.Platform) (*Inspection, error) {
	_, d, err := t.find(ctx, s)
	if err != nil {
		return nil, err
	}
	i := &Inspection{Name: s, Descriptor: d}
	if full, err := name(s); err == nil {
		i.Name = full
	}
	raw, err := t.store.Document(d)
	if err != nil {
		return nil, err
	}
	if document.IsIndex(d.MediaType) {
		i.Index = raw
	} else {
		i.Manifest = raw
	}
	img, err := t.loadDescriptor(s, d, platform)
	if err == nil {
		i.Manifest, i.Config = img.manifest.Raw, img.config.Raw
	} else if i.Index == nil && !errors.Is(err, document.ErrNotImage) || platform != nil {
		return nil, err
	}
	return i, nil
}

// Tag gives an image of the store another name.
func (t *Tool) Tag(ctx context.Context, from, to string) (string, error) {
	_, d, err := t.find(ctx, from)
	if err != nil {
		return "", err
	}
	full, err := name(to)
	if err != nil {
		return "", err
	}
	return full, t.store.Tag(full, d)
}

// Remove takes names away; what nothing else uses goes with the next GC.
func (t *Tool) Remove(ctx context.Context, names ...string) error {
	var failed error
	for _, s := range names {
		failed = errors.Join(failed, t.remove(ctx, s))
	}
	return failed
}

func (t *Tool) remove(ctx context.Context, s string) error {
	full, err := name(s)
	if err == nil {
		if err = t.store.Untag(full); !errors.Is(err, store.ErrNotExist) {
			return err
		}
	}
	// By digest: all its names.
	_, d, found := t.find(ctx, s)
	if found != nil {
		return found
	}
	images, err := t.store.Images()
	if err != nil {
		return err
	}
	for _, n := range images {
		if n.Descriptor.Digest == d.Digest {
			err = errors.Join(err, t.store.Untag(n.Name))
		}
	}
	return err
}

// Verify reads everything again. With repair, damaged blobs are removed, so that
// the next pull brings them again.
func (t *Tool) Verify(ctx context.Context, repair bool, tell func(store.Checked)) error {
	var bad []digest.Digest
	err := t.store.Verify(ctx, func(c store.Checked) {
		if c.Err != nil && !errors.Is(c.Err, store.ErrNotExist) {
			bad = append(bad, c.Digest)
		}
		tell(c)
	})
	if !repair {
		return err
	}
	for _, d := range bad {
		if removed := t.store.RemoveBlob(d); removed != nil {
			return fmt.Errorf("%s: %w", d, removed)
		}
	}
	return err
}
