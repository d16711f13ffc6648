// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/archive"
	"berth/image/diff"
	"berth/image/document"
	"berth/image/layer"
	"berth/image/transport"
)

// ImportOptions say what an imported tar becomes.
type ImportOptions struct {
	Compression document.Compression
	Platform    *ocispec.Platform
	Edits       diff.Edits // of the config of a plain tar
	Message     string     // in the history
	// Base is an image that a plain tar becomes another layer of; "" is none.
	Base string
}

// Import stores what is in a file under a name: an image that was saved, or a
// plain tar of a root file system, which becomes an image of one layer.
func (t *Tool) Import(ctx context.Context, from, as string, o ImportOptions) (string, digest.Digest, error) {
	l, err := archive.Parse(from)
	if err != nil {
		return "", "", err
	}
	source, err := l.Open(archive.Options{})
	if err != nil {
		if st, statErr := os.Stat(l.Path); statErr == nil && st.IsDir() && l.Kind == "" && errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w (hint: to make an image of its files: tar -C %s -cf FILE . && berth-image import FILE NAME)", err, l.Path)
		}
		return "", "", err
	}
	defer source.Close()
	own := cmp.Or(l.Name, source.Name())
	if as == "" && own == "" {
		return "", "", fmt.Errorf("import %s: what is the image to be called? (hint: import %[1]s NAME)", from)
	}
	full, err := asName(as, own)
	if err != nil {
		return "", "", err
	}
	if source.Kind != archive.Plain {
		co := t.copyOptions("import", PullOptions{Platform: o.Platform})
		d, err := transport.Copy(ctx, source, t.store.Image(full), co)
		return full, d.Digest, err
	}
	d, err := t.importTar(ctx, source, full, o)
	if err != nil {
		err = fmt.Errorf("import %s: %w", from, err)
	}
	return full, d, err
}

func (t *Tool) importTar(ctx context.Context, source *archive.Source, as string, o ImportOptions) (digest.Digest, error) {
	f, compression, err := source.Tar()
	if err != nil {
		return "", err
	}
	plain, err := layer.Decompress(f, compression)
	if err != nil {
		return "", err
	}
	defer plain.Close()
	target := t.store.Image(as)
	d, diffID, err := t.putLayer(ctx, target, o.Compression, func(w io.Writer) error { return copyTar(w, plain) })
	if err != nil {
		return "", err
	}
	epoch, err := Epoch()
	if err != nil {
		return "", err
	}
	base := &loaded{}
	if o.Base != "" {
		base, err = t.load(ctx, o.Base, o.Platform)
	} else {
		base, err = scratch(o.Platform)
	}
	if err != nil {
		return "", err
	}
	return t.putImage(ctx, target, base, diff.Step{
		Layer: &d, DiffID: diffID, Edits: o.Edits, Created: now(epoch), CreatedBy: "berth-image import", Comment: o.Message,
	})
}

// copyTar copies an archive byte by byte, and checks that it is complete.
func copyTar(w io.Writer, r io.Reader) error {
	copied := io.TeeReader(r, w)
	entries := tar.NewReader(copied)
	for {
		_, err := entries.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, copied) // what follows the end is in the digest
			return err
		}
		if err != nil {
			return fmt.Errorf("damaged archive: %w", err)
		}
	}
}

// scratch is an image of no layers.
func scratch(platform *ocispec.Platform) (*loaded, error) {
	p := document.HostPlatform()
	if platform != nil {
		p = *platform
	}
	config, err := json.Marshal(ocispec.Image{
		Platform: ocispec.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}},
	})
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: document.Describe(ocispec.MediaTypeImageConfig, config), Layers: []ocispec.Descriptor{},
	})
	if err != nil {
		return nil, err
	}
	doc, err := document.Parse(manifest, document.Describe(ocispec.MediaTypeImageManifest, manifest))
	parsed, err2 := document.ParseConfig(config)
	return &loaded{doc, parsed}, errors.Join(err, err2)
}
