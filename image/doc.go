// SPDX-License-Identifier: Apache-2.0

// Package image has berth-image's verbs as functions: each brings an image from
// a source to a sink.
//
//	registry, archives, layouts ─ Pull, Import ─► store ─ Push, Export ─► registry, archives, layouts
//	store ─ Unpack ─► bundle (config.json, rootfs) ─ Commit ─► store
//
//	t, err := image.Open(image.Options{Root: root})
//	defer t.Close()
//	err = t.Pull(ctx, "busybox", image.PullOptions{})
//	err = t.Unpack(ctx, "busybox", "/run/web", image.UnpackOptions{})
//
// What a verb makes is there as a whole or not at all, also if it is killed.
package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/archive"
	"berth/image/document"
	"berth/image/layer"
	"berth/image/progress"
	"berth/image/reference"
	"berth/image/registry"
	"berth/image/store"
	"berth/image/transport"
	"berth/image/userns"
)

// Options are the same for all verbs.
type Options struct {
	// Root is the store's directory; "" is the user's own.
	Root     string
	Registry registry.Options
	// Transient says that our mounts end with this process: an overlay that others
	// shall see cannot be made.
	Transient bool
	// Limits bound each layer that is unpacked; the zero value is the default.
	Limits layer.Limits
	// Parallel is how many blobs are copied at a time; 0 is 4.
	Parallel int
	// Progress is told about each layer, and Warn about what was lost; both may
	// be nil.
	Progress func(progress.Step)
	Warn     func(string)
}

// Tool works on one store; Close it.
type Tool struct {
	o     Options
	store *store.Store
	ids   userns.Maps // of the namespace that we are root of; none for root, and an ordinary user
}

// Open opens the store, and makes it if it is not there.
func Open(o Options) (*Tool, error) {
	if o.Root == "" {
		root, err := store.DefaultRoot()
		if err != nil {
			return nil, err
		}
		o.Root = root
	}
	if o.Limits == (layer.Limits{}) {
		o.Limits = layer.DefaultLimits()
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Registry.Warn == nil {
		o.Registry.Warn = o.Warn
	}
	if o.Progress == nil {
		o.Progress = func(progress.Step) {}
	}
	t := &Tool{o: o}
	var err error
	if os.Geteuid() == 0 {
		if t.ids, err = userns.Current(); err != nil {
			return nil, err
		}
	}
	t.store, err = store.Open(o.Root)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Close lets others remove what this tool has put and not named.
func (t *Tool) Close() error {
	s := t.store
	t.store = nil
	if s == nil {
		return nil // Run has let go of it
	}
	return s.Close()
}

// Store is the tool's own, and stays its.
func (t *Tool) Store() *store.Store { return t.store }

// name is the full name of an image of the store: "busybox" is
// docker.io/library/busybox:latest.
func name(s string) (string, error) {
	n, err := reference.Parse(s)
	if err != nil {
		return "", err
	}
	return n.String(), nil
}

// find is an image of the store, by name or by digest.
func (t *Tool) find(ctx context.Context, s string) (*store.Image, ocispec.Descriptor, error) {
	var notThere error
	full, bad := name(s)
	if bad == nil {
		img := t.store.Image(full)
		d, err := img.Resolve(ctx)
		if err == nil {
			return img, d, nil
		}
		if !errors.Is(err, store.ErrNotExist) {
			return nil, d, err
		}
		notThere = fmt.Errorf("%w (hint: berth-image pull %s; berth-image list shows what is there)", err, s)
	}
	img := t.store.Image(s)
	d, err := img.Resolve(ctx)
	if errors.Is(err, store.ErrNotExist) {
		err = cmp.Or(notThere, bad) // neither a name nor a digest
	}
	return img, d, err
}

// progress turns what Copy says into steps.
func (t *Tool) progress(what string) func(transport.Progress) {
	return func(p transport.Progress) {
		state := progress.Active
		switch p.State {
		case transport.Waiting:
			return
		case transport.Present:
			state = progress.Exists
		case transport.Done:
			state = progress.Finished
		case transport.Failed:
			state = progress.Failed
		}
		t.o.Progress(progress.Step{ID: p.Descriptor.Digest.String(), What: what, State: state, Done: p.Bytes, Total: p.Descriptor.Size})
	}
}

// PullOptions say what of an image is copied.
type PullOptions struct {
	Platform     *ocispec.Platform // nil for this machine's
	AllPlatforms bool
	// As is the name in the store; "" is that of the source.
	As string
}

func (t *Tool) copyOptions(what string, o PullOptions) transport.CopyOptions {
	return transport.CopyOptions{
		Platform: o.Platform, AllPlatforms: o.AllPlatforms, Parallel: t.o.Parallel, Progress: t.progress(what),
	}
}

// Pull copies an image from a registry, or from a location of package archive,
// to the store, and returns its name and digest there.
func (t *Tool) Pull(ctx context.Context, from string, o PullOptions) (string, digest.Digest, error) {
	if archive.HasPrefix(from) {
		return t.pullArchive(ctx, from, o)
	}
	if err := notAFile(from); err != nil {
		return "", "", err
	}
	ref, err := reference.Parse(from)
	if err != nil {
		return "", "", err
	}
	as, err := asName(o.As, ref.String())
	if err != nil {
		return "", "", err
	}
	source, err := registry.Open(ref, t.o.Registry)
	if err != nil {
		return "", "", err
	}
	defer source.Close()
	d, err := transport.Copy(ctx, source, t.store.Image(as), t.copyOptions("pull", o))
	return as, d.Digest, err
}

// notAFile refuses a path in the place of a name: one that can be no name, or is
// that of an archive or a layout.
func notAFile(s string) error {
	st, err := os.Stat(s)
	if err != nil {
		return nil
	}
	_, layout := os.Stat(filepath.Join(s, ocispec.ImageLayoutFile))
	switch {
	case st.IsDir() && layout == nil:
		return fmt.Errorf("pull %s: it is an image layout (hint: pull oci:%[1]s NAME)", s)
	case path.IsAbs(s), strings.HasPrefix(s, "."), strings.HasSuffix(s, ".tar"), strings.HasSuffix(s, ".tgz"), strings.Contains(s, ".tar."):
		return fmt.Errorf("pull %s: it is a file (hint: berth-image import %[1]s NAME)", s)
	}
	return nil
}

// asName is the name that the user wants, else the source's own.
func asName(as, own string) (string, error) {
	if as == "" {
		as = own
	}
	return name(as)
}

func (t *Tool) pullArchive(ctx context.Context, from string, o PullOptions) (string, digest.Digest, error) {
	l, err := archive.Parse(from)
	if err != nil {
		return "", "", err
	}
	source, err := l.Open(archive.Options{})
	if err != nil {
		return "", "", err
	}
	defer source.Close()
	own := cmp.Or(l.Name, source.Name())
	if o.As == "" && own == "" {
		return "", "", fmt.Errorf("%s: what is the image to be called? (hint: berth-image pull %[1]s NAME)", from)
	}
	as, err := asName(o.As, own)
	if err != nil {
		return "", "", err
	}
	d, err := transport.Copy(ctx, source, t.store.Image(as), t.copyOptions("pull", o))
	return as, d.Digest, err
}

// Push copies an image of the store to a registry, under its own name or
// another one.
func (t *Tool) Push(ctx context.Context, from, to string) (digest.Digest, error) {
	if archive.HasPrefix(to) { // else a repository of Docker Hub's called oci
		return "", fmt.Errorf("push is for registries (hint: berth-image export %s %s)", from, to)
	}
	source, root, err := t.find(ctx, from)
	if err != nil {
		return "", err
	}
	if to == "" {
		to = from
	}
	ref, err := reference.Parse(to)
	if err != nil {
		return "", err
	}
	sink, err := registry.Open(ref, t.o.Registry)
	if err != nil {
		return "", err
	}
	defer sink.Close()
	o := t.copyOptions("push", PullOptions{AllPlatforms: document.IsIndex(root.MediaType)})
	d, err := transport.Copy(ctx, source, sink, o)
	return d.Digest, err
}

// Export copies an image of the store to a location of package archive.
func (t *Tool) Export(ctx context.Context, from, to string) error {
	source, root, err := t.find(ctx, from)
	if err != nil {
		return err
	}
	l, err := archive.Parse(to)
	if err != nil {
		return err
	}
	if l.Name == "" && l.Kind == archive.DockerArchive { // docker load shows it
		if n, err := reference.Parse(from); err == nil {
			l.Name = n.Familiar()
		}
	}
	sink, err := l.Create(archive.Options{})
	if err != nil {
		return err
	}
	o := t.copyOptions("export", PullOptions{AllPlatforms: document.IsIndex(root.MediaType) && l.Kind != archive.DockerArchive})
	_, err = transport.Copy(ctx, source, sink, o)
	return errors.Join(err, sink.Close())
}

// put stores a document that we made.
func (t *Tool) put(ctx context.Context, img *store.Image, mediaType string, raw []byte) (ocispec.Descriptor, error) {
	d := document.Describe(mediaType, raw)
	return d, img.Put(ctx, d, func(offset int64) (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(bytesAt(raw), offset, int64(len(raw))-offset)), nil
	})
}

// bytesAt is bytes.Reader without its position.
type bytesAt []byte

func (b bytesAt) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// spool is a file without a name, beside the store's own; the caller closes it.
func (t *Tool) spool() (*os.File, error) {
	f, err := os.CreateTemp(t.store.Path()+"/partial", ".spool-")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// putFile stores a blob that is in a file.
func (t *Tool) putFile(ctx context.Context, img *store.Image, d ocispec.Descriptor, f *os.File) error {
	return img.Put(ctx, d, func(offset int64) (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(f, offset, d.Size-offset)), nil
	})
}
