// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"berth/image/document"
)

// GCOptions are for GC.
type GCOptions struct {
	// DryRun only reports what would be removed.
	DryRun bool
	// Wait waits, until ctx is done, for the processes that use the store.
	// Otherwise the error is ErrBusy.
	Wait bool
	// Before is called first, with all records, when nobody else uses the store:
	// to remove bundles and what is left of ones. It does not use the Store
	// itself. It may be nil.
	Before func([]Bundle)
}

// Kind is what something that GC removed was.
type Kind string

// The kinds of garbage.
const (
	KindBlob    Kind = "blob"
	KindBundle  Kind = "bundle"  // the record of one that is gone
	KindLayer   Kind = "layer"   // complete, or what is left of one
	KindPartial Kind = "partial" // of a blob
	KindVolume  Kind = "volume"  // what is left of a removed one
)

// Removed is one thing that GC removed, with the bytes that it took.
type Removed struct {
	Kind Kind
	Name string // a digest, the path of a bundle, or the name of a file
	Size int64
}

// Report is what GC removed, by kind and name.
type Report []Removed

// Size is the sum.
func (r Report) Size() (total int64) {
	for _, x := range r {
		total += x.Size
	}
	return total
}

// garbage is something to remove, and how.
type garbage struct {
	Removed
	remove func() error
}

// GC removes what neither an entry of index.json nor a bundle needs: blobs,
// layers, records of bundles that are gone, and what killed processes left. It
// runs while no other process uses the store. What this Store put and did not
// name counts as garbage: let nothing else go on in it meanwhile. If an image or
// a record cannot be read, what it needs is not known, and nothing is removed.
// What cannot be removed keeps nothing else: the error is the first, and the
// report has what was removed.
func (s *Store) GC(ctx context.Context, o GCOptions) (Report, error) {
	unlock, err := s.exclusive(ctx, o.Wait)
	if err != nil {
		return nil, fmt.Errorf("cannot collect garbage in %q: %w", s.path, err)
	}
	defer unlock()
	if o.Before != nil && !o.DryRun {
		bundles, err := s.Bundles()
		if err != nil {
			return nil, fmt.Errorf("cannot collect garbage in %q: %w", s.path, err)
		}
		o.Before(bundles)
	}
	found, err := s.findGarbage()
	if err != nil {
		return nil, fmt.Errorf("cannot collect garbage in %q: %w", s.path, err)
	}
	report := Report{}
	var failed error
	for _, g := range found {
		if ctx.Err() != nil {
			return report, context.Cause(ctx)
		}
		if !o.DryRun {
			if err := g.remove(); err != nil && !errors.Is(err, unix.ENOENT) {
				if failed == nil {
					failed = fmt.Errorf("cannot remove %s %s: %w", g.Kind, g.Name, hint(err))
				}
				continue
			}
		}
		report = append(report, g.Removed)
	}
	return report, failed
}

// exclusive gives up this Store's lease and takes the lock for itself alone.
func (s *Store) exclusive(ctx context.Context, wait bool) (unlock func(), err error) {
	s.mu.Lock() // until unlock: use has to wait
	if s.lease != nil {
		_ = s.lease.Close() // an empty file
		s.lease = nil
	}
	f, err := s.openLock()
	if err == nil {
		if wait {
			err = flock(ctx, f, unix.LOCK_EX)
		} else if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrBusy
		}
	}
	unlock = func() {
		_ = f.Close() // an empty file; may be nil
		s.mu.Unlock()
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// live is what must stay.
type live struct {
	blobs  map[digest.Digest]bool
	chains map[string]bool // chainName: layers in any form
	layers map[string]bool // layerName
}

// mark finds what must stay. The store is locked.
func (s *Store) mark(bundles []Bundle) (*live, error) {
	l := &live{map[digest.Digest]bool{}, map[string]bool{}, map[string]bool{}}
	idx, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	for _, e := range idx.entries {
		if err := s.markTree(l, e.descriptor, true); err != nil {
			return nil, fmt.Errorf("image %q: %w", e.name(), err)
		}
	}
	for _, b := range bundles {
		if b.isGone() {
			continue
		}
		if err := s.markTree(l, b.Manifest, false); err != nil {
			return nil, fmt.Errorf("bundle %q: %w", b.Path, err)
		}
		for _, id := range b.ChainIDs {
			l.layers[layerName(id, b.Form)] = true
		}
	}
	return l, nil
}

// markTree marks a document or blob and what it names, and the unpacked layers
// if they are wanted: all of an image with a name, while a bundle says itself
// which ones it uses. What is not there needs nothing; a layout may have a part
// of an index only.
func (s *Store) markTree(l *live, d ocispec.Descriptor, layers bool) error {
	if l.blobs[d.Digest] {
		return nil
	}
	l.blobs[d.Digest] = true
	if !document.IsIndex(d.MediaType) && !document.IsManifest(d.MediaType) {
		return nil
	}
	raw, err := s.document(d)
	if errors.Is(err, ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	doc, err := document.Parse(raw, d)
	if err != nil {
		return err
	}
	for _, child := range doc.Children() {
		if doc.Manifest != nil {
			l.blobs[child.Digest] = true
		} else if err := s.markTree(l, child, layers); err != nil {
			return err
		}
	}
	if layers && doc.Manifest != nil && document.IsConfig(doc.Manifest.Config.MediaType) {
		s.markLayers(l, doc.Manifest.Config)
	}
	return nil
}

// markLayers marks the unpacked layers of an image. Where its config cannot be
// read they are not kept: they can be made again.
func (s *Store) markLayers(l *live, d ocispec.Descriptor) {
	raw, err := s.document(d)
	if err != nil {
		return
	}
	config, err := document.ParseConfig(raw)
	if err != nil {
		return
	}
	for _, id := range document.ChainIDs(config.RootFS.DiffIDs) {
		l.chains[chainName(id)] = true
	}
}

// findGarbage lists what can be removed, sorted.
func (s *Store) findGarbage() ([]garbage, error) {
	bundles, err := s.Bundles()
	if err != nil {
		return nil, err
	}
	l, err := s.mark(bundles)
	if err != nil {
		return nil, err
	}
	var all []garbage
	for _, b := range bundles {
		if b.isGone() {
			all = append(all, s.fileGarbage(KindBundle, b.Path, s.dirs[bundlesDir], recordName(b.Path)))
		}
	}
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		names, err := list(s.dirs["blobs"], algorithm.String())
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			d := digest.NewDigestFromEncoded(algorithm, name)
			if d.Validate() == nil && !l.blobs[d] {
				all = append(all, s.fileGarbage(KindBlob, d.String(), s.root, blobName(d)))
			}
		}
	}
	names, err := list(s.dirs[partialDir], ".")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		all = append(all, s.fileGarbage(KindPartial, name, s.dirs[partialDir], name))
	}
	trees, err := s.treeGarbage(l)
	all = append(all, trees...)
	slices.SortFunc(all, func(a, b garbage) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return all, err
}

func (s *Store) fileGarbage(k Kind, name string, dir *os.File, file string) garbage {
	var st unix.Stat_t
	_ = unix.Fstatat(int(dir.Fd()), file, &st, unix.AT_SYMLINK_NOFOLLOW) // only for the report
	return garbage{Removed{k, name, st.Size}, func() error { return unix.Unlinkat(int(dir.Fd()), file, 0) }}
}

// layerDir is the name of a complete layer.
var layerDir = regexp.MustCompile(`^(sha(?:256|512)-[0-9a-f]{64,128}-)[a-z0-9-]+$`)

// treeGarbage lists layers and the left-overs of layers and volumes. Names that
// we would not give are left alone.
func (s *Store) treeGarbage(l *live) ([]garbage, error) {
	var all []garbage
	for place, kind := range map[string]Kind{layersDir: KindLayer, volumesDir: KindVolume} {
		dir := s.dirs[place]
		names, err := list(dir, ".")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			g := garbage{Removed: Removed{Kind: kind, Name: name}}
			chain := layerDir.FindStringSubmatch(name)
			switch {
			case strings.HasPrefix(name, dead), strings.HasPrefix(name, making):
				g.remove = func() error { return otherIDs(RemoveTree(dir, name)) }
			case kind == KindLayer && chain != nil && !l.chains[chain[1]] && !l.layers[name]:
				g.remove = func() error { return otherIDs(discard(dir, name)) }
			default:
				continue
			}
			g.Size, _ = diskUse(dir, name) // only for the report
			all = append(all, g)
		}
	}
	return all, nil
}

// otherIDs says what a tree of our own store has that we may not remove.
func otherIDs(err error) error {
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w (hint: it has files of other ids than ours: gc without --single-id, with /etc/subuid as it was, or as root)", err)
	}
	return err
}
