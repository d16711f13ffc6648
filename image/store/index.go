// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
)

// maxIndex bounds index.json, which is ours: 200,000 names.
const maxIndex = 64 << 20

// Named is an image with its name.
type Named struct {
	Name       string
	Descriptor ocispec.Descriptor
}

// index is index.json. What we do not know in it stays as it is.
type index struct {
	members map[string]json.RawMessage
	entries []entry
}

// entry is one of its manifests.
type entry struct {
	raw        json.RawMessage
	descriptor ocispec.Descriptor
}

func (e entry) name() string { return e.descriptor.Annotations[ocispec.AnnotationRefName] }

func (s *Store) readIndex() (*index, error) {
	raw, err := readBeneath(s.root, ocispec.ImageIndexFile, maxIndex)
	if err != nil {
		return nil, err
	}
	idx, err := parseIndex(raw)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", s.path+"/"+ocispec.ImageIndexFile, err)
	}
	return idx, nil
}

func parseIndex(raw []byte) (*index, error) {
	idx := &index{}
	if err := json.Unmarshal(raw, &idx.members); err != nil {
		return nil, err
	}
	if idx.members == nil {
		return nil, errors.New("null is no index")
	}
	var entries []json.RawMessage
	if all, ok := idx.members["manifests"]; ok {
		if err := json.Unmarshal(all, &entries); err != nil {
			return nil, err
		}
	}
	for i, raw := range entries {
		e := entry{raw: raw}
		if err := json.Unmarshal(raw, &e.descriptor); err != nil {
			return nil, fmt.Errorf("manifests[%d]: %w", i, err)
		}
		if err := document.CheckDescriptor(e.descriptor); err != nil {
			return nil, fmt.Errorf("manifests[%d]: %w", i, err)
		}
		idx.entries = append(idx.entries, e)
	}
	return idx, nil
}

func (idx *index) format() ([]byte, error) {
	entries := []json.RawMessage{}
	for _, e := range idx.entries {
		entries = append(entries, e.raw)
	}
	raw, err := json.Marshal(entries)
	if err != nil {
		return nil, err
	}
	members := maps.Clone(idx.members)
	members["manifests"] = raw
	return json.Marshal(members)
}

// tag gives an image a name: in place of the one that had it, or at the end.
func (idx *index) tag(name string, d ocispec.Descriptor) error {
	d.Annotations = maps.Clone(d.Annotations)
	if d.Annotations == nil {
		d.Annotations = map[string]string{}
	}
	d.Annotations[ocispec.AnnotationRefName] = name
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	e := entry{raw, d}
	if at := idx.find(name); at >= 0 {
		idx.entries[at] = e
		rest := slices.DeleteFunc(idx.entries[at+1:], func(e entry) bool { return e.name() == name })
		idx.entries = idx.entries[:at+1+len(rest)]
		return nil
	}
	idx.entries = append(idx.entries, e)
	return nil
}

// untag says whether the name was there.
func (idx *index) untag(name string) bool {
	before := len(idx.entries)
	idx.entries = slices.DeleteFunc(idx.entries, func(e entry) bool { return e.name() == name })
	return len(idx.entries) < before
}

func (idx *index) find(name string) int {
	return slices.IndexFunc(idx.entries, func(e entry) bool { return e.name() == name })
}

// change rewrites index.json under its lock.
func (s *Store) change(ctx context.Context, edit func(*index) error) error {
	if err := s.use(ctx); err != nil {
		return err
	}
	return s.locked(ctx, func() error {
		idx, err := s.readIndex()
		if err == nil {
			err = edit(idx)
		}
		if err != nil {
			return err
		}
		raw, err := idx.format()
		if err != nil {
			return err
		}
		if len(raw) > maxIndex {
			return errors.New("the store has too many names")
		}
		if err := s.replace(s.root, ocispec.ImageIndexFile, raw); err != nil {
			return err
		}
		return s.root.Sync() // the name is there after a power cut, too
	})
}

// Images lists what has a name, by name.
func (s *Store) Images() ([]Named, error) {
	idx, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	var all []Named
	for _, e := range idx.entries {
		if e.name() != "" {
			all = append(all, Named{e.name(), e.descriptor})
		}
	}
	slices.SortStableFunc(all, func(a, b Named) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// Tag gives an image that is in the store a name, which another one loses.
func (s *Store) Tag(name string, d ocispec.Descriptor) error {
	return s.tag(context.Background(), name, d)
}

func (s *Store) tag(ctx context.Context, name string, d ocispec.Descriptor) error {
	if err := checkName(name); err != nil {
		return err
	}
	if d.MediaType == "" {
		return fmt.Errorf("cannot tag %q: %s has no media type", name, d.Digest)
	}
	f, err := s.Blob(d)
	if err != nil {
		return fmt.Errorf("cannot tag %q: %w", name, err)
	}
	_ = f.Close() // only looked at
	if err := s.change(ctx, func(idx *index) error { return idx.tag(name, d) }); err != nil {
		return fmt.Errorf("cannot tag %q: %w", name, err)
	}
	return nil
}

// Untag takes a name away; GC then removes what nothing else uses. The error is
// ErrNotExist if nothing has the name.
func (s *Store) Untag(name string) error {
	err := s.change(context.Background(), func(idx *index) error {
		if !idx.untag(name) {
			return ErrNotExist
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot untag %q: %w", name, err)
	}
	return nil
}

// checkName refuses names that a terminal or JSON would not give back.
func checkName(name string) error {
	if name == "" || len(name) > 4096 || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("%.200q cannot be the name of an image", name)
	}
	return nil
}
