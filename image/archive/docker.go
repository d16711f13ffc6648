// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
)

// dockerManifest lists the images of an archive of `docker save`.
const dockerManifest = "manifest.json"

// saved is an entry of manifest.json: names of members of the archive.
type saved struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// Bounds of manifest.json.
const (
	maxSaved       = 10_000
	maxSavedLayers = 1000 // no file system can have so many layers mounted
)

// errNotDocker is for a manifest.json of something else.
var errNotDocker = errors.New("its manifest.json is not of docker save")

// openDocker prepares the image with the name: of RepoTags, the digest of a
// config (docker's image ID), or "" for the only one.
func (s *Source) openDocker(name string) error {
	images, err := readSaved(s.files)
	if err != nil {
		return err
	}
	var d ocispec.Descriptor
	image, err := s.findSaved(images, name)
	if err == nil {
		d, err = s.describe(image)
	}
	if len(image.RepoTags) > 0 {
		s.saved = image.RepoTags[0]
	}
	s.root = func() (ocispec.Descriptor, error) { return d, err } // as with an index, Resolve tells
	return nil
}

func readSaved(in files) ([]saved, error) {
	raw, err := read(in, dockerManifest, document.MaxSize)
	if err != nil {
		return nil, err
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotDocker, err)
	}
	if len(entries) > maxSaved {
		return nil, fmt.Errorf("%s: %d images; at most %d are possible", dockerManifest, len(entries), maxSaved)
	}
	var images []saved
	for i, e := range entries {
		var image saved
		if err := json.Unmarshal(e, &image); err != nil {
			return nil, fmt.Errorf("%w: [%d]: %w", errNotDocker, i, err)
		}
		switch {
		case image.Config == "":
			return nil, fmt.Errorf("%w: [%d] has no Config", errNotDocker, i)
		case len(image.Layers) > maxSavedLayers:
			return nil, fmt.Errorf("%s: [%d] has %d layers; at most %d are possible", dockerManifest, i, len(image.Layers), maxSavedLayers)
		}
		images = append(images, image)
	}
	return images, nil
}

func (s *Source) findSaved(images []saved, name string) (saved, error) {
	var found []saved
	var tags []string
	for _, image := range images {
		for _, t := range image.RepoTags {
			if len(tags) < 10 {
				tags = append(tags, fmt.Sprintf("%.100q", t))
			}
		}
		if name == "" || slices.ContainsFunc(image.RepoTags, func(t string) bool { return sameImage(name, t) }) {
			found = append(found, image)
		} else if d, err := digest.Parse(name); err == nil {
			if raw, err := read(s.files, image.Config, document.MaxSize); err == nil && d.Algorithm().FromBytes(raw) == d {
				found = append(found, image)
			}
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(images) == 0:
		return saved{}, errors.New("there is no image in it")
	case len(found) == 0:
		return saved{}, fmt.Errorf("there is no image %q (hint: there are %s)", name, strings.Join(tags, ", "))
	}
	return saved{}, fmt.Errorf("there is more than one image (hint: add :NAME to the path, of %s)", strings.Join(tags, ", "))
}

// describe makes a manifest for the image, and notes where its blobs are. The
// descriptor of an uncompressed layer is made of what the config says, without
// reading it: whoever fetches it verifies it.
func (s *Source) describe(image saved) (ocispec.Descriptor, error) {
	var none ocispec.Descriptor
	raw, err := read(s.files, image.Config, document.MaxSize)
	if err != nil {
		return none, err
	}
	config, err := document.ParseConfig(raw)
	if err != nil {
		return none, fmt.Errorf("%s: %w", image.Config, err)
	}
	if len(image.Layers) != len(config.RootFS.DiffIDs) {
		return none, fmt.Errorf("%d layers, but rootfs.diff_ids of %s has %d", len(image.Layers), image.Config, len(config.RootFS.DiffIDs))
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: document.Describe(ocispec.MediaTypeImageConfig, raw), Layers: []ocispec.Descriptor{},
	}
	s.names = map[digest.Digest]string{m.Config.Digest: image.Config}
	hashed := map[string]ocispec.Descriptor{}
	for i, name := range image.Layers {
		d, known := hashed[name]
		if !known {
			if d, err = s.describeLayer(name, config.RootFS.DiffIDs[i]); err != nil {
				return none, fmt.Errorf("layer %d: %w", i, err)
			}
			if d.MediaType != ocispec.MediaTypeImageLayer { // what is the same file has the same digest
				hashed[name] = d
			}
		}
		m.Layers = append(m.Layers, d)
		s.names[d.Digest] = name
	}
	manifest, err := json.Marshal(m)
	if err != nil {
		return none, err
	}
	d := document.Describe(m.MediaType, manifest)
	s.made = map[digest.Digest][]byte{d.Digest: manifest}
	return d, nil
}

// layerTypes are the media types for what a layer's file may be.
var layerTypes = map[document.Compression]string{
	document.Uncompressed: ocispec.MediaTypeImageLayer,
	document.Gzip:         ocispec.MediaTypeImageLayerGzip,
	document.Zstd:         ocispec.MediaTypeImageLayerZstd,
}

func (s *Source) describeLayer(name string, diffID digest.Digest) (ocispec.Descriptor, error) {
	f, err := s.files.open(name)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer f.close() // only read from
	compression, err := sniff(f)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w", name, err)
	}
	d := ocispec.Descriptor{MediaType: layerTypes[compression], Digest: diffID, Size: f.size}
	if compression != document.Uncompressed {
		d.Digest, err = digest.FromReader(io.NewSectionReader(f, 0, f.size))
	}
	return d, err
}
