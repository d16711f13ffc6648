// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"berth/image/document"
	"berth/image/layer"
)

// Bounds of an archive's index, which is in memory.
const (
	maxMembers = 100_000
	maxName    = 4096
	maxNames   = 16 << 20 // bytes of all names and links
	maxLinks   = 8        // symbolic links to a layer
)

// member is what a tar has under a name.
type member struct {
	kind   byte // tar.TypeReg, TypeDir or TypeSymlink
	offset int64
	size   int64
	link   string
}

// contents is the index of a tar.
type contents struct {
	members map[string]member
	// odd is the first thing that no archive of an image has; the rest is not
	// read then.
	odd error
}

// scan reads the headers of a tar, and at says where its reader is. An error is
// about the tar; what only is no image's is odd.
func scan(r io.Reader, at func() int64) (*contents, error) {
	c := &contents{members: map[string]member{}}
	t := tar.NewReader(r)
	for names := 0; ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		names += len(h.Name) + len(h.Linkname)
		if c.odd = c.add(h, at()); c.odd == nil && names > maxNames {
			c.odd = fmt.Errorf("its names have more than %d bytes", maxNames)
		}
		if c.odd != nil {
			return c, nil
		}
	}
}

// rootDirectories tell the tar of a root file system from an image's, early.
var rootDirectories = strings.Fields("bin boot dev etc home lib lib64 media mnt opt proc root run sbin srv sys tmp usr var")

// add notes a header and returns what is odd about it.
func (c *contents) add(h *tar.Header, offset int64) error {
	name := path.Clean(h.Name)
	top, _, _ := strings.Cut(name, "/")
	switch {
	case name == "." && h.Typeflag == tar.TypeDir:
		return nil
	case len(h.Name) > maxName || len(h.Linkname) > maxName:
		return fmt.Errorf("%.100q…: the name is too long", h.Name)
	case !fs.ValidPath(name) || name == ".":
		return fmt.Errorf("%q: no image has such a name", h.Name)
	case slices.Contains(rootDirectories, top):
		return fmt.Errorf("%q: no image has this directory", h.Name)
	case len(c.members) >= maxMembers:
		return fmt.Errorf("it has more than %d members", maxMembers)
	}
	m := member{kind: h.Typeflag, offset: offset, size: h.Size, link: h.Linkname}
	switch h.Typeflag {
	case tar.TypeReg:
	case tar.TypeDir, tar.TypeSymlink:
		m.size = 0
	default:
		return fmt.Errorf("%q: a file of type %q, which no image has", h.Name, h.Typeflag)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return fmt.Errorf("%q: a sparse file", h.Name)
		}
	}
	old, twice := c.members[name]
	if twice && (old.kind != tar.TypeDir || m.kind != tar.TypeDir) {
		return fmt.Errorf("%q: it is there twice", h.Name)
	}
	c.members[name] = m
	return nil
}

func (c *contents) has(name string) bool {
	m, ok := c.members[name]
	return ok && m.kind == tar.TypeReg
}

// tarball is a tar with its index.
type tarball struct {
	*contents
	data *os.File
	// links: symbolic ones are followed, inside the archive.
	links bool
}

// open implements files.
func (t *tarball) open(name string) (*file, error) {
	at := name
	for range maxLinks {
		m, ok := t.members[at]
		switch {
		case !ok:
			return nil, missing(name)
		case m.kind == tar.TypeReg:
			return &file{io.NewSectionReader(t.data, m.offset, m.size), m.size, func() error { return nil }}, nil
		case m.kind != tar.TypeSymlink:
			return nil, fmt.Errorf("%s: not a regular file", name)
		case !t.links:
			return nil, fmt.Errorf("%s: a symbolic link, which is not followed", name)
		}
		at = path.Join(path.Dir(at), m.link)
		if path.IsAbs(m.link) || !fs.ValidPath(at) {
			return nil, fmt.Errorf("%s: a link that leads out of the archive", name)
		}
	}
	return nil, fmt.Errorf("%s: too many links", name)
}

// Close implements files.
func (t *tarball) Close() error { return t.data.Close() }

// openTar takes f, a regular file of size bytes. A compressed archive is
// expanded into a temporary file.
func openTar(f *os.File, size int64, l Location, o Options) (*Source, error) {
	if l.Kind == Plain {
		return nil, errors.New("a plain tar is found out, not asked for")
	}
	if size == 0 {
		return nil, errors.New("it is empty")
	}
	compression, err := sniff(f)
	if err != nil {
		return nil, err
	}
	var t *tarball
	if compression == document.Uncompressed {
		r := io.NewSectionReader(f, 0, size)
		c, err := scan(r, func() int64 { at, _ := r.Seek(0, io.SeekCurrent); return at }) // never fails
		if err != nil {
			return nil, notATar(err)
		}
		t = &tarball{contents: c, data: f}
	} else if t, err = expand(f, compression, o.maxBytes()); err != nil {
		return nil, err
	}
	s := &Source{Path: l.Path, files: t, plain: f, compression: compression}
	if err := s.choose(t, l); err != nil {
		if t.data != f {
			_ = t.data.Close() // without a name, and of no use
		}
		return nil, err
	}
	switch {
	case s.Kind == Plain && t.data != f:
		err = t.data.Close()
	case s.Kind != Plain && t.data != f:
		err = f.Close()
	}
	if s.Kind != Plain {
		s.plain = nil
	}
	return s, err
}

func notATar(err error) error {
	if errors.Is(err, tar.ErrHeader) {
		return errors.New("it is no tar")
	}
	return fmt.Errorf("it is damaged: %w", err)
}

// sniff recognizes compressions by their first bytes.
func sniff(f io.ReaderAt) (document.Compression, error) {
	var head [6]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	for _, magic := range []struct {
		bytes string
		c     document.Compression
		what  string
	}{
		{"\x1f\x8b", document.Gzip, ""},
		{"\x28\xb5\x2f\xfd", document.Zstd, ""},
		{"BZh", "", "bzip2"},
		{"\xfd7zXZ\x00", "", "xz"},
	} {
		if strings.HasPrefix(string(head[:n]), magic.bytes) {
			if magic.what != "" {
				return "", fmt.Errorf("%s is not supported (hint: decompress it first)", magic.what)
			}
			return magic.c, nil
		}
	}
	return document.Uncompressed, nil
}

// expand decompresses while scanning, so that a plain tar is recognized by its
// beginning.
func expand(f *os.File, c document.Compression, limit int64) (t *tarball, err error) {
	r, err := layer.Decompress(f, c)
	if err != nil {
		return nil, err
	}
	defer r.Close() // only read from
	temp, err := newTemporary()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = temp.Close() // without a name, and of no use
		}
	}()
	w := bufio.NewWriterSize(temp, 256<<10)
	copied := &counted{r: io.TeeReader(r, w), limit: limit}
	found, err := scan(copied, func() int64 { return copied.n })
	switch {
	case copied.err != nil:
		return nil, copied.err
	case err != nil:
		return nil, notATar(err)
	}
	if found.odd == nil {
		// What follows the tar's end: the checksum of gzip, too.
		if _, err := io.Copy(io.Discard, copied); err != nil {
			return nil, fmt.Errorf("it is damaged: %w", err)
		}
	}
	return &tarball{contents: found, data: temp}, w.Flush()
}

// counted counts what is read, up to a limit. It remembers the error, which
// archive/tar takes for one of the tar.
type counted struct {
	r        io.Reader
	n, limit int64
	err      error
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.n += int64(n); c.n > c.limit {
		err = fmt.Errorf("more than %d bytes come out of it, which is the limit", c.limit)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// newTemporary makes a file without a name, in $TMPDIR.
func newTemporary() (*os.File, error) {
	fd, err := unix.Open(os.TempDir(), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), "temporary file"), nil
	}
	f, err := os.CreateTemp("", "berth-image-") // not all file systems have O_TMPFILE
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close() // the error is the news
		return nil, err
	}
	return f, nil
}

// usable says whether the OCI's form has all that it names, and the name.
func (s *Source) usable(t *tarball, name string) bool {
	doc, err := readIndex(t)
	if err != nil || checkVersion(t) != nil || !s.complete(doc.Index.Manifests) {
		return false
	}
	_, err = s.find(doc.Index, name)
	return err == nil
}

// choose decides what the tar is. An archive that has both forms, as Docker
// since 25 writes them, is taken for the OCI's if that is complete.
func (s *Source) choose(t *tarball, l Location) error {
	oci := t.has(ocispec.ImageLayoutFile) && t.has(ocispec.ImageIndexFile)
	docker := t.has(dockerManifest)
	if oci && docker && l.Kind != OCIArchive {
		oci = s.usable(t, l.Name)
	}
	switch {
	case l.Kind == OCIArchive && !oci, l.Kind == DockerArchive && !oci && !docker:
		if t.odd != nil {
			return t.odd
		}
		return fmt.Errorf("it is no %s", l.Kind)
	case !oci && !docker:
		s.Kind = Plain
		return nil
	case t.odd != nil:
		return t.odd
	case oci:
		s.Kind, s.root = OCIArchive, s.byIndex(l.Name)
		return checkVersion(t)
	}
	s.Kind, t.links = DockerArchive, true
	err := s.openDocker(l.Name)
	if err != nil && l.Kind == "" && errors.Is(err, errNotDocker) {
		s.Kind, err = Plain, nil
	}
	return err
}
