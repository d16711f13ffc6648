// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/tests/registryfault"
)

const layer = "0123456789"

func TestFetchAtAnOffset(t *testing.T) {
	for _, tls := range []bool{false, true} {
		r := registryfault.New(t, registryfault.Options{TLS: tls})
		o := quick(t)
		if tls {
			o.CAFile = r.CAFile(t)
		}
		repo, d := open(t, r, "a", o), r.AddBlob([]byte(layer))
		for offset := range int64(len(layer) + 1) {
			for _, fault := range []registryfault.Fault{nil, registryfault.IgnoreRange()} {
				if fault != nil && offset < d.Size {
					r.Inject(1, http.MethodGet, "/blobs/", fault)
				}
				if got, err := fetch(repo, d, offset); got != layer[offset:] || err != nil {
					t.Errorf("from %d: %q, %v, want %q", offset, got, err, layer[offset:])
				}
			}
		}
		for _, offset := range []int64{-1, d.Size + 1} {
			_, err := repo.Fetch(t.Context(), d, offset)
			wantError(t, err, fmt.Sprintf("%s: offset %d of 10 bytes", d.Digest, offset))
		}
	}
}

// TestFaultsOfABlob: what of it is delivered, whether another attempt may
// help, and when.
func TestFaultsOfABlob(t *testing.T) {
	for _, test := range []struct {
		name      string
		fault     registryfault.Fault
		offset    int64
		got       string
		temporary bool
		after     time.Duration
		want      string // of the error, without what is before the host
	}{
		{"cut", registryfault.CutAfter(4), 0, "0123", true, 0, "DIGEST: unexpected EOF"},
		{"cut after an offset", registryfault.CutAfter(4), 2, "2345", true, 0, "DIGEST: unexpected EOF"},
		{"wrong contents are for the caller", registryfault.Change(), 0, "xxxxxxxxxx", false, 0, ""},
		{"longer", registryfault.Lengthen(), 0, layer, false, 0, "DIGEST: longer than its descriptor says"},
		{"longer after an offset", registryfault.Lengthen(), 5, layer[5:], false, 0, "DIGEST: longer than its descriptor says"},
		{"wrong Content-Range", registryfault.SetHeader("Content-Range", "bytes 0-5/10"), 4, "", false, 0, `DIGEST: the registry sends the range "bytes 0-5/10"; asked for was 4-9/10`},
		{"no Content-Range", registryfault.SetHeader("Content-Range", ""), 4, "", false, 0, `DIGEST: the registry sends the range ""; asked for was 4-9/10`},
		{"206 without asking", registryfault.Status(http.StatusPartialContent, "Content-Range", "bytes 0-9/10"), 0, "", false, 0, `DIGEST: the registry sends the range "bytes 0-9/10"; asked for was 0-9/10`},
		{"another length", registryfault.Status(http.StatusOK, "Content-Length", "0"), 0, "", false, 0, "DIGEST: the registry would send 0 bytes instead of 10"},
		{"204", registryfault.Status(http.StatusNoContent), 0, "", false, 0, "204 no content"},
		{"416", registryfault.Status(http.StatusRequestedRangeNotSatisfiable), 4, "", false, 0, "416 requested range not satisfiable"},
		{"429 in seconds", registryfault.Status(http.StatusTooManyRequests, "Retry-After", "7"), 0, "", true, 7 * time.Second,
			"429 too many requests (hint: the registry limits how much is pulled; a login may raise it)"},
		{"408", registryfault.Status(http.StatusRequestTimeout), 0, "", true, 0, "408 request timeout"},
		{"425", registryfault.Status(http.StatusTooEarly), 0, "", true, 0, "425 too early"},
		{"500", registryfault.Refuse(http.StatusInternalServerError, "UNKNOWN", "disk\n\x1b[31mfull"), 0, "", true, 0, "500 internal server error: disk  [31mfull"},
		{"502", registryfault.Status(http.StatusBadGateway), 0, "", true, 0, "502 bad gateway"},
		{"503", registryfault.Status(http.StatusServiceUnavailable, "Retry-After", "0"), 0, "", true, 0, "503 service unavailable"},
		{"504", registryfault.Status(http.StatusGatewayTimeout), 0, "", true, 0, "504 gateway timeout"},
		{"501", registryfault.Status(http.StatusNotImplemented), 0, "", false, 0, "501 not implemented"},
		{"403", registryfault.Refuse(http.StatusForbidden, "DENIED", "requested access to the resource is denied"), 0, "", false, 0,
			"403 forbidden: requested access to the resource is denied (hint: does the image exist? if it is private: berth-image login HOST)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := registryfault.New(t, registryfault.Options{})
			repo, d := open(t, r, "a", quick(t)), r.AddBlob([]byte(layer))
			r.Inject(1, http.MethodGet, "/blobs/", test.fault)
			got, err := fetch(repo, d, test.offset)
			if got != test.got {
				t.Errorf("delivered %q, want %q", got, test.got)
			}
			if test.want == "" {
				if err != nil {
					t.Errorf("error = %v", err)
				}
				return
			}
			want := strings.NewReplacer("DIGEST", d.Digest.String(), "HOST", r.Host()).Replace(test.want)
			if strings.Contains(test.want, "unexpected EOF") {
				want = strings.Replace(want, ": unexpected", fmt.Sprintf(": cut off %d bytes before its end: unexpected", d.Size-test.offset-int64(len(got))), 1)
			}
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				wantError(t, err, "cannot pull "+r.Host()+"/a:latest: "+r.Host()+": "+want)
			} else if strings.Contains(err.Error(), "\n") {
				t.Errorf("error = %v", err)
			}
			if after, ok := temporary(err); ok != test.temporary || after != test.after {
				t.Errorf("temporary = %v after %v, want %v after %v", ok, after, test.temporary, test.after)
			}
		})
	}
}

func TestDocumentOfAnotherType(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{})
	d := r.AddDocument("a", "1", ocispec.MediaTypeImageManifest, []byte(manifest))
	r.Inject(1, http.MethodGet, "/manifests/", registryfault.SetHeader("Content-Type", ocispec.MediaTypeImageIndex))
	_, err := fetch(open(t, r, "a:1", quick(t)), d, 0)
	wantError(t, err, "cannot pull "+r.Host()+"/a:1: "+r.Host()+": "+d.Digest.String()+": the registry calls it a application/vnd.oci.image.index.v1+json, and it was named as a application/vnd.oci.image.manifest.v1+json")
}

func TestStalledConnections(t *testing.T) {
	for name, fault := range map[string]registryfault.Fault{"before the answer": registryfault.Hang(), "within the body": registryfault.StallAfter(3)} {
		t.Run(name, func(t *testing.T) {
			for _, tls := range []bool{false, true} {
				r := registryfault.New(t, registryfault.Options{TLS: tls})
				o := quick(t)
				o.IdleTimeout = 200 * time.Millisecond
				if tls {
					o.CAFile = r.CAFile(t)
				}
				repo, d := open(t, r, "a", o), r.AddBlob([]byte(layer))
				if _, err := fetch(repo, d, 0); err != nil {
					t.Fatal(err)
				}
				r.Inject(1, http.MethodGet, "/blobs/", fault)
				if _, err := fetch(repo, d, 0); !errors.Is(err, errStalled) || !isTemporary(err) {
					t.Errorf("TLS %v: error = %v, want a temporary %v", tls, err, errStalled)
				}
			}
		})
	}
}

// TestSlowIsNotStalled: more time passes than may pass without a byte, but
// bytes come. The pause between two is a tenth of the limit.
func TestSlowIsNotStalled(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{})
	o := quick(t)
	o.IdleTimeout = 500 * time.Millisecond
	repo, d := open(t, r, "a", o), r.AddBlob([]byte(layer+layer))
	r.Inject(1, http.MethodGet, "/blobs/", registryfault.Drip(func() { time.Sleep(50 * time.Millisecond) }))
	if got, err := fetch(repo, d, 0); got != layer+layer || err != nil {
		t.Errorf("fetched %q, %v", got, err)
	}
}

// TestSlowReaderIsNotAStall: time in which nobody reads does not count.
func TestSlowReaderIsNotAStall(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{})
	o := quick(t)
	o.IdleTimeout = 100 * time.Millisecond
	d := r.AddBlob([]byte(layer))
	body, err := open(t, r, "a", o).Fetch(t.Context(), d, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	time.Sleep(3 * o.IdleTimeout)
	if got, err := io.ReadAll(body); string(got) != layer || err != nil {
		t.Errorf("fetched %q, %v", got, err)
	}
}

func TestCancelledFetchIsNotTemporary(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{})
	repo, d := open(t, r, "a", quick(t)), r.AddBlob([]byte(layer))
	r.Inject(1, http.MethodGet, "/blobs/", registryfault.StallAfter(3))
	ctx, cancel := context.WithCancel(t.Context())
	body, err := repo.Fetch(ctx, d, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	var first [3]byte
	if _, err := io.ReadFull(body, first[:]); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(body); !errors.Is(err, context.Canceled) || isTemporary(err) {
		t.Errorf("error = %v, want %v for good", err, context.Canceled)
	}
}

func TestRetries(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{})
	repo := open(t, r, "a:1", quick(t))
	d := r.AddDocument("a", "1", ocispec.MediaTypeImageManifest, []byte(manifest))
	r.Inject(3, http.MethodHead, "/manifests/", registryfault.Status(http.StatusServiceUnavailable))
	if got, err := repo.Resolve(t.Context()); err != nil || got.Digest != d.Digest {
		t.Errorf("after three failures: %+v, %v", got, err)
	}
	r.Inject(4, http.MethodHead, "/manifests/", registryfault.Status(http.StatusServiceUnavailable))
	if _, err := repo.Resolve(t.Context()); !isTemporary(err) {
		t.Errorf("after four failures: %v, want a temporary error", err)
	}
	// Nobody waits for tomorrow.
	r.Inject(1, http.MethodHead, "/manifests/", registryfault.Status(http.StatusTooManyRequests, "Retry-After", "86400"))
	if _, err := repo.Resolve(t.Context()); !isTemporary(err) {
		t.Errorf("error = %v, want a temporary one", err)
	}
}

func TestPause(t *testing.T) {
	repo := &Repository{options: Options{}.withDefaults()}
	unavailable := &passing{failure: failure{err: errStalled}}
	for _, test := range []struct {
		attempt int
		err     error
		wait    time.Duration
		again   bool
	}{
		{0, nil, 0, false},
		{0, errors.New("for good"), 0, false},
		{0, unavailable, 500 * time.Millisecond, true},
		{2, unavailable, 2 * time.Second, true},
		{3, unavailable, 0, false},
		{0, &passing{after: 7 * time.Second}, 7 * time.Second, true},
		{0, &passing{after: 61 * time.Second}, 0, false},
	} {
		if wait, again := repo.pause(test.attempt, test.err); wait != test.wait || again != test.again {
			t.Errorf("pause(%d, %v) = %v, %v, want %v, %v", test.attempt, test.err, wait, again, test.wait, test.again)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, "-1": 0, "soon": 0, "99999999999999": 0, "4000000000": 24 * time.Hour,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second, "Fri, 02 Jan 2026 03:04:00 GMT": 0, "Fri, 02 Jan 2099 03:04:00 GMT": 24 * time.Hour,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("retryAfter(%q) = %v, want %v", header, got, want)
		}
	}
}

// flaky is a source of a push that fails once after some bytes.
type flaky struct {
	mu      sync.Mutex
	offsets []int64
	raw     string
	err     error
}

func (f *flaky) open(offset int64) (io.ReadCloser, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.offsets = append(f.offsets, offset)
	if len(f.offsets) == 1 {
		return io.NopCloser(io.MultiReader(strings.NewReader(f.raw[:4]), failing{f.err})), nil
	}
	return io.NopCloser(strings.NewReader(f.raw[offset:])), nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestPutContinuesItsSource(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{})
	d := describe("x/y", layer)
	f := &flaky{raw: layer, err: &passing{failure: failure{err: io.ErrUnexpectedEOF}}}
	if err := open(t, r, "a", quick(t)).Put(t.Context(), d, f.open); err != nil {
		t.Fatal(err)
	}
	if raw, _ := r.Blob(d.Digest); string(raw) != layer || len(f.offsets) != 2 || f.offsets[1] != 4 {
		t.Errorf("stored %q, opened at %v, want %q at 0 and 4", raw, f.offsets, layer)
	}
	d, f = describe("x/y", layer+"2"), &flaky{raw: layer + "2", err: errors.New("disk on fire")}
	err := open(t, r, "a", quick(t)).Put(t.Context(), d, f.open)
	wantError(t, err, "cannot push "+r.Host()+"/a:latest: "+r.Host()+": disk on fire")
}

func TestPutOfOtherContents(t *testing.T) {
	for _, test := range []struct{ raw, want string }{
		{"012345678x", "cannot push DIGEST: the contents have another digest"},
		{"01234", "cannot push DIGEST: it ends after 5 of 10 bytes"},
		{layer + "+", "cannot push DIGEST: longer than its 10 bytes"},
	} {
		for _, mediaType := range []string{ocispec.MediaTypeImageLayer, ocispec.MediaTypeImageManifest} {
			r := registryfault.New(t, registryfault.Options{})
			d := describe(mediaType, layer)
			err := open(t, r, "a", quick(t)).Put(t.Context(), d, opener(test.raw))
			if want := strings.ReplaceAll(test.want, "DIGEST", d.Digest.String()); err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%s: error = %v, want %s", mediaType, err, want)
			}
			if raw, _ := r.Blob(d.Digest); raw != nil && string(raw) != layer || r.Document("a", d.Digest.String()) != nil {
				t.Errorf("%s: stored for %q", mediaType, test.raw)
			}
		}
	}
}

func TestPutSendsAgain(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{})
	d := describe("x/y", layer)
	r.Inject(1, http.MethodPost, "/uploads/", registryfault.Status(http.StatusServiceUnavailable))
	r.Inject(2, http.MethodPut, "/uploads/", registryfault.Status(http.StatusBadGateway))
	if err := open(t, r, "a", quick(t)).Put(t.Context(), d, opener(layer)); err != nil {
		t.Error(err)
	}
	r.Inject(1, http.MethodPut, "/uploads/", registryfault.Status(http.StatusTooManyRequests))
	r.Inject(1, http.MethodPut, "/uploads/", registryfault.Refuse(http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "another one was faster"))
	if err := open(t, r, "a", quick(t)).Put(t.Context(), describe("x/y", "3"), opener("3")); err != nil {
		t.Error(err)
	}
	r.Inject(1, http.MethodPut, "/uploads/", registryfault.Refuse(http.StatusForbidden, "DENIED", "read only"))
	err := open(t, r, "a", quick(t)).Put(t.Context(), describe("x/y", "2"), opener("2"))
	wantError(t, err, "cannot push "+r.Host()+"/a:latest: "+r.Host()+": 403 forbidden: read only (hint: berth-image login "+r.Host()+", as a user who may push there)")
	if !errors.Is(err, ErrDenied) {
		t.Errorf("errors.Is(%v, ErrDenied) = false", err)
	}
	o := quick(t)
	o.IdleTimeout, o.Retries = 20*time.Millisecond, -1 // the answer to an upload may take 200 ms
	r.Inject(1, http.MethodPut, "/uploads/", registryfault.Hang())
	if err := open(t, r, "a", o).Put(t.Context(), d, opener(layer)); !errors.Is(err, errStalled) {
		t.Errorf("error = %v, want %v", err, errStalled)
	}
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 4-9/10", "bytes 4-9/*", "bytes */10", "bytes 4-9", "4-9/10", "bytes -4-9/10", "bytes 4-9/10/10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		err := checkRange(header, 10, 4)
		if good := header == "bytes 4-9/10" || header == "bytes 4-9/*"; good != (err == nil) && !strings.ContainsAny(header, "+0_") {
			t.Errorf("checkRange(%q) = %v", header, err)
		}
	})
}
