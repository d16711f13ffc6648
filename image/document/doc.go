// SPDX-License-Identifier: Apache-2.0

// Package document reads the JSON documents of an image: manifests, indexes and
// image configs, in OCI's and in Docker's media types. It keeps their raw bytes,
// which alone have the digest, and refuses what two readers could understand
// differently (CVE-2021-41190).
//
//	d, err := document.Parse(raw, descriptor)
//	switch {
//	case d.Index != nil:    desc, err := document.Select(d.Index, platform)
//	case d.Manifest != nil: config, err := document.ParseConfig(rawConfig)
//	}
package document

import (
	// go-digest knows an algorithm only if its package is linked.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// MaxSize is how long a document may be, in bytes: what registries accept.
const MaxSize = 4 << 20

// The media types of Docker's schema 2.
const (
	DockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	DockerIndex        = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerConfig       = "application/vnd.docker.container.image.v1+json"
	DockerLayer        = "application/vnd.docker.image.rootfs.diff.tar"
	DockerLayerGzip    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	DockerLayerZstd    = "application/vnd.docker.image.rootfs.diff.tar.zstd"
	DockerForeignLayer = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

// Layers that may not be passed on begin with one of these; image-spec
// layer.md, "Non-Distributable Layers". The types are deprecated.
const (
	nondistributable = "application/vnd.oci.image.layer.nondistributable.v1.tar"
	dockerForeign    = "application/vnd.docker.image.rootfs.foreign.diff.tar"
)

// ErrNotImage is for a manifest that is no container image: an artifact.
var ErrNotImage = errors.New("this is an artifact, not a container image")

// Document is a manifest or an index; the other one is nil.
type Document struct {
	Raw        []byte
	Descriptor ocispec.Descriptor
	Manifest   *ocispec.Manifest
	Index      *ocispec.Index
}

// IsIndex says whether the media type is an index's.
func IsIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == DockerIndex
}

// IsManifest says whether the media type is a manifest's.
func IsManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == DockerManifest
}

// CheckDescriptor refuses a descriptor that must not be acted on: the digest
// becomes a file's name, and the size bounds what is read.
func CheckDescriptor(d ocispec.Descriptor) error {
	if err := d.Digest.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", d.Digest, err)
	}
	if a := d.Digest.Algorithm(); a != digest.SHA256 && a != digest.SHA512 {
		return fmt.Errorf("digest %q: algorithm %s is not supported", d.Digest, a)
	}
	if d.Size < 0 {
		return fmt.Errorf("%s: size %d", d.Digest, d.Size)
	}
	return nil
}

// shape is what tells a manifest from an index.
type shape struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     string          `json:"mediaType"`
	Config        json.RawMessage `json:"config"`
	Layers        json.RawMessage `json:"layers"`
	Manifests     json.RawMessage `json:"manifests"`
	FSLayers      json.RawMessage `json:"fsLayers"`
}

// Parse checks raw against its descriptor (digest, size, media type) and reads
// it. A descriptor without media type takes the document's. Raw stays the
// document's, which does not change it.
func Parse(raw []byte, d ocispec.Descriptor) (*Document, error) {
	if err := Verify(raw, d); err != nil {
		return nil, err
	}
	var s shape
	if err := decode(raw, &s); err != nil {
		return nil, fmt.Errorf("%s: not a manifest: %w", d.Digest, err)
	}
	mediaType, err := s.mediaType(d.MediaType)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Digest, err)
	}
	d.MediaType = mediaType
	doc := &Document{Raw: raw, Descriptor: d}
	if IsIndex(mediaType) {
		doc.Index = &ocispec.Index{}
		err = decode(raw, doc.Index)
	} else {
		doc.Manifest = &ocispec.Manifest{}
		err = decode(raw, doc.Manifest)
	}
	if err == nil {
		err = doc.check()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Digest, err)
	}
	return doc, nil
}

// mediaType is the document's, which has to be one thing in all places.
func (s *shape) mediaType(claimed string) (string, error) {
	isIndex, isManifest := s.Manifests != nil, s.Config != nil || s.Layers != nil
	t := claimed
	if t == "" {
		t = s.MediaType
	}
	switch {
	case s.FSLayers != nil || s.SchemaVersion == 1:
		return "", errors.New("Docker's schema 1 is not supported (hint: push the image again with any present tool)")
	case s.SchemaVersion != 2 && s.SchemaVersion != 0: // image-spec manifest.md: it may be left out one day
		return "", fmt.Errorf("schemaVersion is %d, not 2", s.SchemaVersion)
	case isIndex && isManifest:
		return "", errors.New("it is a manifest and an index at once")
	case s.MediaType != "" && s.MediaType != t:
		return "", fmt.Errorf("media type %s, but the document says %s", t, s.MediaType)
	case t == "" && isIndex:
		return ocispec.MediaTypeImageIndex, nil
	case t == "" && isManifest:
		return ocispec.MediaTypeImageManifest, nil
	case IsIndex(t) && isIndex, IsManifest(t) && isManifest:
		return t, nil
	case IsIndex(t), IsManifest(t):
		return "", fmt.Errorf("the contents do not fit the media type %s", t)
	}
	return "", fmt.Errorf("media type %q is neither a manifest's nor an index's", t)
}

func (d *Document) check() error {
	all := d.Children()
	if s := d.subject(); s != nil {
		all = append(all, *s)
	}
	for _, x := range all {
		if err := CheckDescriptor(x); err != nil {
			return err
		}
		if x.Platform != nil {
			if err := checkPlatform(*x.Platform); err != nil {
				return fmt.Errorf("%s: platform: %w", x.Digest, err)
			}
		}
		if x.Data == nil {
			continue
		}
		if err := Verify(x.Data, x); err != nil {
			return fmt.Errorf("embedded data: %w", err)
		}
	}
	return nil
}

// subject is what the document is about. It is a weak reference: copying and gc
// do not follow it; image-spec manifest.md.
func (d *Document) subject() *ocispec.Descriptor {
	if d.Index != nil {
		return d.Index.Subject
	}
	return d.Manifest.Subject
}

// Children are the descriptors that a document names: everything that has to be
// there for it to be complete.
func (d *Document) Children() []ocispec.Descriptor {
	if d.Index != nil {
		return slices.Clone(d.Index.Manifests)
	}
	return append([]ocispec.Descriptor{d.Manifest.Config}, d.Manifest.Layers...)
}

// Verify compares bytes with their descriptor.
func Verify(raw []byte, d ocispec.Descriptor) error {
	if err := CheckDescriptor(d); err != nil {
		return err
	}
	if int64(len(raw)) != d.Size {
		return fmt.Errorf("%s: %d bytes, and the descriptor says %d", d.Digest, len(raw), d.Size)
	}
	if got := d.Digest.Algorithm().FromBytes(raw); got != d.Digest {
		return fmt.Errorf("%s: the contents have the digest %s", d.Digest, got)
	}
	return nil
}

// Describe is the descriptor of bytes that we made.
func Describe(mediaType string, raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

// Config is an image config with its raw bytes: members that we do not know are
// in those only.
type Config struct {
	Raw []byte
	ocispec.Image
}

// ParseConfig reads the config of a manifest, once it was verified.
func ParseConfig(raw []byte) (*Config, error) {
	c := &Config{Raw: raw}
	if err := decode(raw, &c.Image); err != nil {
		return nil, fmt.Errorf("image config: %w", err)
	}
	if c.RootFS.Type != "layers" {
		return nil, fmt.Errorf("image config: rootfs.type is %q, not \"layers\": %w", c.RootFS.Type, ErrNotImage)
	}
	if err := checkPlatform(c.Platform); err != nil {
		return nil, fmt.Errorf("image config: %w", err)
	}
	for i, id := range c.RootFS.DiffIDs {
		if err := CheckDescriptor(ocispec.Descriptor{Digest: id}); err != nil {
			return nil, fmt.Errorf("image config: rootfs.diff_ids[%d]: %w", i, err)
		}
	}
	return c, nil
}

// IsConfig says whether the media type is an image config's. A config of another
// type must not be parsed: it is an artifact's; image-spec manifest.md.
func IsConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == DockerConfig
}

// CheckImage says whether a manifest with its config is a container image that
// can be unpacked.
func CheckImage(m *ocispec.Manifest, c *Config) error {
	if !IsConfig(m.Config.MediaType) {
		return fmt.Errorf("config is of type %q: %w", m.Config.MediaType, ErrNotImage)
	}
	if len(m.Layers) != len(c.RootFS.DiffIDs) {
		return fmt.Errorf("%d layers, but rootfs.diff_ids has %d", len(m.Layers), len(c.RootFS.DiffIDs))
	}
	for _, l := range m.Layers {
		if _, err := CompressionOf(l.MediaType); err != nil {
			return err
		}
	}
	return nil
}

// Compression of a layer.
type Compression string

// The compressions of layers.
const (
	Uncompressed Compression = ""
	Gzip         Compression = "gzip"
	Zstd         Compression = "zstd"
)

// CompressionOf is what a layer's media type says.
func CompressionOf(mediaType string) (Compression, error) {
	switch mediaType {
	case ocispec.MediaTypeImageLayer, DockerLayer, nondistributable, dockerForeign:
		return Uncompressed, nil
	case ocispec.MediaTypeImageLayerGzip, DockerLayerGzip, DockerForeignLayer, nondistributable + "+gzip":
		return Gzip, nil
	case ocispec.MediaTypeImageLayerZstd, DockerLayerZstd, nondistributable + "+zstd":
		return Zstd, nil
	}
	return Uncompressed, fmt.Errorf("layer of type %q is not supported", mediaType)
}

// IsForeign says that a layer is not to be pushed to, and may not be in, a
// registry.
func IsForeign(mediaType string) bool {
	return strings.HasPrefix(mediaType, dockerForeign) || strings.HasPrefix(mediaType, nondistributable)
}

// ChainID names the result of applying layers in order: of one, it is its
// diffID; image-spec config.md, "Layer ChainID".
func ChainID(diffIDs []digest.Digest) digest.Digest {
	if len(diffIDs) == 0 {
		return ""
	}
	return ChainIDs(diffIDs)[len(diffIDs)-1]
}

// ChainIDs are the chain IDs of the first layer, the first two, and so on.
func ChainIDs(diffIDs []digest.Digest) []digest.Digest {
	chains := slices.Clone(diffIDs)
	for i := 1; i < len(chains); i++ {
		chains[i] = digest.FromString(chains[i-1].String() + " " + diffIDs[i].String())
	}
	return chains
}
