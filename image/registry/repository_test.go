// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/reference"
	"berth/image/transport"
	"berth/tests/registryfault"
)

var (
	_ transport.Source    = (*Repository)(nil)
	_ transport.Sink      = (*Repository)(nil)
	_ transport.Temporary = (*passing)(nil)
)

// quick are options for tests: files of the machine have no part in them.
func quick(t testing.TB) Options {
	t.Setenv("REGISTRY_AUTH_FILE", t.TempDir()+"/none")
	return Options{CertDirs: []string{}, Backoff: time.Millisecond, IdleTimeout: time.Minute, Warn: func(s string) { t.Log("warning:", s) }}
}

func open(t testing.TB, r *registryfault.Registry, path string, o Options) *Repository {
	t.Helper()
	return openName(t, r.Host()+"/"+path, o)
}

func openName(t testing.TB, s string, o Options) *Repository {
	t.Helper()
	name, err := reference.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := Open(name, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(repo.Close)
	return repo
}

// fetch reads a blob to its end, whatever comes of it.
func fetch(repo *Repository, d ocispec.Descriptor, offset int64) (string, error) {
	body, err := repo.Fetch(context.Background(), d, offset)
	if err != nil {
		return "", err
	}
	defer body.Close()
	raw, err := io.ReadAll(body)
	return string(raw), err
}

func opener(raw string) func(int64) (io.ReadCloser, error) {
	return func(offset int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(raw[offset:])), nil
	}
}

func describe(mediaType, raw string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(raw), Size: int64(len(raw))}
}

const manifest = `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageManifest + `","config":{},"layers":[]}`

func TestResolve(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{})
	want := r.AddDocument("a/b", "1", ocispec.MediaTypeImageManifest, []byte(manifest))
	for _, name := range []string{"a/b:1", "a/b@" + want.Digest.String(), "a/b:other@" + want.Digest.String()} {
		got, err := open(t, r, name, quick(t)).Resolve(t.Context())
		if err != nil || got.Digest != want.Digest || got.Size != want.Size || got.MediaType != want.MediaType {
			t.Errorf("%s = %+v, %v, want %+v", name, got, err, want)
		}
	}
	if n := len(r.Requests("GET /v2/a/b/manifests")); n != 0 {
		t.Errorf("%d GETs of a manifest: registries count these", n)
	}
	for _, fault := range []registryfault.Fault{registryfault.Status(http.StatusMethodNotAllowed), registryfault.SetHeader("Docker-Content-Digest", "")} {
		r.Inject(1, http.MethodHead, "/manifests/", fault)
		if got, err := open(t, r, "a/b:1", quick(t)).Resolve(t.Context()); err != nil || got.Digest != want.Digest || got.MediaType != want.MediaType {
			t.Errorf("after a bad answer to HEAD: %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestHugeManifestIsRefused(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{})
	d := r.AddDocument("a", "huge", ocispec.MediaTypeImageManifest, bytes.Repeat([]byte(" "), 4<<20+1))
	repo := open(t, r, "a:huge", quick(t))
	_, err := repo.Resolve(t.Context())
	wantError(t, err, "cannot pull "+r.Host()+"/a:huge: its manifest has 4194305 bytes; at most 4194304 are possible")
	_, err = repo.Fetch(t.Context(), d, 0)
	wantError(t, err, d.Digest.String()+": a manifest of 4194305 bytes; at most 4194304 are possible")
	r.Inject(1, http.MethodHead, "", registryfault.Status(http.StatusMethodNotAllowed))
	r.Inject(1, http.MethodGet, "/manifests/", registryfault.Huge(4<<20))
	_, err = repo.Resolve(t.Context())
	wantError(t, err, "cannot pull "+r.Host()+"/a:huge: "+r.Host()+": the manifest is longer than 4194304 bytes")
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("error = %v\n want   %s", err, want)
	}
}

func TestMissingImage(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{})
	repo := open(t, r, "a:none", quick(t))
	_, err := repo.Resolve(t.Context())
	wantError(t, err, "cannot pull "+r.Host()+"/a:none: "+r.Host()+": not found (hint: does the image exist? is the tag right?)")
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("errors.Is(%v, ErrNotFound) = false", err)
	}
	d := describe(ocispec.MediaTypeImageLayer, "never stored")
	if _, err := fetch(repo, d, 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("a missing blob: %v, want %v", err, ErrNotFound)
	}
	if has, err := repo.Has(t.Context(), d); has || err != nil {
		t.Errorf("Has = %v, %v, want false", has, err)
	}
}

func TestMissingRegistry(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{})
	r.Close()
	_, err := open(t, r, "a", quick(t)).Resolve(t.Context())
	if err == nil || !strings.HasSuffix(err.Error(), "connect: connection refused (hint: is the registry running there?)") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error = %v", err)
	}
}

func TestPushAndPullBack(t *testing.T) {
	for _, o := range []registryfault.Options{{}, {TLS: true}, {User: "u", Password: "p"}, {TLS: true, Token: true, User: "u", Password: "p"}, {Token: true}} {
		r := registryfault.New(t, o)
		options := quick(t)
		options.Username, options.Password, options.UserAgent = o.User, o.Password, "test/1"
		if o.TLS {
			options.CAFile = r.CAFile(t)
		}
		repo := open(t, r, "a/b:1", options)
		layer, root := describe(ocispec.MediaTypeImageLayer, "layer"), describe(ocispec.MediaTypeImageManifest, manifest)
		empty := describe(ocispec.MediaTypeImageLayer, "")
		for raw, d := range map[string]ocispec.Descriptor{"layer": layer, "": empty, manifest: root} {
			if has, err := repo.Has(t.Context(), d); has || err != nil {
				t.Fatalf("%+v: Has before = %v, %v, want false", o, has, err)
			}
			if err := repo.Put(t.Context(), d, opener(raw)); err != nil {
				t.Fatalf("%+v: %v", o, err)
			}
			if has, err := repo.Has(t.Context(), d); !has || err != nil {
				t.Fatalf("%+v: Has after = %v, %v, want true", o, has, err)
			}
			if got, err := fetch(repo, d, 0); got != raw || err != nil {
				t.Errorf("%+v: fetched %q, %v, want %q", o, got, err, raw)
			}
		}
		if err := repo.Finish(t.Context(), root); err != nil {
			t.Fatal(err)
		}
		if got, err := repo.Resolve(t.Context()); err != nil || got.Digest != root.Digest {
			t.Errorf("%+v: resolved %+v, %v, want %s", o, got, err, root.Digest)
		}
		for _, q := range r.Requests("") {
			if o.TLS && q.Major != 2 || q.UserAgent != "test/1" {
				t.Errorf("%+v: request %+v", o, q)
			}
		}
	}
}

// TestFinishOfWhatWasThere: then nothing was put, and the manifest comes from
// the registry.
func TestFinishOfWhatWasThere(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{})
	root := r.AddDocument("a", "", ocispec.MediaTypeImageManifest, []byte(manifest))
	if err := open(t, r, "a:new", quick(t)).Finish(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if got := string(r.Document("a", "new")); got != manifest {
		t.Errorf("under the tag is %q, want %q", got, manifest)
	}
	other := digest.FromString("other")
	err := open(t, r, "a@"+other.String(), quick(t)).Finish(t.Context(), root)
	wantError(t, err, "cannot push "+r.Host()+"/a@"+other.String()+": the image has the digest "+root.Digest.String())
}

func TestReferrersAreLeftAlone(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{})
	raw := `{"schemaVersion":2,"subject":{"mediaType":"x/y","digest":"` + digest.FromString("").String() + `","size":0}}`
	root := describe(ocispec.MediaTypeImageManifest, raw)
	repo := open(t, r, "a:1", quick(t))
	if err := repo.Put(t.Context(), root, opener(raw)); err != nil {
		t.Fatal(err)
	}
	if err := repo.Finish(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, q := range r.Requests("") {
		if q.Path != "/v2/" {
			paths = append(paths, q.Method+" "+q.Path)
		}
	}
	if want := []string{"PUT /v2/a/manifests/" + root.Digest.String(), "PUT /v2/a/manifests/1"}; !slices.Equal(paths, want) {
		t.Errorf("requests = %q, want %q", paths, want)
	}
}

func TestMount(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{})
	d := describe(ocispec.MediaTypeImageLayer, "layer")
	if err := open(t, r, "from", quick(t)).Put(t.Context(), d, opener("layer")); err != nil {
		t.Fatal(err)
	}
	o := quick(t)
	o.MountFrom = []string{"to", "other", "from"}
	never := func(int64) (io.ReadCloser, error) { return nil, errors.New("was opened") }
	if err := open(t, r, "to", o).Put(t.Context(), d, never); err != nil {
		t.Error(err)
	}
	o.MountFrom = []string{"other"}
	if err := open(t, r, "third", o).Put(t.Context(), d, opener("layer")); err != nil {
		t.Error(err)
	}
	if n := len(r.Requests("PUT /v2/third/blobs/")); n != 1 {
		t.Errorf("%d uploads without a mount, want 1", n)
	}
}

func TestTags(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{})
	for _, tag := range []string{"c", "a", "e", "b", "d"} {
		r.AddDocument("x/y", tag, ocispec.MediaTypeImageManifest, []byte(manifest))
	}
	name, _ := reference.Parse(r.Host() + "/x/y")
	got, err := Tags(t.Context(), name, quick(t))
	if want := []string{"a", "b", "c", "d", "e"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("tags = %q, %v, want %q", got, err, want)
	}
	name.Repository = "none"
	_, err = Tags(t.Context(), name, quick(t))
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("tags of nothing: %v, want %v", err, ErrNotFound)
	}
}

func TestParallelFetchesShareOneConnection(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{TLS: true})
	o := quick(t)
	o.CAFile = r.CAFile(t)
	repo := open(t, r, "a", o)
	d := r.AddBlob(bytes.Repeat([]byte("layer"), 1<<16))
	if _, err := fetch(repo, d, 0); err != nil { // HTTP/2 is known from now on
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got, err := fetch(repo, d, 0); int64(len(got)) != d.Size || err != nil {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
	if n := len(r.Connections()); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestMirrors(t *testing.T) {
	registry := registryfault.New(t, registryfault.Options{})
	empty, broken, good := registryfault.New(t, registryfault.Options{}), registryfault.New(t, registryfault.Options{}), registryfault.New(t, registryfault.Options{})
	blob := good.AddBlob([]byte("layer"))
	registry.AddBlob([]byte("layer"))
	good.AddDocument("cache/a", "1", ocispec.MediaTypeImageManifest, []byte(manifest))
	broken.Inject(100, "", "/manifests/", registryfault.Status(http.StatusBadGateway))
	o := quick(t)
	var warned []string
	o.Warn = func(s string) { warned = append(warned, s) }
	o.Username, o.Password = "u", "secret"
	o.Mirrors = map[string][]string{registry.Host(): {empty.Host(), broken.Host(), good.Host() + "/cache"}}
	repo := open(t, registry, "a:1", o)
	d, err := repo.Resolve(t.Context())
	if want := digest.FromString(manifest); err != nil || d.Digest != want {
		t.Fatalf("resolved %+v, %v, want %s", d, err, want)
	}
	if got, err := fetch(repo, blob, 0); got != "layer" || err != nil {
		t.Errorf("fetched %q, %v", got, err)
	}
	if n := len(broken.Requests("/v2/a/")); n != 1 {
		t.Errorf("the broken mirror was asked %d times, want 1", n)
	}
	if n := len(registry.Requests("")); n != 0 {
		t.Errorf("the registry was asked %d times, want 0", n)
	}
	want := []string{"cannot pull " + registry.Host() + "/a:1 from a mirror: " + broken.Host() + ": 502 bad gateway"}
	if !slices.Equal(warned, want) {
		t.Errorf("warnings = %q, want %q", warned, want)
	}
	// A mirror that cuts is not asked for the rest.
	good.Inject(1, http.MethodGet, "/blobs/", registryfault.CutAfter(2))
	if got, err := fetch(repo, blob, 0); got != "la" || !isTemporary(err) {
		t.Errorf("cut: %q, %v", got, err)
	}
	if got, err := fetch(repo, blob, 2); got != "yer" || err != nil {
		t.Errorf("the rest = %q, %v", got, err)
	}
	if n := len(registry.Requests("GET /v2/a/blobs/")); n != 1 {
		t.Errorf("the registry was asked %d times, want 1", n)
	}
	// Pushes do not go to mirrors.
	if err := repo.Put(t.Context(), describe("x/y", "new"), opener("new")); err != nil {
		t.Error(err)
	}
	if n := len(good.Requests("POST ")) + len(empty.Requests("POST ")); n != 0 {
		t.Errorf("%d uploads to mirrors", n)
	}
}

func isTemporary(err error) bool {
	_, ok := temporary(err)
	return ok
}

func TestParseMirror(t *testing.T) {
	for _, test := range []struct{ in, registry, mirror, err string }{
		{"docker.io=mirror.example:5000/cache", "docker.io", "mirror.example:5000/cache", ""},
		{"index.docker.io=[::1]:5000", "docker.io", "[::1]:5000", ""},
		{"docker.io", "", "", `mirror "docker.io": want REGISTRY=MIRROR`},
		{"docker.io=https://x", "", "", `mirror "docker.io=https://x": registry "https:": port "" is not one of 1 to 65535`},
		{"docker.io=x/../y", "", "", `mirror "docker.io=x/../y": image name "docker.io/../y/x": repository component "..": one of . _ __ or dashes may stand between letters and digits, and nowhere else`},
	} {
		registry, mirror, err := ParseMirror(test.in)
		if registry != test.registry || mirror != test.mirror || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
			t.Errorf("ParseMirror(%q) = %q, %q, %v, want %+v", test.in, registry, mirror, err, test)
		}
	}
}

func TestWarningsAreOneLine(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{})
	r.AddDocument("a", "latest", ocispec.MediaTypeImageManifest, []byte(manifest))
	r.Inject(1, http.MethodHead, "/manifests/", registryfault.SetHeader("Warning", `299 - "old\u001b[31m\nand slow"`))
	o := quick(t)
	var warned []string
	o.Warn = func(s string) { warned = append(warned, s) }
	if _, err := open(t, r, "a", o).Resolve(t.Context()); err != nil {
		t.Error(err)
	}
	if want := []string{r.Host() + " warns: old [31m and slow"}; !slices.Equal(warned, want) {
		t.Errorf("warnings = %q, want %q", warned, want)
	}
}
