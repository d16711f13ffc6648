// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	dialTimeout = 30 * time.Second
	// answerFactor times the idle time is for a registry that has to look
	// through all that was uploaded before it answers.
	answerFactor = 10
)

// wire is the http.RoundTripper of an endpoint and of where that sends us. It
// refuses what no registry may make us do, and gives up what does not move.
type wire struct {
	host       string // the only one that gets client certificates
	insecure   bool
	idle       time.Duration
	own, other *http.Transport
	proxies    sync.Map // host:port of proxies, which may be anywhere
}

func newWire(host string, insecure bool, idle time.Duration, own, other *tls.Config) *wire {
	w := &wire{host: host, insecure: insecure, idle: idle}
	w.own = w.transport(own, nil)
	w.other = w.transport(other, w.control)
	return w
}

func (w *wire) transport(config *tls.Config, control func(network, address string, c syscall.RawConn) error) *http.Transport {
	plain := &net.Dialer{Timeout: dialTimeout}
	checked := &net.Dialer{Timeout: dialTimeout, Control: control}
	return &http.Transport{
		Proxy: w.proxy,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if _, ok := w.proxies.Load(address); ok {
				return plain.DialContext(ctx, network, address)
			}
			return checked.DialContext(ctx, network, address)
		},
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    dialTimeout,
		ForceAttemptHTTP2:      true, // an own TLS configuration turns it off
		DisableCompression:     true, // a layer is what its digest says, not what is in it
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 1 << 20,
	}
}

// proxy is the environment's, remembered so that control lets it pass.
func (w *wire) proxy(req *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(req)
	if u != nil {
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		if port == "" {
			port = "1080" // socks5
		}
		w.proxies.Store(net.JoinHostPort(u.Hostname(), port), true)
	}
	return u, err
}

// control looks at the address that a name led to, so that no name server can
// go around it.
func (w *wire) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	return w.checkAddr(to.Addr())
}

// checkAddr refuses where a registry must not send us: clouds keep credentials
// behind link-local addresses, and services on loopback trust who is there.
// Private addresses are allowed: that is where companies have their storage.
func (w *wire) checkAddr(a netip.Addr) error {
	a = a.Unmap()
	switch {
	case a.IsLinkLocalUnicast(), a.IsMulticast(), a.IsUnspecified(), a.IsLoopback() && !w.insecure && !isLoopback(w.host):
		return fmt.Errorf("the registry sends us to %s, which is refused", a)
	}
	return nil
}

// isLoopback says whether a host[:port] is this machine by its name alone.
func isLoopback(hostport string) bool {
	host := (&url.URL{Host: hostport}).Hostname()
	a, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && a.Unmap().IsLoopback()
}

// check refuses a request before anything of it is sent.
func (w *wire) check(u *url.URL) error {
	if u.Scheme != "https" && !w.insecure && !(u.Scheme == "http" && isLoopback(w.host) && isLoopback(u.Host)) {
		return fmt.Errorf("%s: %w", u.Host, errNotPlain)
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && u.Host != w.host {
		return w.checkAddr(a)
	}
	return nil
}

// RoundTrip sends one request.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := w.check(req.URL); err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // RoundTrip always closes it
		}
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	dog := &watchdog{cancel: cancel}
	req = req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &sending{ReadCloser: req.Body, dog: dog, idle: w.idle}
	}
	dog.allow(w.idle)
	transport := w.other
	if req.URL.Host == w.host {
		transport = w.own
	}
	resp, err := transport.RoundTrip(req)
	dog.answered()
	if err != nil {
		err = stalled(ctx, err)
		cancel(nil)
		return nil, err
	}
	resp.Body = &receiving{ReadCloser: resp.Body, ctx: ctx, dog: dog, idle: w.idle}
	return resp, nil
}

func (w *wire) close() {
	w.own.CloseIdleConnections()
	w.other.CloseIdleConnections()
}

// stalled tells our own end of a request from the caller's.
func stalled(ctx context.Context, err error) error {
	if context.Cause(ctx) == errStalled {
		return errStalled
	}
	return err
}

// watchdog ends a request in which nothing moves. It sleeps while somebody
// else is waited for: the source of an upload, the reader of a download.
type watchdog struct {
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	over  bool // the request was answered; a body may still be sent then
}

// allow lets d pass without anything moving.
func (w *watchdog) allow(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil {
		w.timer = time.AfterFunc(d, func() { w.cancel(errStalled) })
		return
	}
	w.timer.Reset(d)
}

func (w *watchdog) sleep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
}

func (w *watchdog) answered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	w.over = true
}

// allowSending is allow for a body on its way; 0 is sleep.
func (w *watchdog) allowSending(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.over:
	case d == 0:
		w.timer.Stop()
	default:
		w.timer.Reset(d)
	}
}

// sending is a request's body. That more of it is asked for means that the
// last piece went out.
type sending struct {
	io.ReadCloser
	dog  *watchdog
	idle time.Duration
}

func (s *sending) Read(p []byte) (int, error) {
	s.dog.allowSending(0) // whoever makes the data has a limit of his own
	n, err := s.ReadCloser.Read(p)
	if err != nil {
		s.dog.allowSending(answerFactor * s.idle)
	} else {
		s.dog.allowSending(s.idle)
	}
	return n, err
}

// receiving is an answer's body.
type receiving struct {
	io.ReadCloser
	ctx  context.Context
	dog  *watchdog
	idle time.Duration
}

func (r *receiving) Read(p []byte) (int, error) {
	r.dog.allow(r.idle)
	n, err := r.ReadCloser.Read(p)
	r.dog.sleep()
	if err != nil && err != io.EOF {
		err = stalled(r.ctx, err)
	}
	return n, err
}

func (r *receiving) Close() error {
	err := r.ReadCloser.Close()
	r.dog.sleep()
	r.dog.cancel(nil)
	return err
}
