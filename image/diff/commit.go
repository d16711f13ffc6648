// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
)

// Image is the two documents of an image, byte by byte.
type Image struct {
	Manifest, Config []byte
}

// Step is what one commit adds to an image.
type Step struct {
	// Layer is the new one, as the function of that name describes it; nil if
	// nothing changed.
	Layer  *ocispec.Descriptor
	DiffID digest.Digest
	Edits  Edits
	// Created is the time of the image and of its history's entry; the zero value
	// leaves both out.
	Created                    time.Time
	CreatedBy, Author, Comment string
	// NoHistory leaves out the entry in the history, if there is no layer.
	NoHistory bool
}

// Commit makes a new image of an old one. Members that it does not know stay as
// they are, and so does the kind of media types, OCI's or Docker's.
func Commit(base Image, s Step) (Image, error) {
	m, c, err := base.parse()
	if err != nil {
		return Image{}, fmt.Errorf("the old image: %w", err)
	}
	config, err := s.config(base.Config, c)
	if err != nil {
		return Image{}, fmt.Errorf("image config: %w", err)
	}
	manifest, err := s.manifest(base.Manifest, m, config)
	if err != nil {
		return Image{}, fmt.Errorf("manifest: %w", err)
	}
	image := Image{manifest, config}
	if _, _, err := image.parse(); err != nil { // too large, for example
		return Image{}, fmt.Errorf("the new image: %w", err)
	}
	return image, nil
}

// parse reads both documents and checks that they belong together.
func (i Image) parse() (*ocispec.Manifest, *document.Config, error) {
	d, err := document.Parse(i.Manifest, document.Describe("", i.Manifest))
	if err == nil && d.Manifest == nil {
		err = errors.New("this is an index, not a manifest")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("manifest: %w", err)
	}
	if err := document.Verify(i.Config, d.Manifest.Config); err != nil {
		return nil, nil, fmt.Errorf("image config: %w", err)
	}
	c, err := document.ParseConfig(i.Config)
	if err == nil {
		err = document.CheckImage(d.Manifest, c)
	}
	return d.Manifest, c, err
}

func (s Step) config(raw []byte, c *document.Config) ([]byte, error) {
	o, err := parseObject(raw)
	if err != nil {
		return nil, err
	}
	if !s.Created.IsZero() {
		o.set("created", quote(s.Created.UTC().Format(time.RFC3339Nano)))
	}
	if err := s.Edits.apply(o); err != nil {
		return nil, err
	}
	if s.Layer == nil && s.NoHistory {
		return o.bytes(), nil
	}
	if s.Layer != nil {
		err := o.nested("rootfs", func(rootfs *object) error { return push(rootfs, "diff_ids", quote(s.DiffID.String())) })
		if err != nil {
			return nil, err
		}
	}
	err = s.history(o, c)
	return o.bytes(), err
}

// history adds the entry of this step. An image with layers and no history gets
// empty ones before it: readers count them, image-spec config.md.
func (s Step) history(o *object, c *document.Config) error {
	have := 0
	for _, h := range c.History {
		if !h.EmptyLayer {
			have++
		}
	}
	for ; have < len(c.RootFS.DiffIDs); have++ {
		if err := push(o, "history", json.RawMessage("{}")); err != nil {
			return err
		}
	}
	h := ocispec.History{CreatedBy: s.CreatedBy, Author: s.Author, Comment: s.Comment, EmptyLayer: s.Layer == nil}
	if !s.Created.IsZero() {
		t := s.Created.UTC()
		h.Created = &t
	}
	entry, err := encode(h)
	if err != nil {
		return err
	}
	return push(o, "history", entry)
}

func (s Step) manifest(raw []byte, m *ocispec.Manifest, config []byte) ([]byte, error) {
	o, err := parseObject(raw)
	if err != nil {
		return nil, err
	}
	err = o.nested("config", func(d *object) error {
		d.set("digest", quote(digest.FromBytes(config).String()))
		d.set("size", json.RawMessage(fmt.Sprint(len(config))))
		d.remove("data") // was the old one's contents
		return nil
	})
	if err != nil || s.Layer == nil {
		return o.bytes(), err
	}
	c, err := document.CompressionOf(s.Layer.MediaType)
	if err != nil {
		return nil, err
	}
	layer := *s.Layer
	layer.MediaType = layerType(isDocker(m), c)
	entry, err := encode(layer)
	if err == nil {
		err = push(o, "layers", entry)
	}
	return o.bytes(), err
}

// push appends to an array that is a member.
func push(o *object, name string, item json.RawMessage) error {
	list, err := items(o.get(name))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	o.set(name, array(append(list, item)))
	return nil
}

// isDocker says in whose media types a manifest speaks. It may leave its own
// out; its config always has one.
func isDocker(m *ocispec.Manifest) bool {
	return m.MediaType == document.DockerManifest || m.MediaType == "" && m.Config.MediaType == document.DockerConfig
}

// layerType is the reverse of document.CompressionOf.
func layerType(docker bool, c document.Compression) string {
	base, dot := ocispec.MediaTypeImageLayer, "+"
	if docker {
		base, dot = document.DockerLayer, "."
	}
	if c == document.Uncompressed {
		return base
	}
	return base + dot + string(c)
}
