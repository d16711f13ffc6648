// SPDX-License-Identifier: Apache-2.0

package document

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	zeros   = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	ones    = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	config  = `{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + zeros + `","size":2}`
	layer   = `{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"` + ones + `","size":3}`
	image   = ocispec.MediaTypeImageManifest
	index   = ocispec.MediaTypeImageIndex
	entry   = `{"mediaType":"` + image + `","digest":"` + ones + `","size":3}`
	dataHi  = `{"mediaType":"a/b","size":2,"digest":"sha256:8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4","data":"`
	subject = `,"subject":{"mediaType":"a/b","digest":"sha256:../x","size":1}`
)

var parseCases = []struct {
	name, mediaType, raw string
	want                 string // the media type, or the error's end
}{
	{"oci manifest", image, `{"schemaVersion":2,"mediaType":"` + image + `","config":` + config + `,"layers":[` + layer + `]}`, image},
	{"no media type inside", image, `{"schemaVersion":2,"config":` + config + `,"layers":[]}`, image},
	{"no media type in the descriptor", "", `{"schemaVersion":2,"mediaType":"` + DockerManifest + `","config":` + config + `,"layers":[]}`, DockerManifest},
	{"no media type at all: manifest", "", `{"schemaVersion":2,"config":` + config + `,"layers":[]}`, image},
	{"no media type at all: index", "", `{"schemaVersion":2,"manifests":[]}`, index},
	{"layers are null", image, `{"schemaVersion":2,"config":` + config + `,"layers":null}`, image},
	{"manifests are null", index, `{"schemaVersion":2,"manifests":null}`, index},
	{"docker list", DockerIndex, `{"schemaVersion":2,"mediaType":"` + DockerIndex + `","manifests":[` + entry + `]}`, DockerIndex},
	{"unknown members", image, `{"schemaVersion":2,"new":{"a":[1]},"config":` + config + `,"layers":[]}`, image},
	{"annotations differ by case only", image, `{"config":` + config + `,"layers":[],"annotations":{"a":"1","A":"2"}}`, image},
	{"unknown layer type", image, `{"config":` + config + `,"layers":[{"mediaType":"a/b","digest":"` + ones + `","size":1}]}`, image},
	{"sha512", index, `{"manifests":[{"mediaType":"a/b","size":1,"digest":"sha512:` + strings.Repeat("a", 128) + `"}]}`, index},
	{"embedded data", image, `{"config":` + dataHi + `aGk="},"layers":[]}`, image},

	{"CVE-2021-41190", image, `{"schemaVersion":2,"config":` + config + `,"layers":[],"manifests":[]}`, "it is a manifest and an index at once"},
	{"CVE-2021-41190 as an index", index, `{"schemaVersion":2,"layers":null,"manifests":[]}`, "it is a manifest and an index at once"},
	{"another type inside", image, `{"schemaVersion":2,"mediaType":"` + DockerManifest + `","config":` + config + `}`, "media type " + image + ", but the document says " + DockerManifest},
	{"index called a manifest", image, `{"schemaVersion":2,"manifests":[]}`, "the contents do not fit the media type " + image},
	{"empty", index, `{}`, "the contents do not fit the media type " + index},
	{"null", index, `null`, "the contents do not fit the media type " + index},
	{"layer called a manifest", "application/vnd.oci.image.layer.v1.tar", `{"config":` + config + `}`, `media type "application/vnd.oci.image.layer.v1.tar" is neither a manifest's nor an index's`},
	{"schema 1", image, `{"schemaVersion":1,"fsLayers":[]}`, "(hint: push the image again with any present tool)"},
	{"schema 3", image, `{"schemaVersion":3,"config":` + config + `}`, "schemaVersion is 3, not 2"},
	{"two members of one name", image, `{"config":` + config + `,"layers":[],"layers":[` + layer + `]}`, `"layers": two members have this name`},
	{"two members of one name, deep", image, `{"config":` + config + `,"layers":[{"size":1,"size":2}]}`, `"layers.size": two members have this name`},
	{"two members of one name, in what nobody reads", image, `{"config":` + config + `,"x":[{"a":1,"a":2}]}`, `"x.a": two members have this name`},
	{"wrong case", index, `{"Manifests":[]}`, `"Manifests": the member is called "manifests"`},
	{"wrong case by another letter", index, "{\"manife\u017fts\":[]}", "\"manife\u017fts\": the member is called \"manifests\""},
	{"wrong case, deep", index, `{"manifests":[{"platform":{"OS":"linux"}}]}`, `"manifests.platform.OS": the member is called "os"`},
	{"not UTF-8", image, "{\"config\":" + config + ",\"a\":\"\xff\"}", "not UTF-8"},
	{"no config", image, `{"layers":[]}`, `digest "": invalid checksum digest format`},
	{"path as a digest", image, `{"config":{"digest":"sha256:../../etc/passwd","size":1}}`, `digest "sha256:../../etc/passwd": invalid checksum digest length`},
	{"path as an algorithm", image, `{"config":{"digest":"../x:00","size":1}}`, `digest "../x:00": invalid checksum digest format`},
	{"upper-case digest", image, `{"config":{"digest":"sha256:` + strings.Repeat("A", 64) + `","size":1}}`, "invalid checksum digest format"},
	{"sha384", image, `{"config":{"digest":"sha384:` + strings.Repeat("a", 96) + `","size":1}}`, "algorithm sha384 is not supported"},
	{"negative size", image, `{"config":{"digest":"` + zeros + `","size":-1}}`, zeros + ": size -1"},
	{"subject's digest", image, `{"config":` + config + subject + `}`, `digest "sha256:../x": invalid checksum digest length`},
	{"wrong embedded data", image, `{"config":` + dataHi + `aG8="}}`, "embedded data: sha256:8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4: the contents have the digest sha256:a821c62e8104f8519d639b4c0948aece641b143f6601fa145993bb2e2c7299d4"},
	{"many entries", index, `{"manifests":[` + strings.Repeat(`{},`, maxEntries) + `{}]}`, `"manifests": more than 10000 entries`},
	{"too long", index, `{"manifests":[]` + strings.Repeat(" ", MaxSize) + `}`, "4194320 bytes; a document has at most 4194304"},
	{"rest after the document", index, `{"manifests":[]}{}`, "invalid character '{' after top-level value"},
	{"deep", index, `{"manifests":[],"x":` + strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20) + `}`, "exceeded max depth"},
}

func TestParse(t *testing.T) {
	for _, c := range parseCases {
		t.Run(c.name, func(t *testing.T) {
			d := Describe(c.mediaType, []byte(c.raw))
			doc, err := Parse([]byte(c.raw), d)
			if err != nil {
				if !strings.HasSuffix(err.Error(), c.want) {
					t.Errorf("error = %q, want one that ends with %q", err, c.want)
				}
				return
			}
			if doc.Descriptor.MediaType != c.want {
				t.Fatalf("media type = %q, want %q", doc.Descriptor.MediaType, c.want)
			}
			if (doc.Index != nil) != IsIndex(c.want) || (doc.Manifest != nil) != IsManifest(c.want) || string(doc.Raw) != c.raw {
				t.Errorf("document = %+v", doc)
			}
		})
	}
}

func TestVerify(t *testing.T) {
	good := Describe("a/b", []byte("hi"))
	longer, other, algorithm := good, good, good
	longer.Size++
	other.Digest = digest.FromString("ho")
	algorithm.Digest = digest.SHA512.FromString("hi")
	for _, c := range []struct {
		name string
		d    ocispec.Descriptor
		want string
	}{
		{"good", good, ""},
		{"sha512", algorithm, ""},
		{"size", longer, good.Digest.String() + ": 2 bytes, and the descriptor says 3"},
		{"digest", other, other.Digest.String() + ": the contents have the digest " + good.Digest.String()},
		{"none", ocispec.Descriptor{}, `digest "": invalid checksum digest format`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if err := Verify([]byte("hi"), c.d); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("error = %q, want %q", got, c.want)
			}
		})
	}
}

func TestChildrenAreCopies(t *testing.T) {
	raw := `{"manifests":[` + entry + `]}`
	doc, err := Parse([]byte(raw), Describe(index, []byte(raw)))
	if err != nil {
		t.Fatal(err)
	}
	doc.Children()[0].Size = 99
	if got := doc.Index.Manifests[0].Size; got != 3 {
		t.Errorf("size = %d, want 3", got)
	}
}

var configCases = []struct {
	name, raw string
	layers    int
	mediaType string
	artifact  bool
	want      string // the error's end
}{
	{"oci", `{"rootfs":{"type":"layers","diff_ids":["` + zeros + `"]}}`, 1, ocispec.MediaTypeImageConfig, false, ""},
	{"docker, with members of its own", `{"container_config":{"Cmd":[]},"config":{"Image":"x","Labels":{"a":"","A":""}},"rootfs":{"type":"layers","diff_ids":["` + zeros + `"]}}`, 1, DockerConfig, false, ""},
	{"no layers", `{"rootfs":{"type":"layers","diff_ids":null}}`, 0, ocispec.MediaTypeImageConfig, false, ""},
	{"too few diff ids", `{"rootfs":{"type":"layers","diff_ids":["` + zeros + `"]}}`, 2, ocispec.MediaTypeImageConfig, false, "2 layers, but rootfs.diff_ids has 1"},
	{"too many diff ids", `{"rootfs":{"type":"layers","diff_ids":["` + zeros + `"]}}`, 0, ocispec.MediaTypeImageConfig, false, "0 layers, but rootfs.diff_ids has 1"},
	{"empty object", `{}`, 0, ocispec.MediaTypeEmptyJSON, true, `rootfs.type is "", not "layers": this is an artifact, not a container image`},
	{"null", `null`, 0, ocispec.MediaTypeImageConfig, true, `rootfs.type is "", not "layers": this is an artifact, not a container image`},
	{"other rootfs", `{"rootfs":{"type":"tree"}}`, 0, ocispec.MediaTypeImageConfig, true, `rootfs.type is "tree", not "layers": this is an artifact, not a container image`},
	{"chart that looks like an image", `{"rootfs":{"type":"layers"}}`, 0, "application/vnd.cncf.helm.config.v1+json", true, `config is of type "application/vnd.cncf.helm.config.v1+json": this is an artifact, not a container image`},
	{"path as a diff id", `{"rootfs":{"type":"layers","diff_ids":["sha256:.."]}}`, 1, ocispec.MediaTypeImageConfig, false, `rootfs.diff_ids[0]: digest "sha256:..": invalid checksum digest length`},
	{"two roots", `{"rootfs":{"type":"layers"},"rootfs":{"type":"layers"}}`, 0, ocispec.MediaTypeImageConfig, false, `"rootfs": two members have this name`},
	{"two users", `{"rootfs":{"type":"layers"},"config":{"User":"1","user":"0"}}`, 0, ocispec.MediaTypeImageConfig, false, `"config.user": the member is called "User"`},
	{"many environment variables", `{"config":{"Env":[` + strings.Repeat(`"",`, maxEntries) + `""]}}`, 0, ocispec.MediaTypeImageConfig, false, `"config.Env": more than 10000 entries`},
	{"a list", `[]`, 0, ocispec.MediaTypeImageConfig, false, "Go value of type struct {}"},
}

func TestConfigOfImage(t *testing.T) {
	for _, c := range configCases {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseConfig([]byte(c.raw))
			if err == nil {
				m := &ocispec.Manifest{Config: ocispec.Descriptor{MediaType: c.mediaType}}
				for range c.layers {
					m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer})
				}
				err = CheckImage(m, got)
			}
			if c.want == "" {
				if err != nil || string(got.Raw) != c.raw {
					t.Errorf("config = %v, error = %v", got, err)
				}
				return
			}
			if err == nil || !strings.HasSuffix(err.Error(), c.want) {
				t.Fatalf("error = %v, want one that ends with %q", err, c.want)
			}
			if errors.Is(err, ErrNotImage) != c.artifact {
				t.Errorf("errors.Is(%q, ErrNotImage) = %v, want %v", err, !c.artifact, c.artifact)
			}
		})
	}
}

func TestLayerOfUnknownTypeIsNoImage(t *testing.T) {
	m := &ocispec.Manifest{Config: ocispec.Descriptor{MediaType: DockerConfig}, Layers: []ocispec.Descriptor{{MediaType: "a/b"}}}
	c := &Config{Image: ocispec.Image{RootFS: ocispec.RootFS{DiffIDs: []digest.Digest{zeros}}}}
	if err := CheckImage(m, c); err == nil || err.Error() != `layer of type "a/b" is not supported` {
		t.Errorf("error = %v", err)
	}
}

func TestLayerTypes(t *testing.T) {
	for _, c := range []struct {
		mediaType string
		want      Compression
		foreign   bool
	}{
		{"application/vnd.oci.image.layer.v1.tar", Uncompressed, false},
		{"application/vnd.oci.image.layer.v1.tar+gzip", Gzip, false},
		{"application/vnd.oci.image.layer.v1.tar+zstd", Zstd, false},
		{"application/vnd.oci.image.layer.nondistributable.v1.tar", Uncompressed, true},
		{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Gzip, true},
		{"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", Zstd, true},
		{"application/vnd.docker.image.rootfs.diff.tar", Uncompressed, false},
		{"application/vnd.docker.image.rootfs.diff.tar.gzip", Gzip, false},
		{"application/vnd.docker.image.rootfs.diff.tar.zstd", Zstd, false},
		{"application/vnd.docker.image.rootfs.foreign.diff.tar", Uncompressed, true},
		{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Gzip, true},
	} {
		got, err := CompressionOf(c.mediaType)
		if err != nil || got != c.want || IsForeign(c.mediaType) != c.foreign {
			t.Errorf("%s: compression %q, foreign %v, error %v; want %q, %v", c.mediaType, got, IsForeign(c.mediaType), err, c.want, c.foreign)
		}
	}
	if _, err := CompressionOf("application/vnd.oci.image.layer.v1.tar+lzma"); err == nil {
		t.Error("lzma is supported, want an error")
	}
}

// The values come from sha256sum, not from Go.
func TestChainID(t *testing.T) {
	a, b, c := digest.FromString("a"), digest.FromString("b"), digest.FromString("c")
	for _, x := range []struct {
		ids  []digest.Digest
		want digest.Digest
	}{
		{nil, ""},
		{[]digest.Digest{a}, "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"},
		{[]digest.Digest{a, b}, "sha256:51c0c8ace48498d6f5fee6b0592cc06f2da0f3cbe09c5a34a97dce85c3889676"},
		{[]digest.Digest{a, b, c}, "sha256:2fce7f8ce91bcf0a1428b36e1024639fdbd9469eea762dba98aa749631885106"},
	} {
		if got := ChainID(x.ids); got != x.want {
			t.Errorf("ChainID(%v) = %s, want %s", x.ids, got, x.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range parseCases {
		if len(c.raw) < 1<<12 {
			f.Add([]byte(c.raw), c.mediaType)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, mediaType string) {
		doc, err := Parse(raw, Describe(mediaType, raw))
		if err != nil {
			return
		}
		if (doc.Index == nil) == (doc.Manifest == nil) {
			t.Fatalf("document is both or neither: %+v", doc)
		}
		for _, d := range doc.Children() {
			if err := CheckDescriptor(d); err != nil {
				t.Errorf("child: %v", err)
			}
			if strings.Contains(d.Digest.String(), "/") {
				t.Errorf("digest %q leads to another directory", d.Digest)
			}
		}
		if doc.Index != nil {
			_, _ = Select(doc.Index, HostPlatform()) // must not panic
		}
		again, err := Parse(doc.Raw, doc.Descriptor)
		if err != nil || !reflect.DeepEqual(again, doc) {
			t.Errorf("parsed again: %+v, %v; want %+v", again, err, doc)
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	for _, c := range configCases {
		if len(c.raw) < 1<<12 {
			f.Add([]byte(c.raw))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseConfig(raw)
		if err != nil {
			return
		}
		for _, id := range c.RootFS.DiffIDs {
			if strings.Contains(id.String(), "/") {
				t.Errorf("diff id %q leads to another directory", id)
			}
		}
	})
}
