// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

var (
	// ErrNotFound is for an image or a blob that a registry does not have.
	ErrNotFound = errors.New("not found")
	// ErrDenied is for a registry that wants a login, or another user's.
	ErrDenied = errors.New("access denied")

	errStalled  = errors.New("nothing came or went for too long")
	errNotPlain = errors.New("plain HTTP is not allowed")
)

// What was being done, for errors: "cannot ...".
const (
	verbPull  = "pull"
	verbPush  = "push"
	verbTags  = "list the tags of"
	verbLogin = "log in to"
)

// maxErrorBody is what is read of an error's page, in bytes.
const maxErrorBody = 1 << 20

// StatusError is an answer that says no.
type StatusError struct {
	Status  int    // HTTP's
	Message string // the registry's own, one line; may be empty
	After   time.Duration
}

// Error is like "429 too many requests: slow down".
func (e *StatusError) Error() string {
	s := strconv.Itoa(e.Status) + " " + strings.ToLower(http.StatusText(e.Status))
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// statusError reads an answer, but does not close it.
func statusError(resp *http.Response, now time.Time) *StatusError {
	e := &StatusError{Status: resp.StatusCode, After: retryAfter(resp.Header.Get("Retry-After"), now)}
	var body struct {
		Errors errcode.Errors `json:"errors"`
	}
	if raw, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)); err == nil && json.Unmarshal(raw, &body) == nil {
		e.Message = messageOf(body.Errors)
	}
	return e
}

func messageOf(errs errcode.Errors) string {
	if len(errs) == 0 {
		return ""
	}
	first := errs[0]
	if first.Message == "" {
		return oneLine(strings.ToLower(strings.ReplaceAll(first.Code, "_", " ")))
	}
	return oneLine(first.Message)
}

// oneLine makes text of a registry fit for a terminal.
func oneLine(s string) string {
	const most = 200 // bytes
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strings.TrimSpace(s)
}

// retryAfter reads the header of RFC 9110, 10.2.3: seconds or a date. 0 is for
// none, and for one in the past.
func retryAfter(header string, now time.Time) time.Duration {
	const most = 24 * time.Hour
	if seconds, err := strconv.ParseUint(header, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, most)
	}
	if date, err := http.ParseTime(header); err == nil {
		return min(max(date.Sub(now), 0), most)
	}
	return 0
}

// failure is what callers get: one line, with what to do.
type failure struct {
	doing string // "cannot pull docker.io/library/x:latest"
	host  string
	err   error
	kind  error // ErrNotFound, ErrDenied or nil
	hint  string
}

func (f *failure) Error() string {
	s := f.doing
	if !strings.HasSuffix(s, " "+f.host) {
		s += ": " + f.host
	}
	s += ": " + f.err.Error()
	if f.hint != "" {
		s += " (hint: " + f.hint + ")"
	}
	return s
}

func (f *failure) Unwrap() []error {
	if f.kind == nil {
		return []error{f.err}
	}
	return []error{f.kind, f.err}
}

// passing is a failure that another attempt may not meet: transport.Temporary.
type passing struct {
	failure
	after time.Duration
}

// RetryAfter is how long the registry wants to be left alone, 0 for a guess.
func (p *passing) RetryAfter() (seconds int) {
	return int((p.after + time.Second - 1) / time.Second)
}

// temporary says whether another attempt may succeed, and when.
func temporary(err error) (after time.Duration, ok bool) {
	var p interface{ RetryAfter() int }
	if !errors.As(err, &p) {
		return 0, false
	}
	return time.Duration(p.RetryAfter()) * time.Second, true
}

// explain makes a failure of what the wire gave; nil stays nil.
func explain(ctx context.Context, verb, what, host string, err error) error {
	var f *failure
	var p *passing
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		return p // of the source of a push, or ours already
	case errors.As(err, &f):
		return f
	}
	f = &failure{doing: "cannot " + verb + " " + what, host: host}
	if ctx.Err() != nil {
		f.err = context.Cause(ctx)
		return f
	}
	// A URL may have a signature of its host's in it: leave it out.
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var response *errcode.ErrorResponse
	if errors.As(err, &response) {
		err = &StatusError{Status: response.StatusCode, Message: messageOf(response.Errors)}
		if response.URL != nil && response.URL.Host != "" {
			f.host = response.URL.Host
		}
	}
	f.err = err
	var status *StatusError
	if errors.As(err, &status) {
		f.kind, f.hint = advise(status.Status, verb, host)
	} else {
		f.kind, f.hint = adviseWire(err, verb, host)
	}
	// docker-registry answers 400 to an upload when another one of the same blob
	// is faster.
	raced := verb == verbPush && status != nil && status.Status == http.StatusBadRequest
	if f.kind == nil && (raced || mayPass(err)) {
		p = &passing{failure: *f}
		if status != nil {
			p.after = status.After
		}
		return p
	}
	return f
}

// advise says what people can do about a status.
func advise(status int, verb, host string) (kind error, hint string) {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrDenied, loginHint(verb, host)
	case http.StatusNotFound:
		return ErrNotFound, missingHint(verb)
	case http.StatusTooManyRequests:
		return nil, "the registry limits how much is pulled; a login may raise it"
	}
	return nil, ""
}

func loginHint(verb, host string) string {
	switch verb {
	case verbLogin:
		return "are user and password right?"
	case verbPush:
		return "berth-image login " + host + ", as a user who may push there"
	}
	return "does the image exist? if it is private: berth-image login " + host
}

func missingHint(verb string) string {
	switch verb {
	case verbPull:
		return "does the image exist? is the tag right?"
	case verbTags:
		return "does the repository exist?"
	}
	return ""
}

func adviseWire(err error, verb, host string) (kind error, hint string) {
	var certificate *tls.CertificateVerificationError
	var dns *net.DNSError
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return ErrNotFound, missingHint(verb)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return ErrDenied, loginHint(verb, host)
	case errors.As(err, &certificate):
		return nil, "--ca FILE with the registry's authority"
	case errors.Is(err, http.ErrSchemeMismatch), errors.Is(err, errNotPlain):
		return nil, "--insecure allows plain HTTP"
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, "is the registry running there?"
	case errors.As(err, &dns) && dns.IsNotFound:
		return nil, "is the registry's name right?"
	}
	return nil, ""
}

// mayPass says whether an error is of a kind that another attempt may not meet.
func mayPass(err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		switch status.Status {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	for _, one := range []error{errStalled, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, one) {
			return true
		}
	}
	var source interface{ RetryAfter() int } // of the source of a push
	var body brokenBody
	var timeout net.Error
	return errors.As(err, &source) || errors.As(err, &body) || errors.As(err, &timeout) && timeout.Timeout()
}
