// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"berth/image/document"
)

// maxRecord bounds the record of a bundle.
const maxRecord = 1 << 20

// Bundle is what the store knows of a bundle: GC keeps all that it names, as
// long as there is something at Path.
type Bundle struct {
	Path     string             `json:"path"`               // absolute
	Image    string             `json:"image,omitempty"`    // the name it had
	Manifest ocispec.Descriptor `json:"manifest"`           // for commit
	Mode     string             `json:"mode"`               // copy, overlay…
	Form     string             `json:"form,omitempty"`     // of the layers, see Layer
	ChainIDs []digest.Digest    `json:"chainIDs,omitempty"` // of the layers that are mounted
	IDs      string             `json:"ids,omitempty"`      // the user namespace that the owners of its files are of
	Volumes  []string           `json:"volumes,omitempty"`  // names
	Created  time.Time          `json:"created,omitzero"`
}

func (b *Bundle) check() error {
	if !filepath.IsAbs(b.Path) || filepath.Clean(b.Path) != b.Path {
		return fmt.Errorf("path %.200q is not absolute and clean", b.Path)
	}
	if err := document.CheckDescriptor(b.Manifest); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	for _, id := range b.ChainIDs {
		if err := checkLayer(id, b.Form); err != nil {
			return err
		}
	}
	return nil
}

// recordName is the file of a bundle's record.
func recordName(path string) string { return digest.FromString(path).Encoded() + ".json" }

// PinBundle records a bundle, before it is made: from then on GC keeps what it
// needs. A record with the same Path is replaced.
func (s *Store) PinBundle(b Bundle) error {
	err := b.check()
	if err == nil {
		err = s.use(context.Background())
	}
	if err == nil {
		err = s.locked(context.Background(), func() error {
			raw, err := json.Marshal(b)
			if err != nil {
				return err
			}
			if len(raw) > maxRecord {
				return fmt.Errorf("a record has at most %d bytes: %w", maxRecord, unix.EFBIG)
			}
			return s.replace(s.dirs[bundlesDir], recordName(b.Path), raw)
		})
	}
	if err != nil {
		return fmt.Errorf("cannot record bundle %q: %w", b.Path, err)
	}
	return nil
}

// UnpinBundle removes a bundle's record, after the bundle is gone. One that is
// not there is no error.
func (s *Store) UnpinBundle(path string) error {
	err := s.use(context.Background())
	if err == nil {
		err = unix.Unlinkat(int(s.dirs[bundlesDir].Fd()), recordName(path), 0)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("cannot remove the record of bundle %q: %w", path, hint(err))
	}
	return nil
}

// Bundle returns the record of the bundle at path, or ErrNotExist.
func (s *Store) Bundle(path string) (Bundle, error) {
	b, err := s.readRecord(recordName(path))
	if errors.Is(err, unix.ENOENT) {
		return b, fmt.Errorf("bundle %q: %w", path, ErrNotExist)
	}
	return b, err
}

// Bundles lists the records, by path; also of bundles that are gone.
func (s *Store) Bundles() ([]Bundle, error) {
	names, err := list(s.dirs[bundlesDir], ".")
	if err != nil {
		return nil, err
	}
	var all []Bundle
	for _, name := range names {
		if !strings.HasSuffix(name, ".json") {
			continue
		}
		b, err := s.readRecord(name)
		if errors.Is(err, unix.ENOENT) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b Bundle) int { return cmp.Compare(a.Path, b.Path) })
	return all, nil
}

func (s *Store) readRecord(name string) (b Bundle, err error) {
	raw, err := readBeneath(s.dirs[bundlesDir], name, maxRecord)
	if err != nil {
		return b, err
	}
	if err = json.Unmarshal(raw, &b); err == nil {
		err = b.check()
	}
	if err == nil && recordName(b.Path) != name {
		err = fmt.Errorf("the record of %q has another bundle's name", b.Path)
	}
	if err != nil {
		return b, fmt.Errorf("%q: %w (hint: remove this file if the bundle is not needed)", s.path+"/"+bundlesDir+"/"+name, err)
	}
	return b, nil
}

// isGone says whether there is nothing at a bundle's path. If that cannot be
// told, there may be.
func (b *Bundle) isGone() bool {
	var st unix.Stat_t
	err := unix.Fstatat(unix.AT_FDCWD, b.Path, &st, unix.AT_SYMLINK_NOFOLLOW)
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)
}
