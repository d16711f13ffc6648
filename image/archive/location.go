// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"berth/image/transport"
)

// Kind is a form in which an image is in files.
type Kind string

// The kinds. Plain is no image: a tar of a root file system.
const (
	Layout        Kind = "oci"
	OCIArchive    Kind = "oci-archive"
	DockerArchive Kind = "docker-archive"
	Plain         Kind = "tar"
)

// Location says where an image is. Kind is "" if that is to be found out; Name
// is "" for the only image there.
type Location struct {
	Kind       Kind
	Path, Name string
}

// Options bound what is read. The zero value has the defaults.
type Options struct {
	// MaxBytes is how much may come out of a compressed archive or layer;
	// 0 is 64 GiB. What comes out is kept in a temporary file without a name.
	MaxBytes int64
}

func (o Options) maxBytes() int64 {
	if o.MaxBytes > 0 {
		return o.MaxBytes
	}
	return 64 << 30
}

// Sink is a transport.Sink. Close gives up what Finish did not complete.
type Sink interface {
	transport.Sink
	Close() error
}

// Parse reads a location. Only if there is no prefix it looks at the files: a
// path with a colon wins over a name.
func Parse(s string) (Location, error) {
	for _, k := range []Kind{Layout, OCIArchive, DockerArchive} {
		if rest, ok := strings.CutPrefix(s, string(k)+":"); ok {
			l := cut(rest)
			l.Kind = k
			return l, l.check(s)
		}
	}
	l := Location{Path: s}
	if _, err := os.Lstat(s); errors.Is(err, fs.ErrNotExist) {
		l = cut(s)
	}
	return l, l.check(s)
}

// HasPrefix says whether a reference names a kind: it is no image in a registry.
func HasPrefix(s string) bool {
	kind, _, ok := strings.Cut(s, ":")
	return ok && slices.Contains([]Kind{Layout, OCIArchive, DockerArchive}, Kind(kind))
}

// cut splits at @DIGEST, or the first colon: names have colons, paths rarely.
func cut(s string) Location {
	if i := strings.LastIndexByte(s, '@'); i > 0 {
		if _, err := digest.Parse(s[i+1:]); err == nil {
			return Location{Path: s[:i], Name: s[i+1:]}
		}
	}
	path, name, _ := strings.Cut(s, ":")
	return Location{Path: path, Name: name}
}

func (l Location) check(s string) error {
	switch {
	case l.Path == "":
		return fmt.Errorf("%q: there is no path", s)
	case strings.ContainsAny(s, "\x00\n"):
		return fmt.Errorf("%q: there is a control character", s)
	}
	return nil
}

// String is the form that Parse reads.
func (l Location) String() string {
	s := l.Path
	if l.Kind != "" && l.Kind != Plain {
		s = string(l.Kind) + ":" + s
	}
	if l.Name != "" {
		s += ":" + l.Name
	}
	return s
}

// Open opens the image, or the plain tar; Source.Kind says which. The caller
// closes it.
func (l Location) Open(o Options) (*Source, error) {
	s, err := l.open(o)
	if err != nil {
		return nil, fmt.Errorf("cannot open %q: %w", l.Path, err)
	}
	return s, nil
}

func (l Location) open(o Options) (*Source, error) {
	// A fifo must not block, and no device is opened: look, open, look again.
	var st unix.Stat_t
	if err := unix.Stat(l.Path, &st); err != nil {
		return nil, err
	}
	directory := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if !directory && st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.New("neither a directory nor a regular file")
	}
	f, err := os.OpenFile(l.Path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	var s *Source
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir() && (l.Kind == Layout || l.Kind == ""):
		s, err = openLayout(f, l)
	case info.IsDir():
		err = fmt.Errorf("a directory is no %s", l.Kind)
	case l.Kind == Layout:
		err = errors.New("an image layout is a directory (hint: oci-archive: is for a tar)")
	case !info.Mode().IsRegular():
		err = errors.New("it was replaced meanwhile")
	default:
		s, err = openTar(f, info.Size(), l, o)
	}
	if err != nil {
		_ = f.Close() // only read from
		return nil, err
	}
	return s, nil
}

// Create makes a sink. A layout gets the image beside those that it has; an
// archive is replaced as a whole, when the sink is finished.
func (l Location) Create(o Options) (Sink, error) {
	kind := l.Kind
	if kind == "" {
		if info, err := os.Stat(l.Path); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("cannot write %q: of which kind? (hint: put oci:, oci-archive: or docker-archive: before it)", l.Path)
		}
		kind = Layout
	}
	var s Sink
	var err error
	switch kind {
	case Layout:
		s, err = createLayout(l)
	case OCIArchive, DockerArchive:
		s, err = createTar(l, o)
	default:
		err = fmt.Errorf("kind %q cannot be written", kind)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot write %q: %w", l.Path, err)
	}
	return s, nil
}
