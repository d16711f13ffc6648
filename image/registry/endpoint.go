// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	orasregistry "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"berth/image/document"
	"berth/image/reference"
)

// documentTypes are the manifests and indexes that we can read.
var documentTypes = []string{ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, document.DockerIndex, document.DockerManifest}

// maxTagPages bounds how long a list of tags can be made.
const maxTagPages = 1000

// endpoint is a repository at one registry or mirror.
type endpoint struct {
	registry string // its name, as in image names
	wire     *wire
	plain    *http.Client // without credentials
	client   *client
	mayPlain bool
	unwell   atomic.Bool // a mirror that failed

	mu     sync.Mutex
	repo   *remote.Repository
	probed bool
}

// client lets oras-go authenticate, and reads answers that say no.
type client struct{ auth auth.Client }

func newEndpoint(registry, repository string, o Options) (*endpoint, error) {
	host := reference.HostOf(registry)
	own, other, err := tlsConfigs(registry, o)
	if err != nil {
		return nil, err
	}
	w := newWire(host, o.Insecure, o.IdleTimeout, own, other)
	e := &endpoint{registry: registry, wire: w, plain: &http.Client{Transport: w}, mayPlain: o.Insecure || isLoopback(host)}
	credential := sync.OnceValues(func() (auth.Credential, error) { return findCredential(registry, repository, o) })
	e.client = &client{auth.Client{
		Client:   e.plain,
		Header:   http.Header{"User-Agent": {o.UserAgent}},
		ClientID: "berth-image",
		Cache:    auth.NewCache(),
		Credential: func(_ context.Context, hostport string) (auth.Credential, error) {
			if hostport != host {
				return auth.EmptyCredential, nil
			}
			return credential()
		},
	}}
	e.repo = &remote.Repository{
		Client:             e.client,
		Reference:          orasregistry.Reference{Registry: registry, Repository: repository},
		ManifestMediaTypes: documentTypes,
		TagListMaxPages:    maxTagPages,
		MaxMetadataBytes:   document.MaxSize,
		HandleWarning: func(warning remote.Warning) {
			o.Warn(registry + " warns: " + oneLine(warning.Text))
		},
	}
	// So it does not keep an index of referrers for registries without the API:
	// we copy what we were given, and nothing else.
	if err := e.repo.SetReferrersCapability(true); err != nil {
		return nil, err
	}
	return e, nil
}

// Do sends a request with credentials. What a GET or HEAD does not find is an
// answer still; every other refusal is a *StatusError.
func (c *client) Do(req *http.Request) (*http.Response, error) {
	resp, err := c.auth.Do(req)
	if err != nil {
		return nil, err
	}
	asks := req.Method == http.MethodGet || req.Method == http.MethodHead
	if resp.StatusCode < 400 || asks && resp.StatusCode == http.StatusNotFound {
		return resp, nil
	}
	defer drain(resp.Body)
	return nil, statusError(resp, time.Now())
}

// ready is the repository, once it is known whether it speaks TLS.
func (e *endpoint) ready(ctx context.Context) (*remote.Repository, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mayPlain && !e.probed {
		plain, err := e.isPlain(ctx)
		if err != nil {
			return nil, err
		}
		e.repo.PlainHTTP = plain
	}
	e.probed = true
	return e.repo, nil
}

// isPlain asks for the API by TLS, and says whether there is none.
func (e *endpoint) isPlain(ctx context.Context) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+e.wire.host+"/v2/", nil)
	if err != nil {
		return false, err
	}
	req.Header = e.client.auth.Header.Clone()
	client := *e.plain
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err == nil {
		drain(resp.Body)
		return false, nil
	}
	if noTLS(err) {
		return true, nil
	}
	return false, err
}

// noTLS says that an error is not about certificates, but about there being no
// TLS at all: another port than 443 is open, or the server speaks HTTP.
func noTLS(err error) bool {
	var record tls.RecordHeaderError
	return errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &record) || errors.Is(err, syscall.ECONNREFUSED) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)
}

// address is the URL of something in the repository; kind is "manifests" or
// "blobs".
func address(repo *remote.Repository, kind, reference string) string {
	scheme := "https"
	if repo.PlainHTTP {
		scheme = "http"
	}
	return scheme + "://" + repo.Reference.Host() + "/v2/" + repo.Reference.Repository + "/" + kind + "/" + reference
}

// resolve finds the descriptor of a tag or digest.
func (e *endpoint) resolve(ctx context.Context, reference string) (ocispec.Descriptor, error) {
	repo, err := e.ready(ctx)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d, err := repo.Resolve(ctx, reference)
	if errors.Is(err, errdef.ErrNotFound) {
		err = errdef.ErrNotFound // the image is named by whoever explains it
	}
	if headIsEnough(err) {
		return d, err
	}
	return e.resolveByGet(ctx, repo, reference)
}

// headIsEnough is not so for registries that refuse HEAD, or answer without
// the digest or the size.
func headIsEnough(err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		return status.Status != http.StatusMethodNotAllowed && status.Status != http.StatusNotImplemented && status.Status != http.StatusBadRequest
	}
	var wire *url.Error
	var response *errcode.ErrorResponse
	return err == nil || errors.As(err, &wire) || errors.As(err, &response) ||
		errors.Is(err, errdef.ErrNotFound) || errors.Is(err, auth.ErrBasicCredentialNotFound)
}

func (e *endpoint) resolveByGet(ctx context.Context, repo *remote.Repository, reference string) (ocispec.Descriptor, error) {
	ctx = auth.AppendRepositoryScope(ctx, repo.Reference, auth.ActionPull)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address(repo, "manifests", reference), nil)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	req.Header.Set("Accept", strings.Join(documentTypes, ", "))
	resp, err := e.client.Do(req)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer drain(resp.Body)
	if resp.StatusCode == http.StatusNotFound {
		return ocispec.Descriptor{}, errdef.ErrNotFound
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, document.MaxSize+1))
	if err != nil {
		return ocispec.Descriptor{}, brokenBody{err}
	}
	if len(raw) > document.MaxSize {
		return ocispec.Descriptor{}, fmt.Errorf("the manifest is longer than %d bytes", document.MaxSize)
	}
	d := document.Describe(mediaTypeOf(resp), raw)
	if want, err := digest.Parse(reference); err == nil {
		d.Digest = want
		return d, document.Verify(raw, d)
	}
	return d, nil
}
