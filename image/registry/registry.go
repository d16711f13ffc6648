// SPDX-License-Identifier: Apache-2.0

// Package registry is a repository of a registry as a source and a sink of
// images. oras-go speaks the protocol (distribution-spec 1.1) and gets the
// tokens; here is what it leaves open: mirrors, certificates, credentials of
// docker and podman, downloads that continue at an offset, time limits, and
// errors that say what to do.
//
//	name, err := reference.Parse("quay.io/user/app:1.2")
//	repo, err := registry.Open(name, registry.Options{})
//	defer repo.Close()
//	root, err := repo.Resolve(ctx)
//	body, err := repo.Fetch(ctx, root, 0)
//
// What a registry says is hostile. It gets credentials for itself only: not
// after a redirect, and its token server not in clear text (CVE-2020-15157).
// It cannot send us to link-local or loopback addresses. The urls of foreign
// layers are never fetched, and referrers are left alone.
package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"berth/image/document"
	"berth/image/reference"
)

// Options say how registries are reached. The zero value is ready to use.
type Options struct {
	// CAFile has PEM certificates of further authorities, beside the system's
	// and those of CertDirs.
	CAFile string
	// CertDirs have a directory per registry, HOST or HOST:PORT: *.crt are
	// authorities, *.cert with *.key are client certificates. Default: podman's
	// and docker's in /etc. The client certificates are for that host alone; the
	// authorities also vouch for its token server and for where its blobs are.
	CertDirs []string
	// Insecure accepts any certificate, and plain HTTP where TLS does not
	// answer. Without it only localhost, 127.0.0.0/8 and ::1 may be plain, as
	// with docker; if they have a certificate, it is verified.
	Insecure bool
	// AuthFile has the credentials, in the form of containers-auth.json(5) and
	// docker's config.json. Without it those are looked for: $REGISTRY_AUTH_FILE
	// alone if that is set, else $XDG_RUNTIME_DIR/containers/auth.json,
	// $XDG_CONFIG_HOME/containers/auth.json, $DOCKER_CONFIG/config.json or
	// ~/.docker/config.json, in this order. Login writes to the first of them.
	AuthFile string
	// Username and Password are for the registry itself, not for mirrors, and
	// go before what the files have.
	Username, Password string
	// Mirrors are tried in turn before a registry that is pulled from: registry
	// to HOST[:PORT][/PREFIX], as ParseMirror gives them.
	Mirrors map[string][]string
	// MountFrom are repositories of the same registry that may have a blob that
	// is pushed, so that it need not be sent.
	MountFrom []string
	// Retries is how often a request is made again that failed for a reason
	// that may pass; 0 is for three times, -1 for never. Fetch leaves it to its
	// caller, who knows the offset.
	Retries int
	// Backoff is the wait before the first retry, doubled for each later one;
	// default 500 ms. Retry-After of the registry goes before it.
	Backoff time.Duration
	// IdleTimeout is how long a connection may do nothing; default 60 s. There
	// is no limit on the whole. The answer to an upload may take ten times it.
	IdleTimeout time.Duration
	UserAgent   string
	// Warn takes one line that people should see; nil drops it.
	Warn func(string)
}

func (o Options) withDefaults() Options {
	if o.CertDirs == nil {
		o.CertDirs = []string{"/etc/containers/certs.d", "/etc/docker/certs.d"}
	}
	switch {
	case o.Retries == 0:
		o.Retries = 3
	case o.Retries < 0:
		o.Retries = 0
	}
	if o.Backoff <= 0 {
		o.Backoff = 500 * time.Millisecond
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = time.Minute
	}
	if o.UserAgent == "" {
		o.UserAgent = "berth-image"
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	return o
}

// ParseMirror reads a flag's "REGISTRY=HOST[:PORT][/PREFIX]".
func ParseMirror(s string) (registry, mirror string, err error) {
	left, right, ok := strings.Cut(s, "=")
	if !ok {
		return "", "", fmt.Errorf("mirror %q: want REGISTRY=MIRROR", s)
	}
	if registry, err = reference.ParseHost(left); err == nil {
		_, _, err = splitMirror(right)
	}
	if err != nil {
		return "", "", fmt.Errorf("mirror %q: %w", s, err)
	}
	return registry, right, nil
}

// splitMirror gives the host and what goes before repositories there.
func splitMirror(mirror string) (host, prefix string, err error) {
	host, prefix, _ = strings.Cut(mirror, "/")
	if host, err = reference.ParseHost(host); err != nil || prefix == "" {
		return host, "", err
	}
	prefix = strings.TrimSuffix(prefix, "/")
	_, err = reference.Parse(reference.DockerHub + "/" + prefix + "/x")
	return host, prefix + "/", err
}

// Repository is a transport.Source and a transport.Sink. Its methods may be
// called from several goroutines, and share connections.
type Repository struct {
	name    reference.Name
	options Options
	own     *endpoint   // the registry
	pull    []*endpoint // mirrors, then the registry

	mu   sync.Mutex
	last *pushed
}

// pushed is a document that was stored: Finish often needs the last one.
type pushed struct {
	descriptor ocispec.Descriptor
	raw        []byte
}

// Open prepares access to the repository of a name, without asking it.
func Open(name reference.Name, o Options) (*Repository, error) {
	o = o.withDefaults()
	r := &Repository{name: name, options: o}
	for _, mirror := range o.Mirrors[name.Registry] {
		host, prefix, err := splitMirror(mirror)
		if err != nil {
			return nil, fmt.Errorf("mirror %q of %s: %w", mirror, name.Registry, err)
		}
		e, err := newEndpoint(host, prefix+name.Repository, o.forMirror())
		if err != nil {
			return nil, err
		}
		r.pull = append(r.pull, e)
	}
	e, err := newEndpoint(name.Registry, name.Repository, o)
	if err != nil {
		return nil, err
	}
	r.own, r.pull = e, append(r.pull, e)
	return r, nil
}

// forMirror: a password that was given for a registry is not a mirror's.
func (o Options) forMirror() Options {
	o.Username, o.Password = "", ""
	return o
}

// Close ends idle connections.
func (r *Repository) Close() {
	for _, e := range r.pull {
		e.wire.close()
	}
}

// Name is what the repository was opened for.
func (r *Repository) Name() reference.Name { return r.name }

// Resolve finds the manifest or index of the name: by HEAD, which registries
// with a limit on pulls do not count.
func (r *Repository) Resolve(ctx context.Context) (ocispec.Descriptor, error) {
	var d ocispec.Descriptor
	err := r.retry(ctx, verbPull, func() error {
		_, err := r.fromAny(ctx, func(e *endpoint) (err error) {
			d, err = e.resolve(ctx, r.name.Reference())
			return err
		})
		return err
	})
	if err == nil && d.Size > document.MaxSize {
		err = fmt.Errorf("cannot pull %s: its manifest has %d bytes; at most %d are possible", r.name, d.Size, document.MaxSize)
	}
	return d, err
}

// fromAny does a step of a pull at the mirrors in turn, then at the registry,
// and says where that succeeded. A mirror that fails is not asked again; one
// that just does not have the thing may have the next.
func (r *Repository) fromAny(ctx context.Context, step func(*endpoint) error) (*endpoint, error) {
	for _, e := range r.pull[:len(r.pull)-1] {
		if e.unwell.Load() {
			continue
		}
		err := step(e)
		if err == nil || ctx.Err() != nil {
			return e, err
		}
		if !errors.Is(err, errdef.ErrNotFound) {
			r.giveUp(ctx, e, err)
		}
	}
	return r.own, step(r.own)
}

// giveUp leaves a mirror out from now on.
func (r *Repository) giveUp(ctx context.Context, e *endpoint, err error) {
	if e != r.own && !e.unwell.Swap(true) {
		r.options.Warn(explain(ctx, verbPull, r.name.String()+" from a mirror", e.registry, err).Error())
	}
}

// Has says whether the registry has a document or blob.
func (r *Repository) Has(ctx context.Context, d ocispec.Descriptor) (bool, error) {
	if err := document.CheckDescriptor(d); err != nil {
		return false, err
	}
	has := false
	err := r.retry(ctx, verbPush, func() error {
		repo, err := r.own.ready(ctx)
		if err == nil {
			has, err = repo.Exists(ctx, d)
		}
		return err
	})
	return has, err
}

// Finish stores the root, which is there already, under the tag.
func (r *Repository) Finish(ctx context.Context, root ocispec.Descriptor) error {
	if r.name.Digest != "" && r.name.Digest != root.Digest {
		return fmt.Errorf("cannot push %s: the image has the digest %s", r.name, root.Digest)
	}
	if r.name.Tag == "" {
		return nil
	}
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	return r.retry(ctx, verbPush, func() error {
		repo, err := r.own.ready(ctx)
		if err != nil {
			return err
		}
		if last != nil && last.descriptor.Digest == root.Digest {
			return repo.PushReference(ctx, last.descriptor, bytes.NewReader(last.raw), r.name.Tag)
		}
		return repo.Tag(ctx, root, r.name.Tag)
	})
}

// Tags lists the tags of a name's repository, sorted.
func Tags(ctx context.Context, name reference.Name, o Options) ([]string, error) {
	o.Mirrors = nil
	r, err := Open(name, o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var tags []string
	err = r.retry(ctx, verbTags, func() error {
		tags = nil
		repo, err := r.own.ready(ctx)
		if err != nil {
			return err
		}
		return repo.Tags(ctx, "", func(page []string) error {
			tags = append(tags, page...)
			return nil
		})
	})
	slices.Sort(tags)
	return slices.Compact(tags), err
}

// retry makes a request of the registry until it succeeds, fails for good, or
// failed too often.
func (r *Repository) retry(ctx context.Context, verb string, step func() error) error {
	for attempt := 0; ; attempt++ {
		err := explain(ctx, verb, r.name.String(), r.own.registry, step())
		wait, again := r.pause(attempt, err)
		if !again {
			return err
		}
		if !sleep(ctx, wait) {
			return err
		}
	}
}

// sleep says whether it was let sleep to its end.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// maxPause is the longest Retry-After that is waited for.
const maxPause = time.Minute

// pause is how long to wait after a failed attempt, the first being 0, and
// whether to make another one.
func (r *Repository) pause(attempt int, err error) (wait time.Duration, again bool) {
	after, may := temporary(err)
	if !may || attempt >= r.options.Retries || after > maxPause {
		return 0, false
	}
	if after > 0 {
		return after, true
	}
	return min(r.options.Backoff<<min(attempt, 16), maxPause), true
}

// drain reads a small body to its end, so that the connection can be used
// again, and closes it.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 4<<10) // if there is more, the connection is given up
	_ = body.Close()
}
