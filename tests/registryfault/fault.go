// SPDX-License-Identifier: Apache-2.0

package registryfault

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
)

// Fault stands before the registry: it may answer itself, or change what the
// registry would answer.
type Fault func(registry http.Handler) http.Handler

type injected struct {
	times        int
	method, path string
	fault        Fault
}

// Inject lets a fault have the next so many requests with the method, "" for
// any, and the text in their path. Of faults that fit, the first counts.
func (r *Registry) Inject(times int, method, path string, f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, &injected{times, method, path, f})
}

// take finds the fault for a request; the lock is held.
func (r *Registry) take(req *http.Request) Fault {
	for _, i := range r.faults {
		if i.times > 0 && (i.method == "" || i.method == req.Method) && strings.Contains(req.URL.Path, i.path) {
			i.times--
			return i.fault
		}
	}
	return nil
}

// Answer is a fault that answers itself.
func Answer(answer http.HandlerFunc) Fault {
	return func(http.Handler) http.Handler { return answer }
}

// Status answers with a status, headers as NAME, VALUE pairs, and no text.
func Status(status int, headers ...string) Fault {
	return Answer(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
	})
}

// Refuse answers with a status and an error of the registry's kind.
func Refuse(status int, code, message string) Fault {
	return Answer(func(w http.ResponseWriter, _ *http.Request) { fail(w, status, code, message) })
}

// Redirect sends the client to a URL, which gets the path and query appended.
func Redirect(to string) Fault {
	return Answer(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, to+req.URL.RequestURI(), http.StatusTemporaryRedirect)
	})
}

// Hang takes a request's body, and answers nothing until the client gives up.
func Hang() Fault {
	return Answer(func(_ http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body) // net/http sees the client go only then
		<-req.Context().Done()
	})
}

// Then gives a recorded answer of the registry to a function, which sends it.
func Then(send func(w http.ResponseWriter, req *http.Request, status int, body []byte)) Fault {
	return func(registry http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			recorded := httptest.NewRecorder()
			registry.ServeHTTP(recorded, req)
			for name, values := range recorded.Header() {
				w.Header()[name] = values
			}
			send(w, req, recorded.Code, recorded.Body.Bytes())
		})
	}
}

// CutAfter ends the connection after n bytes of the body: net/http does that
// when less was written than the header says.
func CutAfter(n int) Fault {
	return Then(func(w http.ResponseWriter, _ *http.Request, status int, body []byte) {
		w.WriteHeader(status)
		_, _ = w.Write(body[:min(n, len(body))])
		_ = http.NewResponseController(w).Flush()
	})
}

// StallAfter sends n bytes of the body, and then nothing until the client
// gives up.
func StallAfter(n int) Fault {
	return Then(func(w http.ResponseWriter, req *http.Request, status int, body []byte) {
		w.WriteHeader(status)
		_, _ = w.Write(body[:min(n, len(body))])
		_ = http.NewResponseController(w).Flush()
		<-req.Context().Done()
	})
}

// Drip sends the body byte by byte, and calls between before each.
func Drip(between func()) Fault {
	return Then(func(w http.ResponseWriter, _ *http.Request, status int, body []byte) {
		w.WriteHeader(status)
		for i := range body {
			between()
			_, _ = w.Write(body[i : i+1])
			_ = http.NewResponseController(w).Flush()
		}
	})
}

// Change sends another body of the same length.
func Change() Fault {
	return Then(func(w http.ResponseWriter, _ *http.Request, status int, body []byte) {
		w.WriteHeader(status)
		_, _ = w.Write(bytes.Repeat([]byte("x"), len(body)))
	})
}

// Lengthen sends more than was asked for, in chunks.
func Lengthen() Fault {
	return Then(func(w http.ResponseWriter, _ *http.Request, status int, body []byte) {
		w.Header().Del("Content-Length")
		w.WriteHeader(status)
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(append(body, "more"...))
	})
}

// SetHeader changes a header of the answer.
func SetHeader(name, value string) Fault {
	return Then(func(w http.ResponseWriter, _ *http.Request, status int, body []byte) {
		w.Header().Set(name, value)
		w.WriteHeader(status)
		_, _ = w.Write(body)
	})
}

// IgnoreRange answers as if the whole had been asked for.
func IgnoreRange() Fault {
	return func(registry http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			req = req.Clone(req.Context())
			req.Header.Del("Range")
			registry.ServeHTTP(w, req)
		})
	}
}

// Huge answers with a valid JSON document of n bytes and more.
func Huge(n int) Fault {
	return Answer(func(w http.ResponseWriter, _ *http.Request) {
		body := []byte(`{"token":"` + strings.Repeat("x", n) + `"}`)
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})
}
