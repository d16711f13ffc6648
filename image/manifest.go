// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
)

// loaded is an image of the store for one platform, read and checked.
type loaded struct {
	manifest *document.Document
	config   *document.Config
}

// load reads the manifest and config of an image that is to be unpacked or
// changed.
func (t *Tool) load(ctx context.Context, s string, platform *ocispec.Platform) (*loaded, error) {
	_, d, err := t.find(ctx, s)
	if err != nil {
		return nil, err
	}
	return t.loadDescriptor(s, d, platform)
}

func (t *Tool) loadDescriptor(s string, d ocispec.Descriptor, platform *ocispec.Platform) (*loaded, error) {
	want := document.HostPlatform()
	if platform != nil {
		want = *platform
	}
	const maxDepth = 4 // of indexes within indexes
	for depth := range maxDepth {
		raw, err := t.store.Document(d)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", s, err)
		}
		doc, err := document.Parse(raw, d)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", s, err)
		}
		if doc.Manifest != nil {
			img, err := t.loadConfig(s, doc)
			if err == nil && depth == 0 && platform != nil { // an index was asked by Select
				err = img.runsOn(s, want)
			}
			return img, err
		}
		if d, err = document.Select(doc.Index, want); err != nil {
			return nil, fmt.Errorf("image %s: %w", s, err)
		}
	}
	return nil, fmt.Errorf("image %s: indexes within indexes within indexes", s)
}

// runsOn says whether the image is for a platform that somebody asked for.
func (l *loaded) runsOn(s string, want ocispec.Platform) error {
	if have := l.config.Platform; document.Rank(have, want) < 0 {
		return fmt.Errorf("image %s: %w %s: it is for %s only (hint: --platform)", s, document.ErrNoPlatform,
			document.FormatPlatform(want), document.FormatPlatform(have))
	}
	return nil
}

func (t *Tool) loadConfig(s string, doc *document.Document) (*loaded, error) {
	if !document.IsConfig(doc.Manifest.Config.MediaType) {
		return nil, fmt.Errorf("image %s: config is of type %q: %w", s, doc.Manifest.Config.MediaType, document.ErrNotImage)
	}
	raw, err := t.store.Document(doc.Manifest.Config)
	if err != nil {
		return nil, fmt.Errorf("image %s: config: %w", s, err)
	}
	config, err := document.ParseConfig(raw)
	if err == nil {
		err = document.CheckImage(doc.Manifest, config)
	}
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", s, err)
	}
	return &loaded{doc, config}, nil
}
