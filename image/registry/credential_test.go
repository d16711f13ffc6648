// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"

	"berth/tests/registryfault"
)

func TestAuthFiles(t *testing.T) {
	for _, test := range []struct {
		explicit string
		env      map[string]string
		want     []string
	}{
		{"/x", map[string]string{"REGISTRY_AUTH_FILE": "/y", "HOME": "/h"}, []string{"/x"}},
		{"", map[string]string{"REGISTRY_AUTH_FILE": "/y", "HOME": "/h"}, []string{"/y"}},
		{"", map[string]string{"XDG_RUNTIME_DIR": "/run/user/1", "HOME": "/h"}, []string{"/run/user/1/containers/auth.json", "/h/.config/containers/auth.json", "/h/.docker/config.json"}},
		{"", map[string]string{"XDG_CONFIG_HOME": "/c", "DOCKER_CONFIG": "/d", "HOME": "/h"}, []string{"/c/containers/auth.json", "/d/config.json"}},
		{"", nil, nil},
	} {
		if got := authFiles(test.explicit, func(name string) string { return test.env[name] }); !slices.Equal(got, test.want) {
			t.Errorf("authFiles(%q, %v) = %q, want %q", test.explicit, test.env, got, test.want)
		}
	}
}

const (
	userPass = "dTpwOnc=" // u:p:w
	config   = `{
	"auths": {
		"quay.io": {"auth": "` + userPass + `"},
		"quay.io/team": {"username": "t", "password": "secret"},
		"quay.io/team/app": {"auth": "` + userPass + `", "identitytoken": "identity"},
		"https://index.docker.io/v1/": {"auth": "aHViOnB3"},
		"https://old.example/v2/": {"registrytoken": "bearer"},
		"other.example/team": {"auth": "` + userPass + `"},
		"bad.example": {"auth": "dQ=="},
		"padded.example": {"auth": "dTpwAAA="}
	},
	"credHelpers": {"ecr.example": "ecr-login", "https://index.docker.io/v1/": "hub"}, "credsStore": ""
}`
)

func TestLookup(t *testing.T) {
	c, err := parseAuthFile([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		registry, repository string
		want                 auth.Credential
	}{
		{"quay.io", "x", auth.Credential{Username: "u", Password: "p:w"}},
		{"quay.io", "team", auth.Credential{Username: "t", Password: "secret"}},
		{"quay.io", "team/other/x", auth.Credential{Username: "t", Password: "secret"}},
		{"quay.io", "teams/x", auth.Credential{Username: "u", Password: "p:w"}},
		{"quay.io", "team/app", auth.Credential{Username: "u", Password: "p:w", RefreshToken: "identity"}},
		{"quay.io:443", "x", auth.Credential{}},
		{"docker.io", "library/busybox", auth.Credential{Username: "hub", Password: "pw"}},
		{"old.example", "x", auth.Credential{AccessToken: "bearer"}},
		{"other.example", "x", auth.Credential{}}, // only its team's
		{"other.example", "team/x", auth.Credential{Username: "u", Password: "p:w"}},
		{"padded.example", "x", auth.Credential{Username: "u", Password: "p"}},
	} {
		if got, err := c.lookup(test.registry, test.repository); got != test.want || err != nil {
			t.Errorf("%s/%s = %+v, %v, want %+v", test.registry, test.repository, got, err, test.want)
		}
	}
	_, err = c.lookup("bad.example", "x")
	wantError(t, err, `auths["bad.example"].auth: not the base64 of USER:PASSWORD`)
	for registry, want := range map[string]string{"ecr.example": "ecr-login", "docker.io": "hub", "quay.io": ""} {
		if got := c.helper(registry); got != want {
			t.Errorf("helper of %s = %q, want %q", registry, got, want)
		}
	}
}

func FuzzAuthFile(f *testing.F) {
	f.Add([]byte(config))
	f.Add([]byte(`{"auths":{"a.b":null,"https://a.b/v1/":{}},"credHelpers":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if c, err := parseAuthFile(raw); err == nil {
			_, _ = c.lookup("a.b", "c/d")
			_ = c.helper("a.b")
		}
		edited, _, err := setAuth(raw, "a.b", "a.b", []byte(`{"auth":"dTpw"}`))
		if err != nil {
			return
		}
		c, err := parseAuthFile(edited)
		if err != nil {
			return // what we do not know may be what others refuse
		}
		if got, err := c.lookup("a.b", "c"); err != nil || got.Username != "u" && c.Auths["a.b/c"] == (authEntry{}) {
			if _, namespaced := c.Auths["a.b/c"]; !namespaced {
				t.Errorf("%q then has %+v, %v", edited, got, err)
			}
		}
	})
}

// helper puts a program docker-credential-NAME into PATH.
func helper(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, helperPrefix+name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestHelper(t *testing.T) {
	helper(t, "user", `read key; [ "$1 $key" = "get ecr.example" ] && echo '{"ServerURL":"x","Username":"AWS","Secret":"s"}'`)
	helper(t, "token", `echo '{"Username":"<token>","Secret":"identity"}'`)
	helper(t, "hub", `read key; [ "$key" = https://index.docker.io/v1/ ] && echo '{"Username":"h","Secret":"s"}'`)
	helper(t, "empty", `echo 'credentials not found in native keychain'; exit 1`)
	helper(t, "broken", `echo 'the vault is closed'; exit 3`)
	helper(t, "endless", `exec cat /dev/zero`)
	helper(t, "text", `echo my password is secret`)
	for _, test := range []struct {
		name, registry string
		want           auth.Credential
		err            string
	}{
		{"user", "ecr.example", auth.Credential{Username: "AWS", Password: "s"}, ""},
		{"token", "ecr.example", auth.Credential{RefreshToken: "identity"}, ""},
		{"hub", "docker.io", auth.Credential{Username: "h", Password: "s"}, ""},
		{"empty", "ecr.example", auth.Credential{}, ""},
		{"broken", "ecr.example", auth.Credential{}, "docker-credential-broken get: exit status 3: the vault is closed"},
		{"endless", "ecr.example", auth.Credential{}, "docker-credential-endless get: too much output"},
		{"text", "ecr.example", auth.Credential{}, "docker-credential-text get: prints no JSON"},
		{"none", "ecr.example", auth.Credential{}, `docker-credential-none get: exec: "docker-credential-none": executable file not found in $PATH`},
		{"../../tmp/x", "ecr.example", auth.Credential{}, `credential helper "../../tmp/x": the name may have letters, digits, _ and - only`},
		{"a b", "ecr.example", auth.Credential{}, `credential helper "a b": the name may have letters, digits, _ and - only`},
		{"", "ecr.example", auth.Credential{}, `credential helper "": the name may have letters, digits, _ and - only`},
	} {
		got, err := getFromHelper(test.name, test.registry)
		if got != test.want || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
			t.Errorf("helper %q = %+v, %v, want %+v, %s", test.name, got, err, test.want, test.err)
		}
	}
}

func authFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "auth.json")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestCredentialsInUse: each kind reaches the registry, and one that fails is
// a warning where the image is public.
func TestCredentialsInUse(t *testing.T) {
	helper(t, "works", `echo '{"Username":"u","Secret":"p"}'`)
	helper(t, "broken", `exit 1`)
	r := registryfault.New(t, registryfault.Options{User: "u", Password: "p", Token: true})
	r.AddDocument("team/a", "latest", ocispec.MediaTypeImageManifest, []byte(manifest))
	for text, denied := range map[string]bool{
		`{"auths":{"HOST/team":{"auth":"dTpw"},"HOST":{"auth":"eDp5"}}}`:            false,
		`{"auths":{"HOST":{"identitytoken":"` + registryfault.RefreshToken + `"}}}`: false,
		`{"auths":{"HOST":{"registrytoken":"` + r.IssueToken() + `"}}}`:             false,
		`{"credHelpers":{"HOST":"works"}}`:                                          false,
		`{"credsStore":"works"}`:                                                    false,
		`{"credsStore":"broken","auths":{"HOST":{"auth":"dTpw"}}}`:                  false,
		`{"credsStore":"broken"}`:                                                   true,
		`{"auths":{"HOST":{"auth":"eDp5"}}}`:                                        true,
		`{}`:                                                                        true,
		``:                                                                          true,
	} {
		o := quick(t)
		o.AuthFile = authFile(t, strings.ReplaceAll(text, "HOST", r.Host()))
		_, err := open(t, r, "team/a", o).Resolve(t.Context())
		if errors.Is(err, ErrDenied) != denied || err != nil && !denied {
			t.Errorf("%s: %v, want it to be denied: %v", text, err, denied)
		}
	}
	o := quick(t)
	o.AuthFile = "/nonexistent/auth.json"
	_, err := open(t, r, "team/a", o).Resolve(t.Context())
	if err == nil || !strings.Contains(err.Error(), "cannot read credentials: /nonexistent/auth.json: no such file or directory") {
		t.Errorf("a named file that is not there: %v", err)
	}
}

func TestLogin(t *testing.T) {
	for _, options := range []registryfault.Options{{User: "u", Password: "p:w"}, {User: "u", Password: "p:w", Token: true}} {
		r := registryfault.New(t, options)
		o := quick(t)
		o.AuthFile = filepath.Join(t.TempDir(), "new", "auth.json")
		err := Login(t.Context(), r.Host(), "u", "wrong", o)
		if !errors.Is(err, ErrDenied) || !strings.HasPrefix(err.Error(), "cannot log in to "+r.Host()+": 401 unauthorized: ") || !strings.HasSuffix(err.Error(), " (hint: are user and password right?)") {
			t.Errorf("wrong password: %v", err)
		}
		if _, err := os.Stat(o.AuthFile); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after a wrong password: %v, want no file", err)
		}
		if err := Login(t.Context(), r.Host(), "u", "p:w", o); err != nil {
			t.Fatal(err)
		}
		wantFile(t, o.AuthFile, "{\n\t\"auths\": {\n\t\t\""+r.Host()+"\": {\n\t\t\t\"auth\": \""+userPass+"\"\n\t\t}\n\t}\n}\n")
		if err := open(t, r, "a", o).Put(t.Context(), describe("x/y", layer), opener(layer)); err != nil {
			t.Errorf("push after the login: %v", err)
		}
		if err := Logout(r.Host(), o); err != nil {
			t.Error(err)
		}
		wantFile(t, o.AuthFile, "{\n\t\"auths\": {}\n}\n")
		err = Logout(r.Host(), o)
		wantError(t, err, "cannot log out from "+r.Host()+": not logged in in "+o.AuthFile+" (hint: --authfile for another file)")
	}
}

func wantFile(t *testing.T, file, want string) {
	t.Helper()
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("file = %q, %v, want %q", got, err, want)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of %s: %v, want 0600", file, info.Mode())
	}
}

func TestLoginKeepsWhatItDoesNotKnow(t *testing.T) {
	for _, test := range []struct{ registry, key, in, out string }{
		{"quay.io", "quay.io", `{"credHelpers":{"a":"b"},"auths":{"x.y":{"auth":"q","more":1}},"new":[1.50]}`,
			`{"auths":{"quay.io":{"auth":"n"},"x.y":{"auth":"q","more":1}},"credHelpers":{"a":"b"},"new":[1.50]}`},
		{"docker.io", dockerHubKey, `{"auths":{"index.docker.io":{},"docker.io":{},"docker.io/team":{}}}`,
			`{"auths":{"docker.io/team":{},"https://index.docker.io/v1/":{"auth":"n"}}}`},
		{"quay.io", "quay.io", ``, `{"auths":{"quay.io":{"auth":"n"}}}`},
		{"quay.io", "quay.io", `{"auths":null}`, `{"auths":{"quay.io":{"auth":"n"}}}`},
	} {
		got, _, err := setAuth([]byte(test.in), test.registry, test.key, []byte(`{"auth":"n"}`))
		if flat := strings.NewReplacer("\n", "", "\t", "", ": ", ":").Replace(string(got)); flat != test.out || err != nil {
			t.Errorf("%s in %s = %s, %v, want %s", test.registry, test.in, flat, err, test.out)
		}
	}
	if got := keyIn("/h/.docker/config.json", "docker.io"); got != dockerHubKey {
		t.Errorf("key in docker's file = %q, want %q", got, dockerHubKey)
	}
}

func TestLoginFollowsALink(t *testing.T) {
	target := authFile(t, `{}`)
	link := filepath.Join(t.TempDir(), "auth.json")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := editAuthFile(link, func([]byte) ([]byte, error) { return []byte("new"), nil }); err != nil {
		t.Fatal(err)
	}
	wantFile(t, target, "new")
}

func TestLoginWithHelper(t *testing.T) {
	kept := filepath.Join(t.TempDir(), "kept")
	helper(t, "keeps", `case $1 in store|erase) { echo "$1"; cat; } >> `+kept+`;; esac`)
	r := registryfault.New(t, registryfault.Options{User: "u", Password: "p"})
	o := quick(t)
	o.AuthFile = authFile(t, `{"credsStore":"keeps"}`)
	if err := Login(t.Context(), r.Host(), "u", "p", o); err != nil {
		t.Fatal(err)
	}
	if err := Logout(r.Host(), o); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(kept)
	if want := "store\n" + `{"ServerURL":"` + r.Host() + `","Username":"u","Secret":"p"}` + "erase\n" + r.Host(); string(got) != want {
		t.Errorf("the helper got %q, want %q", got, want)
	}
	if got, _ := os.ReadFile(o.AuthFile); string(got) != `{"credsStore":"keeps"}` {
		t.Errorf("auth file = %q", got)
	}
}

func TestLoginsAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "auth.json")
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			registry := string(rune('a'+i)) + ".example"
			err := editAuthFile(file, func(raw []byte) ([]byte, error) {
				edited, _, err := setAuth(raw, registry, registry, []byte(`{}`))
				return edited, err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	raw, err := os.ReadFile(file)
	c, perr := parseAuthFile(raw)
	if err != nil || perr != nil || len(c.Auths) != 16 {
		t.Errorf("%d entries, %v, %v, want 16", len(c.Auths), err, perr)
	}
}
