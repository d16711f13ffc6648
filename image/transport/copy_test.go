// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
)

var (
	host  = document.HostPlatform()
	s390  = ocispec.Platform{OS: "linux", Architecture: "s390x"}
	alpha = ocispec.Platform{OS: "linux", Architecture: "alpha"}
)

func TestCopyOfOnePlatform(t *testing.T) {
	src, dst := newMemory(), newMemory()
	mine, other := src.addImage(host, "base", "top"), src.addImage(s390, "base", "s390")
	src.root = src.addIndex(other, mine)

	root, err := Copy(t.Context(), src, dst, CopyOptions{})
	if err != nil || root.Digest != mine.Digest {
		t.Fatalf("root = %v, %v; want %v", root, err, mine)
	}
	dst.sameBlobs(t, src, src.tree(t, mine)...)
	if len(dst.named) != 1 || dst.named[0].Digest != mine.Digest {
		t.Errorf("finished with %v, want %v", dst.named, mine)
	}

	dst = newMemory()
	if root, err = Copy(t.Context(), src, dst, CopyOptions{Platform: &s390}); err != nil || root.Digest != other.Digest {
		t.Fatalf("root = %v, %v; want %v", root, err, other)
	}
	dst.sameBlobs(t, src, src.tree(t, other)...)
}

func TestCopyOfAllPlatforms(t *testing.T) {
	src, dst := newMemory(), newMemory()
	strange := src.add("application/x-new", `{"layers":[]}`)
	nested := src.addIndex(src.addImage(s390, "base", "s390"))
	src.root = src.addIndex(src.addImage(host, "base", "top"), nested, strange, nested)

	root, err := Copy(t.Context(), src, dst, CopyOptions{AllPlatforms: true, Parallel: 3})
	if err != nil || root.Digest != src.root.Digest {
		t.Fatalf("root = %v, %v; want %v", root, err, src.root)
	}
	dst.sameBlobs(t, src, src.tree(t, src.root)...)
	for i, d := range dst.order { // a document comes after what it names
		doc, err := document.Parse(dst.blobs[d], ocispec.Descriptor{Digest: d, Size: int64(len(dst.blobs[d]))})
		if err != nil {
			continue // a blob
		}
		for _, child := range doc.Children() {
			if at := slices.Index(dst.order, child.Digest); at < 0 || at > i {
				t.Errorf("%s was put as number %d, before %s", d, i, child.Digest)
			}
		}
	}
	if len(dst.order) != len(dst.blobs) {
		t.Errorf("%d puts of %d blobs", len(dst.order), len(dst.blobs))
	}
	if dst.most > 3 {
		t.Errorf("%d blobs at a time, want at most 3", dst.most)
	}
}

func TestCopySkipsWhatIsThere(t *testing.T) {
	src, dst := newMemory(), newMemory()
	src.root = src.addImage(host, "base", "top")
	base := dst.add(ocispec.MediaTypeImageLayer, "base")
	last := map[digest.Digest]Progress{}
	if _, err := Copy(t.Context(), src, dst, CopyOptions{Progress: func(p Progress) { last[p.Descriptor.Digest] = p }}); err != nil {
		t.Fatal(err)
	}
	dst.sameBlobs(t, src, src.tree(t, src.root)...)
	if slices.Contains(dst.order, base.Digest) {
		t.Error("the base was put, though it was there")
	}
	for _, d := range src.tree(t, src.root) {
		want := Progress{last[d.Digest].Descriptor, d.Size, Done}
		if d.Digest == base.Digest {
			want.State = Present
		}
		if got := last[d.Digest]; !reflect.DeepEqual(got, want) {
			t.Errorf("last progress = %+v, want %+v", got, want)
		}
	}
}

func TestCopyGoesOnAfterFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults []fault
	}{
		{"busy when asked", []fault{{err: temporary{}}, {err: temporary{after: 30}}}},
		{"busy after a while", []fault{{limit: 3, err: temporary{}}, {limit: 2, err: temporary{after: 1}}}},
		{"ends early", []fault{{limit: 3}, {limit: 1}}},
		{"a byte each time", slices.Repeat([]fault{{limit: 1, err: temporary{}}}, 20)},
		{"error with the last byte", []fault{{limit: 26, err: errors.New("reset")}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src, dst := newMemory(), newMemory()
				const contents = "abcdefghijklmnopqrstuvwxyz"
				src.root = src.addImage(host, contents)
				src.faults[digest.FromString(contents)] = c.faults
				src.faults[src.root.Digest] = c.faults[:1]
				if c.faults[0].limit == 26 {
					delete(src.faults, src.root.Digest)
				}
				if _, err := Copy(t.Context(), src, dst, CopyOptions{}); err != nil {
					t.Fatal(err)
				}
				dst.sameBlobs(t, src, src.tree(t, src.root)...)
			})
		})
	}
}

func TestCopyGivesUp(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name   string
		faults []fault
		want   error
	}{
		{"for good", []fault{{err: broken}}, broken},
		{"in the middle", []fault{{limit: 3, err: broken}}, broken},
		{"always busy", slices.Repeat([]fault{{err: temporary{}}}, maxIdle), temporary{}},
		{"busy for a day", []fault{{err: temporary{after: 86400}}}, temporary{after: 86400}},
		{"a byte each time, for ever", slices.Repeat([]fault{{limit: 1, err: temporary{}}}, maxTries), temporary{}},
		{"other bytes", []fault{{wrong: true}}, ErrContents},
		{"more bytes", []fault{{more: true}}, ErrContents},
		{"fewer bytes", []fault{{limit: 3}, {limit: 0}}, ErrContents},
		{"nothing ever", slices.Repeat([]fault{{limit: 0}}, maxTries), ErrContents},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src, dst := newMemory(), newMemory()
				contents := strings.Repeat("abcdefghij", 20)
				src.root = src.addImage(host, contents, "another")
				src.faults[digest.FromString(contents)] = c.faults
				_, err := Copy(t.Context(), src, dst, CopyOptions{})
				if !errors.Is(err, c.want) {
					t.Errorf("error = %v, want %v", err, c.want)
				}
				if _, ok := dst.blobs[digest.FromString(contents)]; ok || len(dst.named) > 0 {
					t.Errorf("the broken blob is there: %v; named: %v", ok, dst.named)
				}
				if _, ok := dst.blobs[src.root.Digest]; ok {
					t.Error("the manifest is there, without its layer")
				}
			})
		})
	}
}

func TestFailureCancelsTheOthers(t *testing.T) {
	src, dst := newMemory(), newMemory()
	src.root = src.addImage(host, "a", "b", "c", "d", "e", "f", "g", "h")
	broken := errors.New("broken")
	for _, l := range []string{"a", "b", "d", "e", "f", "g", "h"} {
		src.faults[digest.FromString(l)] = []fault{{hang: true}}
	}
	src.faults[digest.FromString("c")] = []fault{{err: broken}}
	var failed []digest.Digest
	_, err := Copy(t.Context(), src, dst, CopyOptions{Parallel: 4, Progress: func(p Progress) {
		if p.State == Failed {
			failed = append(failed, p.Descriptor.Digest)
		}
	}})
	if !errors.Is(err, broken) {
		t.Errorf("error = %v, want %v", err, broken)
	}
	if dst.running != 0 {
		t.Errorf("%d blobs are still being put", dst.running)
	}
	if want := []digest.Digest{digest.FromString("c")}; !slices.Equal(failed, want) {
		t.Errorf("failed = %v, want %v", failed, want)
	}
}

func TestCancelledCopy(t *testing.T) {
	src, dst := newMemory(), newMemory()
	src.root = src.addImage(host, "a", "b")
	src.faults[digest.FromString("a")] = []fault{{hang: true}}
	stop := errors.New("the user went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := Copy(ctx, src, dst, CopyOptions{Progress: func(p Progress) {
		if p.State == Done && p.Descriptor.Digest == digest.FromString("b") {
			cancel(stop)
		}
	}})
	if !errors.Is(err, stop) || len(dst.named) > 0 {
		t.Errorf("error = %v, want %v; named: %v", err, stop, dst.named)
	}
}

func TestCopyRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		o     CopyOptions
		make  func(src *memory) ocispec.Descriptor
		match string // the whole error, with @ for the root's digest
	}{
		{"no such platform", CopyOptions{Platform: &alpha}, func(m *memory) ocispec.Descriptor { return m.addIndex(m.addImage(s390, "x")) },
			"no image for the platform linux/alpha; there are linux/s390x (hint: --platform)"},
		{"not in an index, and for another platform", CopyOptions{Platform: &alpha}, func(m *memory) ocispec.Descriptor { return m.addImage(s390, "x") },
			"no image for the platform linux/alpha: the image is for linux/s390x only (hint: --platform)"},
		{"long document", CopyOptions{}, func(m *memory) ocispec.Descriptor {
			return m.add(ocispec.MediaTypeImageManifest, strings.Repeat(" ", document.MaxSize+1))
		}, "@: 4194305 bytes; a document has at most 4194304"},
		{"foreign layer that is not there", CopyOptions{}, func(m *memory) ocispec.Descriptor {
			d := document.Describe(document.DockerForeignLayer, []byte("windows"))
			d.URLs = []string{"http://169.254.169.254/"}
			return m.addJSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{Config: m.add("a/b", "{}"), Layers: []ocispec.Descriptor{d}})
		}, digest.FromString("windows").String() + ": at byte 0 of 7: " +
			"a foreign layer, which this source does not have, and its urls are not followed: " + digest.FromString("windows").String() + ": no such blob"},
		{"one digest with two sizes", CopyOptions{}, func(m *memory) ocispec.Descriptor {
			a := m.add("a/b", "x")
			b := a
			b.Size = 9
			return m.addJSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{Config: a, Layers: []ocispec.Descriptor{b}})
		}, digest.FromString("x").String() + ": 1 bytes in one place, 9 in another"},
		{"digest that is a path", CopyOptions{}, func(m *memory) ocispec.Descriptor {
			return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: "sha256:../../x", Size: 1}
		}, `digest "sha256:../../x": invalid checksum digest length`},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, dst := newMemory(), newMemory()
			src.root = c.make(src)
			_, err := Copy(t.Context(), src, dst, c.o)
			want := strings.ReplaceAll(c.match, "@", src.root.Digest.String())
			if err == nil || err.Error() != want {
				t.Errorf("error = %v\nwant    %s", err, want)
			}
			if len(dst.named) > 0 {
				t.Errorf("named: %v", dst.named)
			}
		})
	}
}

func TestNestedIndexesEnd(t *testing.T) {
	for _, all := range []bool{false, true} {
		src, dst := newMemory(), newMemory()
		src.root = src.addImage(host, "x")
		for range maxDepth + 2 {
			src.root.Platform = &host
			src.root = src.addIndex(src.root)
		}
		if _, err := Copy(t.Context(), src, dst, CopyOptions{AllPlatforms: all}); err == nil || !strings.HasSuffix(err.Error(), "indexes in indexes, more than 4 deep") {
			t.Errorf("all platforms %v: error = %v", all, err)
		}
	}
}

func TestForeignLayerThatIsThere(t *testing.T) {
	src, dst := newMemory(), newMemory()
	l := src.add(document.DockerForeignLayer, "windows")
	src.root = src.addJSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{Config: src.add("a/b", "{}"), Layers: []ocispec.Descriptor{l}})
	if _, err := Copy(t.Context(), src, dst, CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	dst.sameBlobs(t, src, src.tree(t, src.root)...)
}
