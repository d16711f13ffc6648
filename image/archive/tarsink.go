// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
	"berth/image/layer"
	"berth/image/reference"
)

// tarSink writes an archive when it is finished; the same image makes the same
// bytes.
type tarSink struct {
	kind  Kind
	name  string
	dir   directory // of the archive
	base  string
	limit int64
	spool *spool
}

func createTar(l Location, o Options) (*tarSink, error) {
	if l.Kind == DockerArchive && l.Name != "" {
		n, err := reference.Parse(l.Name)
		if err == nil && n.Tag == "" {
			err = errors.New("docker-archive: needs a name with a tag, or none")
		}
		if err != nil {
			return nil, err
		}
		n.Digest = ""
		l.Name = n.String()
	}
	path := filepath.Clean(l.Path)
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("there is something that is no regular file")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	spool, err := newSpool(directory{dir})
	if err != nil {
		_ = dir.Close() // only looked at
		return nil, err
	}
	return &tarSink{l.Kind, l.Name, directory{dir}, filepath.Base(path), o.maxBytes(), spool}, nil
}

// Has implements transport.Sink.
func (s *tarSink) Has(_ context.Context, d ocispec.Descriptor) (bool, error) {
	return s.spool.has(d), document.CheckDescriptor(d)
}

// Put implements transport.Sink.
func (s *tarSink) Put(ctx context.Context, d ocispec.Descriptor, open func(offset int64) (io.ReadCloser, error)) error {
	return s.spool.put(ctx, d, open)
}

// Close implements Sink.
func (s *tarSink) Close() error {
	s.spool.data.discard()
	return s.dir.Close()
}

// Finish implements transport.Sink: it writes the archive, in place of the one
// that is there.
func (s *tarSink) Finish(ctx context.Context, root ocispec.Descriptor) error {
	t, err := newDraft(s.dir)
	if err != nil {
		return err
	}
	w := &writer{ctx: ctx, file: t.File, dirs: map[string]bool{}}
	if s.kind == DockerArchive {
		err = s.writeDocker(w, root)
	} else {
		err = s.writeLayout(w, root)
	}
	if err == nil {
		err = w.close()
	}
	if err != nil {
		t.discard()
		return fmt.Errorf("cannot write %q: %w", filepath.Join(s.dir.Name(), s.base), err)
	}
	return t.publish(s.base)
}

// writeLayout writes the layout's files in order of their names.
func (s *tarSink) writeLayout(w *writer, root ocispec.Descriptor) error {
	if !s.spool.has(root) {
		return fmt.Errorf("%s is not there", root.Digest)
	}
	all := slices.SortedFunc(maps.Keys(s.spool.blobs), func(a, b digest.Digest) int { return strings.Compare(a.String(), b.String()) })
	for _, d := range all {
		r, err := s.spool.section(d)
		if err == nil {
			err = w.stream(blobName(d), r)
		}
		if err != nil {
			return err
		}
	}
	index, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{withName(root, s.name)},
	})
	if err == nil {
		err = w.bytes(ocispec.ImageIndexFile, index)
	}
	if err == nil {
		err = w.bytes(ocispec.ImageLayoutFile, []byte(layoutVersion))
	}
	return err
}

// writeDocker writes what `docker load` reads: layers as tars, by diffID, the
// config by its digest, and manifest.json.
func (s *tarSink) writeDocker(w *writer, root ocispec.Descriptor) error {
	raw, err := s.spool.document(root, document.MaxSize)
	if err != nil {
		return err
	}
	doc, err := document.Parse(raw, root)
	if err != nil {
		return err
	}
	if doc.Manifest == nil {
		return errors.New("a docker-archive has images of one platform (hint: --platform)")
	}
	m := doc.Manifest
	if raw, err = s.spool.document(m.Config, document.MaxSize); err != nil {
		return err
	}
	config, err := document.ParseConfig(raw)
	if err == nil {
		err = document.CheckImage(m, config)
	}
	if err != nil {
		return err
	}
	image := saved{Config: m.Config.Digest.Encoded() + ".json", Layers: []string{}}
	if s.name != "" {
		image.RepoTags = []string{s.name}
	}
	written := map[digest.Digest]bool{}
	for i, d := range m.Layers {
		diffID := config.RootFS.DiffIDs[i]
		image.Layers = append(image.Layers, diffID.Encoded()+".tar")
		if !written[diffID] {
			if err := s.writeLayer(w, d, diffID); err != nil {
				return fmt.Errorf("layer %d: %w", i, err)
			}
			written[diffID] = true
		}
	}
	if err := w.bytes(image.Config, raw); err != nil {
		return err
	}
	list, err := json.Marshal([]saved{image})
	if err != nil {
		return err
	}
	return w.bytes(dockerManifest, list)
}

// writeLayer decompresses a layer on the way.
func (s *tarSink) writeLayer(w *writer, d ocispec.Descriptor, diffID digest.Digest) error {
	compression, err := document.CompressionOf(d.MediaType)
	if err != nil {
		return err
	}
	blob, err := s.spool.section(d.Digest)
	if err != nil {
		return err
	}
	r, err := layer.Decompress(blob, compression)
	if err != nil {
		return err
	}
	defer r.Close() // only read from
	hash := diffID.Algorithm().Hash()
	if err := w.stream(diffID.Encoded()+".tar", io.TeeReader(&counted{r: r, limit: s.limit}, hash)); err != nil {
		return err
	}
	if got := digest.NewDigest(diffID.Algorithm(), hash); got != diffID {
		return fmt.Errorf("%s: what comes out of it has the diffID %s, not %s", d.Digest, got, diffID)
	}
	return nil
}

// writer writes a tar into a file, at the file's offset.
type writer struct {
	ctx  context.Context // of the one call that it is for
	file *os.File
	dirs map[string]bool
	buf  []byte
}

// header is the header of a member, in blocks: of fixed modes, owners and times,
// so that the same contents are the same archive. In GNU's form its length does
// not depend on size.
func header(name string, kind byte, size int64) ([]byte, error) {
	h := &tar.Header{Name: name, Typeflag: kind, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatGNU}
	if kind == tar.TypeDir {
		h.Mode = 0o755
	}
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(h)
	return b.Bytes(), err
}

// parents writes the directories above a name.
func (w *writer) parents(name string) error {
	for i := range name {
		dir := name[:i+1]
		if name[i] != '/' || w.dirs[dir] {
			continue
		}
		w.dirs[dir] = true
		h, err := header(dir, tar.TypeDir, 0)
		if err != nil {
			return err
		}
		if _, err := w.file.Write(h); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) bytes(name string, data []byte) error { return w.stream(name, bytes.NewReader(data)) }

// stream writes a member of unknown size: its header is written once more, when
// the size is known.
func (w *writer) stream(name string, r io.Reader) error {
	if err := w.parents(name); err != nil {
		return err
	}
	h, err := header(name, tar.TypeReg, 0)
	if err != nil {
		return err
	}
	at, err := w.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := w.file.Write(h); err != nil {
		return err
	}
	if w.buf == nil {
		w.buf = make([]byte, 256<<10)
	}
	// With ReadFrom of *os.File, the buffer would be another one.
	size, err := io.CopyBuffer(struct{ io.Writer }{w.file}, cancelled{w.ctx, r}, w.buf)
	if err != nil {
		return err
	}
	if _, err := w.file.Write(make([]byte, -size&(blockSize-1))); err != nil {
		return err
	}
	sized, err := header(name, tar.TypeReg, size)
	if err == nil && len(sized) != len(h) {
		err = fmt.Errorf("%s: %d bytes are too many for a tar", name, size)
	}
	if err == nil {
		_, err = w.file.WriteAt(sized, at)
	}
	return err
}

const blockSize = 512 // of a tar

// close writes the archive's end.
func (w *writer) close() error {
	_, err := w.file.Write(make([]byte, 2*blockSize))
	return err
}

// cancelled is a reader until ctx is done.
type cancelled struct {
	ctx context.Context
	io.Reader
}

func (c cancelled) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.Reader.Read(p)
}
