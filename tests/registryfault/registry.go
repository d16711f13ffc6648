// SPDX-License-Identifier: Apache-2.0

// Package registryfault is a small registry inside the test's process, with
// faults on demand. It keeps everything in memory and remembers who asked for
// what. It is as lenient as a test can afford, and no model of a registry.
//
//	r := registryfault.New(t, registryfault.Options{TLS: true})
//	d := r.AddBlob([]byte("layer"))
//	r.Inject(1, "GET", "/blobs/", registryfault.CutAfter(2))
package registryfault

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Options are how the registry is reached, and by whom.
type Options struct {
	TLS      bool // with HTTP/2
	User     string
	Password string // with User: basic authentication
	Token    bool   // a token server instead of basic authentication
	Realm    string // of the token server; default: the registry itself
}

// Request is what somebody sent.
type Request struct {
	Method, Path, Query, Authorization, Range, UserAgent, From string
	Major                                                      int // of the protocol
}

// Registry is a running registry. Its fields may be read, and what it holds
// changed, between requests.
type Registry struct {
	*httptest.Server
	options Options

	mu        sync.Mutex
	blobs     map[digest.Digest][]byte
	owners    map[string]bool // repository@digest, for what may be seen where
	documents map[string]document
	uploads   int
	faults    []*injected
	requests  []Request
	tokens    map[string]bool
	issued    int
}

type document struct {
	mediaType string
	raw       []byte
}

// New starts a registry on a loopback port; it ends with the test.
func New(t testing.TB, o Options) *Registry {
	r := &Registry{options: o, blobs: map[digest.Digest][]byte{}, owners: map[string]bool{}, documents: map[string]document{}, tokens: map[string]bool{}}
	r.Server = httptest.NewUnstartedServer(r)
	r.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // faults are on purpose
	if o.TLS {
		r.EnableHTTP2 = true
		r.StartTLS()
	} else {
		r.Start()
	}
	t.Cleanup(func() {
		r.CloseClientConnections() // of requests that hang
		r.Close()
	})
	return r
}

// Host is the registry's name in image names.
func (r *Registry) Host() string { return r.Listener.Addr().String() }

// CAFile writes the certificate that a client has to trust.
func (r *Registry) CAFile(t testing.TB) string {
	file := filepath.Join(t.TempDir(), "ca.crt")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// AddBlob puts a blob into every repository.
func (r *Registry) AddBlob(raw []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blobs[d.Digest] = raw
	return d
}

// AddDocument puts a manifest or index into a repository, under a tag if that
// is not empty.
func (r *Registry) AddDocument(repository, tag, mediaType string, raw []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.documents[repository+"@"+d.Digest.String()] = document{mediaType, raw}
	if tag != "" {
		r.documents[repository+"@"+tag] = document{mediaType, raw}
	}
	return d
}

// Document is what a tag or digest of a repository leads to, nil for nothing.
func (r *Registry) Document(repository, reference string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.documents[repository+"@"+reference].raw
}

// Blob is what a digest leads to.
func (r *Registry) Blob(d digest.Digest) (raw []byte, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	raw, ok = r.blobs[d]
	return raw, ok
}

// Requests are those so far whose "METHOD path" has the text in it.
func (r *Registry) Requests(text string) []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []Request
	for _, q := range r.requests {
		if strings.Contains(q.Method+" "+q.Path, text) {
			found = append(found, q)
		}
	}
	return found
}

// ExpireTokens makes all tokens invalid that were given out.
func (r *Registry) ExpireTokens() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.tokens)
}

// ServeHTTP writes a request down, and answers it or lets a fault do that.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.requests = append(r.requests, Request{req.Method, req.URL.Path, req.URL.RawQuery, req.Header.Get("Authorization"), req.Header.Get("Range"), req.UserAgent(), req.RemoteAddr, req.ProtoMajor})
	fault := r.take(req)
	r.mu.Unlock()
	var handler http.Handler = http.HandlerFunc(r.answer)
	if fault != nil {
		handler = fault(handler)
	}
	handler.ServeHTTP(w, req)
}

func (r *Registry) answer(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/token" {
		r.giveToken(w, req)
		return
	}
	if !r.authorized(req) {
		challenge := `Basic realm="registry"`
		if r.options.Token {
			realm := r.options.Realm
			if realm == "" {
				realm = r.URL + "/token"
			}
			challenge = fmt.Sprintf(`Bearer realm=%q,service="test"`, realm)
		}
		w.Header().Set("WWW-Authenticate", challenge)
		fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		return
	}
	path, ok := strings.CutPrefix(req.URL.Path, "/v2/")
	if !ok || path == "" {
		return // 200
	}
	for kind, handle := range map[string]func(w http.ResponseWriter, req *http.Request, repository, rest string){
		"/blobs/uploads/": r.upload, "/blobs/": r.blob, "/manifests/": r.manifest, "/tags/": r.tags,
	} {
		repository, rest, ok := strings.Cut(path, kind)
		if ok && !(kind == "/blobs/" && strings.HasPrefix(rest, "uploads/")) {
			handle(w, req, repository, rest)
			return
		}
	}
	http.NotFound(w, req)
}

func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}})
}

// blob answers GET and HEAD; http.ServeContent does the ranges.
func (r *Registry) blob(w http.ResponseWriter, req *http.Request, _, rest string) {
	raw, ok := r.Blob(digest.Digest(rest))
	if !ok {
		fail(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Docker-Content-Digest", rest)
	ServeRange(w, req, raw)
}

// ServeRange answers with bytes, or with a range "bytes=A-B" of them.
func ServeRange(w http.ResponseWriter, req *http.Request, raw []byte) {
	status, part := http.StatusOK, raw
	if spec, ok := strings.CutPrefix(req.Header.Get("Range"), "bytes="); ok {
		from, to, _ := strings.Cut(spec, "-")
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || first > last || last >= len(raw) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		status, part = http.StatusPartialContent, raw[first:last+1]
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(raw)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(part)))
	w.WriteHeader(status)
	if req.Method != http.MethodHead {
		_, _ = w.Write(part)
	}
}

func (r *Registry) manifest(w http.ResponseWriter, req *http.Request, repository, rest string) {
	if req.Method == http.MethodPut {
		raw, err := io.ReadAll(req.Body)
		if sum := digest.FromBytes(raw); err != nil || strings.Contains(rest, ":") && rest != sum.String() {
			fail(w, http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content")
			return
		}
		tag := rest
		if strings.Contains(tag, ":") {
			tag = ""
		}
		d := r.AddDocument(repository, tag, req.Header.Get("Content-Type"), raw)
		w.Header().Set("Docker-Content-Digest", d.Digest.String())
		w.WriteHeader(http.StatusCreated)
		return
	}
	r.mu.Lock()
	d, ok := r.documents[repository+"@"+rest]
	r.mu.Unlock()
	if !ok {
		fail(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		return
	}
	w.Header().Set("Content-Type", d.mediaType)
	w.Header().Set("Docker-Content-Digest", digest.FromBytes(d.raw).String())
	ServeRange(w, req, d.raw)
}

// upload is begun by POST, which may mount, and made by one PUT.
func (r *Registry) upload(w http.ResponseWriter, req *http.Request, repository, _ string) {
	query := req.URL.Query()
	if req.Method == http.MethodPost {
		if d := query.Get("mount"); d != "" && r.owns(query.Get("from"), d) {
			w.Header().Set("Docker-Content-Digest", d)
			w.WriteHeader(http.StatusCreated)
			return
		}
		r.mu.Lock()
		r.uploads++
		w.Header().Set("Location", fmt.Sprintf("/v2/%s/blobs/uploads/%d?state=x", repository, r.uploads))
		r.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
		return
	}
	raw, err := io.ReadAll(req.Body)
	if want := digest.Digest(query.Get("digest")); err != nil || want.Validate() != nil || want.Algorithm().FromBytes(raw) != want {
		fail(w, http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content")
		return
	}
	r.mu.Lock()
	r.blobs[digest.Digest(query.Get("digest"))] = raw
	r.owners[repository+"@"+query.Get("digest")] = true
	r.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
}

func (r *Registry) owns(repository, d string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.owners[repository+"@"+d]
}

// tags lists two a page.
func (r *Registry) tags(w http.ResponseWriter, req *http.Request, repository, _ string) {
	const page = 2
	r.mu.Lock()
	names := slices.Sorted(maps.Keys(r.documents))
	r.mu.Unlock()
	var tags []string
	known := false
	for _, name := range names {
		tag, ours := strings.CutPrefix(name, repository+"@")
		known = known || ours
		if ours && !strings.Contains(tag, ":") && tag > req.URL.Query().Get("last") {
			tags = append(tags, tag)
		}
	}
	if !known {
		fail(w, http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry")
		return
	}
	if len(tags) > page {
		tags = tags[:page]
		w.Header().Set("Link", fmt.Sprintf(`</v2/%s/tags/list?last=%s>; rel="next"`, repository, tags[page-1]))
	}
	var body bytes.Buffer
	_ = json.NewEncoder(&body).Encode(map[string]any{"name": repository, "tags": tags})
	_, _ = w.Write(body.Bytes())
}

// Connections are the addresses of clients from which requests came.
func (r *Registry) Connections() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []string
	for _, q := range r.requests {
		if !slices.Contains(found, q.From) {
			found = append(found, q.From)
		}
	}
	return found
}
