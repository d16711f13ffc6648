// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/transport"
	"berth/tests/registryfault"
)

func TestRedirectGetsNoCredentials(t *testing.T) {
	for _, o := range []registryfault.Options{{User: "u", Password: "p"}, {User: "u", Password: "p", Token: true}} {
		r, elsewhere := registryfault.New(t, o), registryfault.New(t, registryfault.Options{})
		d := r.AddBlob([]byte(layer))
		elsewhere.AddBlob([]byte(layer))
		options := quick(t)
		options.Username, options.Password = o.User, o.Password
		repo := open(t, r, "a", options)
		if got, err := fetch(repo, d, 0); got != layer || err != nil { // with credentials from now on
			t.Fatalf("%q, %v", got, err)
		}
		// Also by way of a third step back to the first host, which net/http
		// would give the header again.
		r.Inject(1, http.MethodGet, "/blobs/", registryfault.Redirect(elsewhere.URL))
		if got, err := fetch(repo, d, 3); got != layer[3:] || err != nil {
			t.Errorf("redirected: %q, %v", got, err)
		}
		asked := elsewhere.Requests("GET /v2/a/blobs/")
		if len(asked) != 1 || asked[0].Authorization != "" || asked[0].Range != "bytes=3-9" {
			t.Errorf("elsewhere got %+v, want one request with a range and without credentials", asked)
		}
		elsewhere.Inject(1, http.MethodGet, "/blobs/", registryfault.Answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="give me your password"`)
			w.WriteHeader(http.StatusUnauthorized)
		}))
		r.Inject(1, http.MethodGet, "/blobs/", registryfault.Redirect(elsewhere.URL))
		if _, err := fetch(repo, d, 0); !errors.Is(err, ErrDenied) {
			t.Errorf("a host that asks for credentials after a redirect: %v, want %v", err, ErrDenied)
		}
		for _, q := range elsewhere.Requests("") {
			if q.Authorization != "" {
				t.Errorf("elsewhere got %+v", q)
			}
		}
	}
}

func TestUploadStaysAtItsHost(t *testing.T) {
	r, elsewhere := registryfault.New(t, registryfault.Options{}), registryfault.New(t, registryfault.Options{})
	r.Inject(1, http.MethodPost, "/uploads/", registryfault.Status(http.StatusAccepted, "Location", elsewhere.URL+"/v2/a/blobs/uploads/1"))
	if err := open(t, r, "a", quick(t)).Put(t.Context(), describe("x/y", layer), opener(layer)); err == nil || isTemporary(err) {
		t.Errorf("error = %v, want one for good", err)
	}
	if n := len(elsewhere.Requests("")); n != 0 {
		t.Errorf("%d requests elsewhere", n)
	}
}

func TestWhereARegistryMaySendUs(t *testing.T) {
	for _, test := range []struct {
		registry string
		insecure bool
		to       string
		want     string // "" for allowed
	}{
		{"r.example", false, "https://r.example/v2/", ""},
		{"r.example", false, "https://cdn.example/x", ""},
		{"r.example", false, "https://10.0.0.1/x", ""},
		{"r.example", false, "http://r.example/v2/", "r.example: plain HTTP is not allowed"},
		{"r.example", false, "http://cdn.example/x", "cdn.example: plain HTTP is not allowed"},
		{"r.example", false, "http://localhost/x", "localhost: plain HTTP is not allowed"},
		{"r.example", false, "ftp://cdn.example/x", "cdn.example: plain HTTP is not allowed"},
		{"r.example", true, "http://cdn.example/x", ""},
		{"r.example", false, "https://169.254.169.254/latest/meta-data", "the registry sends us to 169.254.169.254, which is refused"},
		{"r.example", true, "http://169.254.169.254/latest/meta-data", "the registry sends us to 169.254.169.254, which is refused"},
		{"r.example", true, "https://[fe80::1]/x", "the registry sends us to fe80::1, which is refused"},
		{"r.example", true, "https://[::ffff:169.254.169.254]/x", "the registry sends us to 169.254.169.254, which is refused"},
		{"r.example", true, "https://0.0.0.0/x", "the registry sends us to 0.0.0.0, which is refused"},
		{"r.example", false, "https://127.0.0.1/x", "the registry sends us to 127.0.0.1, which is refused"},
		{"r.example", false, "https://[::1]/x", "the registry sends us to ::1, which is refused"},
		{"127.0.0.1:5000", false, "http://127.0.0.1:5000/v2/", ""},
		{"127.0.0.1:5000", false, "http://127.3.2.1/v2/", ""},
		{"localhost:5000", false, "http://[::1]:5001/v2/", ""},
		{"localhost:5000", false, "http://auth.example/token", "auth.example: plain HTTP is not allowed"},
		{"169.254.1.1:5000", false, "https://169.254.1.1:5000/v2/", ""}, // the user named it
	} {
		u, err := url.Parse(test.to)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := (&wire{host: test.registry, insecure: test.insecure}).check(u); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s (insecure %v) to %s: %q, want %q", test.registry, test.insecure, test.to, got, test.want)
		}
	}
}

// TestNameOfALinkLocalAddress: what counts is where a name leads to.
func TestNameOfALinkLocalAddress(t *testing.T) {
	w := newWire("r.example", false, time.Minute, &tls.Config{}, &tls.Config{})
	want := "the registry sends us to 127.0.0.1, which is refused"
	req, _ := http.NewRequest(http.MethodGet, "https://localhost:1/", nil)
	if _, err := w.RoundTrip(req); err == nil || !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "sends us to ::1") {
		t.Errorf("error = %v, want %s", err, want)
	}
	if err := w.control("tcp", "169.254.169.254:80", nil); err == nil {
		t.Error("a link-local address was allowed")
	}
}

func TestRealm(t *testing.T) {
	for _, test := range []struct{ realm, want string }{
		{"http://auth.example/token", "plain HTTP is not allowed (hint: --insecure allows plain HTTP)"},
		{"https://169.254.169.254/token", `bearer realm host "169.254.169.254" is a loopback, link-local, private, unspecified, or carrier-grade NAT address`},
		{"file:///etc/passwd", `bearer realm "file:///etc/passwd" uses unsupported scheme "file"`},
	} {
		r := registryfault.New(t, registryfault.Options{Token: true, User: "u", Password: "p", Realm: test.realm})
		o := quick(t)
		o.Username, o.Password, o.Retries = "u", "p", -1
		_, err := open(t, r, "a", o).Resolve(t.Context())
		if err == nil || !strings.HasSuffix(err.Error(), test.want) || isTemporary(err) {
			t.Errorf("realm %s: %v, want %s", test.realm, err, test.want)
		}
	}
	// Another port of the same host may be the token server.
	tokens := registryfault.New(t, registryfault.Options{User: "u", Password: "p", Token: true})
	r := registryfault.New(t, registryfault.Options{Token: true, Realm: tokens.URL + "/token"})
	o := quick(t)
	o.Username, o.Password, o.Retries = "u", "p", -1
	d := r.AddDocument("a", "latest", ocispec.MediaTypeImageManifest, []byte(manifest))
	if _, err := open(t, r, "a", o).Resolve(t.Context()); !errors.Is(err, ErrDenied) { // its tokens are not the registry's
		t.Errorf("error = %v, want %v", err, ErrDenied)
	}
	if n := len(tokens.Requests("GET /token")); n == 0 {
		t.Errorf("the token server was not asked for %s", d.Digest)
	}
}

func TestExpiredTokenIsFetchedAnew(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{Token: true, User: "u", Password: "p"})
	o := quick(t)
	o.Username, o.Password = "u", "p"
	repo, d := open(t, r, "a", o), r.AddBlob([]byte(layer))
	for range 2 {
		if got, err := fetch(repo, d, 0); got != layer || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	r.ExpireTokens()
	if got, err := fetch(repo, d, 0); got != layer || err != nil {
		t.Errorf("after the token's end: %q, %v", got, err)
	}
	if n := len(r.Requests("/token")); n != 2 {
		t.Errorf("%d tokens, want 2", n)
	}
	// Between an upload's beginning and its end.
	r.Inject(1, http.MethodPost, "/uploads/", registryfault.Then(func(w http.ResponseWriter, _ *http.Request, status int, _ []byte) {
		r.ExpireTokens()
		w.WriteHeader(status)
	}))
	if err := repo.Put(t.Context(), describe("x/y", "upload"), opener("upload")); err != nil {
		t.Errorf("upload: %v", err)
	}
}

func TestHugeToken(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{Token: true})
	r.Inject(2, http.MethodGet, "/token", registryfault.Huge(1<<20))
	o := quick(t)
	o.Retries = -1
	_, err := open(t, r, "a", o).Resolve(t.Context())
	if err == nil || !strings.Contains(err.Error(), "failed to decode response") || len(err.Error()) > 1000 {
		t.Errorf("error = %v", err)
	}
}

func TestForeignURLsAreNotFetched(t *testing.T) {
	r, elsewhere := registryfault.New(t, registryfault.Options{}), registryfault.New(t, registryfault.Options{})
	d := elsewhere.AddBlob([]byte(layer))
	d.URLs = []string{elsewhere.URL + "/v2/a/blobs/" + d.Digest.String()}
	if _, err := fetch(open(t, r, "a", quick(t)), d, 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("error = %v, want %v", err, ErrNotFound)
	}
	if n := len(elsewhere.Requests("")); n != 0 {
		t.Errorf("%d requests to a layer's urls", n)
	}
}

func TestUntrustedCertificate(t *testing.T) {
	r := registryfault.New(t, registryfault.Options{TLS: true})
	r.AddDocument("a", "latest", ocispec.MediaTypeImageManifest, []byte(manifest))
	_, err := open(t, r, "a", quick(t)).Resolve(t.Context())
	wantError(t, err, "cannot pull "+r.Host()+"/a:latest: "+r.Host()+": tls: failed to verify certificate: x509: certificate signed by unknown authority (hint: --ca FILE with the registry's authority)")
	if n := len(r.Requests("")); n != 0 {
		t.Errorf("%d requests", n)
	}
	o := quick(t)
	o.Insecure = true
	if _, err := open(t, r, "a", o).Resolve(t.Context()); err != nil {
		t.Errorf("insecure: %v", err)
	}
	o = quick(t)
	o.CAFile = filepath.Join(t.TempDir(), "none")
	if err := os.WriteFile(o.CAFile, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = newEndpoint(r.Host(), "a", o)
	wantError(t, err, "cannot read certificates: "+o.CAFile+" has none in PEM form")
}

// TestCertDir: authorities and client certificates of a host's directory, and
// that a redirect does not get the latter.
func TestCertDir(t *testing.T) {
	elsewhere := certificateServer(t, tls.RequestClientCert, func(w http.ResponseWriter, req *http.Request) {
		if len(req.TLS.PeerCertificates) > 0 {
			t.Error("a redirect got our client certificate")
		}
		registryfault.ServeRange(w, req, []byte(layer))
	})
	r := certificateServer(t, tls.RequireAnyClientCert, func(w http.ResponseWriter, req *http.Request) {
		if got := req.TLS.PeerCertificates[0].Subject.CommonName; got != "client" {
			t.Errorf("client certificate of %q, want %q", got, "client")
		}
		http.Redirect(w, req, elsewhere.URL, http.StatusFound)
	})
	host := r.Listener.Addr().String()
	dir := filepath.Join(t.TempDir(), host)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.crt":      {Type: "CERTIFICATE", Bytes: r.Certificate().Raw},
		"client.cert": {Type: "CERTIFICATE", Bytes: certificate},
		"client.key":  {Type: "EC PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := quick(t)
	o.CertDirs = []string{filepath.Dir(dir)}
	repo := openName(t, host+"/a", o)
	repo.own.mayPlain = false // without the probe, which is redirected as well
	if got, err := fetch(repo, describe("x/y", layer), 0); got != layer || err != nil {
		t.Errorf("fetched %q, %v", got, err)
	}
	if err := os.Remove(filepath.Join(dir, "client.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := newEndpoint(host, "a", o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the key: %v, want %v", err, os.ErrNotExist)
	}
}

func certificateServer(t *testing.T, ask tls.ClientAuthType, answer http.HandlerFunc) *httptest.Server {
	s := httptest.NewUnstartedServer(answer)
	s.TLS = &tls.Config{ClientAuth: ask}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// TestProxy runs itself again, since net/http reads the environment once. The
// registry's name leads nowhere, and the proxy is on loopback.
func TestProxy(t *testing.T) {
	if os.Getenv("BERTH_TEST_PROXIED") != "" {
		o := quick(t)
		o.Insecure, o.Retries = true, -1
		if _, err := openName(t, "registry.invalid/a:1", o).Resolve(t.Context()); err != nil {
			t.Error(err)
		}
		return
	}
	r := registryfault.New(t, registryfault.Options{})
	r.AddDocument("a", "1", ocispec.MediaTypeImageManifest, []byte(manifest))
	// A proxy that knows no TLS: what is sent to it in full is for a registry.
	r.Inject(1, http.MethodConnect, "", registryfault.Answer(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n"))
			_ = c.Close()
		}
	}))
	cmd := exec.Command(os.Args[0], "-test.run=^TestProxy$")
	cmd.Env = append(os.Environ(), "BERTH_TEST_PROXIED=1", "HTTP_PROXY="+r.URL, "HTTPS_PROXY="+r.URL, "NO_PROXY=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if n := len(r.Requests("HEAD /v2/a/manifests/1")); n != 1 {
		t.Errorf("%d requests through the proxy, want 1", n)
	}
}

func TestErrorsAreTransportsTemporary(t *testing.T) {
	var err error = &passing{failure: failure{err: errStalled}, after: 1500 * time.Millisecond}
	var temporary transport.Temporary
	if !errors.As(err, &temporary) || temporary.RetryAfter() != 2 {
		t.Errorf("RetryAfter = %v, want 2", temporary)
	}
}
