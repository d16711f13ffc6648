// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
	"berth/image/reference"
)

// containerdName is where containerd and Docker keep a name in full;
// ref.name is the tag alone then.
const containerdName = "io.containerd.image.name"

// checkVersion checks the file oci-layout.
func checkVersion(in files) error {
	raw, err := read(in, ocispec.ImageLayoutFile, document.MaxSize)
	if err != nil {
		return err
	}
	var l ocispec.ImageLayout
	if err := json.Unmarshal(raw, &l); err != nil {
		return fmt.Errorf("%s: %w", ocispec.ImageLayoutFile, err)
	}
	if !strings.HasPrefix(l.Version, "1.") {
		return fmt.Errorf("%s: version %q is not supported", ocispec.ImageLayoutFile, l.Version)
	}
	return nil
}

// readIndex reads index.json.
func readIndex(in files) (*document.Document, error) {
	raw, err := read(in, ocispec.ImageIndexFile, document.MaxSize)
	if err != nil {
		return nil, err
	}
	doc, err := document.Parse(raw, document.Describe("", raw))
	if err == nil && doc.Index == nil {
		err = errors.New("it is no index")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ocispec.ImageIndexFile, err)
	}
	return doc, nil
}

// find chooses from index.json: by a digest, which may be in an index that it
// names; by a name; or the only one.
func (s *Source) find(index *ocispec.Index, name string) (ocispec.Descriptor, error) {
	if d, err := digest.Parse(name); err == nil {
		return s.findDigest(index.Manifests, d)
	}
	var found []ocispec.Descriptor
	for _, d := range index.Manifests {
		if (name == "" || hasName(d, name)) && !slices.ContainsFunc(found, func(f ocispec.Descriptor) bool { return f.Digest == d.Digest }) {
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(index.Manifests) == 0:
		return ocispec.Descriptor{}, errors.New("there is no image in it")
	case len(found) == 0:
		return ocispec.Descriptor{}, fmt.Errorf("there is no image %q (hint: there are %s)", name, namesOf(index.Manifests))
	}
	return ocispec.Descriptor{}, fmt.Errorf("there is more than one image (hint: add :NAME to the path, of %s)", namesOf(found))
}

// hasName compares a name as it stands, and as docker understands it.
func hasName(d ocispec.Descriptor, name string) bool {
	full := d.Annotations[containerdName]
	return name == d.Annotations[ocispec.AnnotationRefName] || full != "" && sameImage(name, full)
}

func sameImage(a, b string) bool {
	if a == b {
		return true
	}
	x, err1 := reference.Parse(a)
	y, err2 := reference.Parse(b)
	return err1 == nil && err2 == nil && x == y
}

// namesOf lists the names of images for a hint, or their digests.
func namesOf(all []ocispec.Descriptor) string {
	const enough = 10
	var names []string
	for _, d := range all {
		name := d.Annotations[ocispec.AnnotationRefName]
		if name == "" {
			name = d.Digest.String()
		}
		if len(names) == enough {
			return strings.Join(names, ", ") + ", …"
		}
		names = append(names, fmt.Sprintf("%.100q", name))
	}
	return strings.Join(names, ", ")
}

// Bounds of the search through indexes in indexes.
const (
	maxDepth   = 4
	maxIndexes = 100
)

// findDigest goes breadth first: index.json's own entries come before others.
func (s *Source) findDigest(level []ocispec.Descriptor, want digest.Digest) (ocispec.Descriptor, error) {
	read := 0
	for range maxDepth {
		var next []ocispec.Descriptor
		for _, d := range level {
			if d.Digest == want {
				return d, nil
			}
		}
		for _, d := range level {
			if !document.IsIndex(d.MediaType) {
				continue
			}
			if read++; read > maxIndexes {
				return ocispec.Descriptor{}, fmt.Errorf("more than %d indexes", maxIndexes)
			}
			doc, err := s.document(d)
			if err != nil {
				return ocispec.Descriptor{}, err
			}
			next = append(next, doc.Children()...)
		}
		level = next
	}
	return ocispec.Descriptor{}, fmt.Errorf("there is no image %s", want)
}

// complete says whether a layout has everything that its images name. Docker
// writes indexes of platforms whose blobs it does not have.
func (s *Source) complete(level []ocispec.Descriptor) bool {
	seen := map[digest.Digest]bool{}
	for read, depth := 0, 0; len(level) > 0; depth++ {
		var next []ocispec.Descriptor
		for _, d := range level {
			if seen[d.Digest] {
				continue
			}
			seen[d.Digest] = true
			r, err := s.fetch(d, 0)
			if err != nil {
				return false
			}
			_ = r.Close() // only looked at
			if !document.IsIndex(d.MediaType) && !document.IsManifest(d.MediaType) {
				continue
			}
			doc, err := s.document(d)
			if read++; err != nil || read > maxIndexes || depth > maxDepth {
				return false
			}
			next = append(next, doc.Children()...)
		}
		level = next
	}
	return true
}

// edited is index.json with an image under a name: in place of the one that had
// it, or at the end. All that we do not know stays as it is.
func edited(doc *document.Document, name string, d ocispec.Descriptor) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(doc.Raw, &members); err != nil {
		return nil, err
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(members["manifests"], &entries); err != nil {
		return nil, err
	}
	named, err := json.Marshal(withName(d, name))
	if err != nil {
		return nil, err
	}
	kept, placed := []json.RawMessage{}, false
	for i, e := range entries {
		old := doc.Index.Manifests[i]
		oldName := old.Annotations[ocispec.AnnotationRefName]
		if oldName != name || name == "" && old.Digest != d.Digest {
			kept = append(kept, e)
		} else if !placed {
			kept, placed = append(kept, named), true
		}
	}
	if !placed {
		kept = append(kept, named)
	}
	if members["manifests"], err = json.Marshal(kept); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(members)
	if err == nil && len(raw) > document.MaxSize {
		err = fmt.Errorf("%s: it has too many images", ocispec.ImageIndexFile)
	}
	return raw, err
}

// withName is a descriptor of an image under a name; names that it had elsewhere
// are not taken along.
func withName(d ocispec.Descriptor, name string) ocispec.Descriptor {
	d.Annotations = maps.Clone(d.Annotations)
	delete(d.Annotations, ocispec.AnnotationRefName)
	delete(d.Annotations, containerdName)
	if name != "" {
		if d.Annotations == nil {
			d.Annotations = map[string]string{}
		}
		d.Annotations[ocispec.AnnotationRefName] = name
	}
	return d
}
