// SPDX-License-Identifier: Apache-2.0

package registryfault

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// RefreshToken is the identity token that the token server takes instead of
// the password.
const RefreshToken = "identity-of-the-user"

func (r *Registry) authorized(req *http.Request) bool {
	if !r.options.Token {
		return r.options.User == "" || r.isUser(req)
	}
	token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	r.mu.Lock()
	defer r.mu.Unlock()
	return ok && r.tokens[token]
}

func (r *Registry) isUser(req *http.Request) bool {
	user, password, ok := req.BasicAuth()
	return ok && user == r.options.User && password == r.options.Password
}

// giveToken is the token server: anybody may have one, if there is no user.
func (r *Registry) giveToken(w http.ResponseWriter, req *http.Request) {
	refreshed := req.Method == http.MethodPost && req.FormValue("refresh_token") == RefreshToken
	if r.options.User != "" && !r.isUser(req) && !refreshed {
		fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password")
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"access_token": r.IssueToken()})
}

// IssueToken makes a token that the registry takes.
func (r *Registry) IssueToken() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.issued++
	token := fmt.Sprintf("token-%d", r.issued)
	r.tokens[token] = true
	return token
}
