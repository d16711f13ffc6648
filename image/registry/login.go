// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"berth/image/reference"
	"berth/internal/atomicfile"
)

// ErrNotLoggedIn is for a logout from a registry without a login.
var ErrNotLoggedIn = errors.New("not logged in")

// Login asks a registry whether user and password are right, and keeps them in
// the auth file, or in the helper that the file names for the registry.
func Login(ctx context.Context, host, user, password string, o Options) error {
	registry, err := reference.ParseHost(host)
	if err != nil {
		return err
	}
	if user == "" || password == "" || strings.Contains(user, ":") {
		return fmt.Errorf("cannot log in to %s: user and password are needed, and the user has no colon", registry)
	}
	o.Username, o.Password = user, password
	o = o.withDefaults()
	if err := verifyLogin(ctx, registry, o); err != nil {
		return err
	}
	file, err := authFileToWrite(o)
	if err != nil {
		return err
	}
	entry, err := json.Marshal(map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + password))})
	if err != nil {
		return err
	}
	err = editAuthFile(file, func(raw []byte) ([]byte, error) {
		config, err := parseAuthFile(raw)
		if err != nil {
			return nil, err
		}
		if helper := config.helper(registry); helper != "" {
			return nil, storeInHelper(helper, registry, user, password)
		}
		edited, _, err := setAuth(raw, registry, keyIn(file, registry), entry)
		return edited, err
	})
	if err != nil {
		return fmt.Errorf("cannot keep the login to %s: %w", registry, err)
	}
	return nil
}

// Logout forgets what Login kept.
func Logout(host string, o Options) error {
	registry, err := reference.ParseHost(host)
	if err != nil {
		return err
	}
	file, err := authFileToWrite(o)
	if err != nil {
		return err
	}
	found := false
	err = editAuthFile(file, func(raw []byte) ([]byte, error) {
		config, err := parseAuthFile(raw)
		if err != nil {
			return nil, err
		}
		if helper := config.helper(registry); helper != "" {
			found = true
			return nil, eraseFromHelper(helper, registry)
		}
		edited, was, err := setAuth(raw, registry, "", nil)
		found = was
		if !was {
			return nil, err
		}
		return edited, err
	})
	if err != nil {
		return fmt.Errorf("cannot log out from %s: %w", registry, err)
	}
	if !found {
		return fmt.Errorf("cannot log out from %s: %w in %s (hint: --authfile for another file)", registry, ErrNotLoggedIn, file)
	}
	return nil
}

// verifyLogin asks for the root of the API, which wants credentials first;
// distribution-spec, "Determining Support".
func verifyLogin(ctx context.Context, registry string, o Options) error {
	e, err := newEndpoint(registry, "", o)
	if err != nil {
		return err
	}
	defer e.wire.close()
	repo, err := e.ready(ctx)
	if err != nil {
		return explain(ctx, verbLogin, registry, registry, err)
	}
	scheme := "https"
	if repo.PlainHTTP {
		scheme = "http"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+e.wire.host+"/v2/", nil)
	if err != nil {
		return err
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return explain(ctx, verbLogin, registry, registry, err)
	}
	defer drain(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("cannot log in to %s: it is not a registry: GET /v2/ gives %d", registry, resp.StatusCode)
	}
	if resp.Request.Header.Get("Authorization") == "" {
		o.Warn(registry + " asks nobody for a login; the password was not checked")
	}
	return nil
}

func authFileToWrite(o Options) (string, error) {
	files := authFiles(o.AuthFile, os.Getenv)
	if len(files) == 0 {
		return "", errors.New("there is no place for credentials: $HOME is not set (hint: --authfile)")
	}
	return files[0], nil
}

// keyIn is the key for a registry in a new entry: docker has one of its own
// for Docker Hub.
func keyIn(file, registry string) string {
	if registry == reference.DockerHub && filepath.Base(file) == "config.json" {
		return dockerHubKey
	}
	return registry
}

// setAuth replaces the entries of a registry in an auth file by one under key,
// or by none if entry is nil. All that it does not know stays.
func setAuth(raw []byte, registry, key string, entry json.RawMessage) (edited []byte, found bool, err error) {
	var file, auths map[string]json.RawMessage
	if len(strings.TrimSpace(string(raw))) > 0 {
		if err := json.Unmarshal(raw, &file); err != nil {
			return nil, false, err
		}
	}
	if old := file["auths"]; old != nil {
		if err := json.Unmarshal(old, &auths); err != nil {
			return nil, false, err
		}
	}
	if file == nil {
		file = map[string]json.RawMessage{}
	}
	if auths == nil {
		auths = map[string]json.RawMessage{}
	}
	for old := range auths {
		if registryOf(old) == registry {
			delete(auths, old)
			found = true
		}
	}
	if entry != nil {
		auths[key] = entry
	}
	if file["auths"], err = json.Marshal(auths); err != nil {
		return nil, false, err
	}
	edited, err = json.MarshalIndent(file, "", "\t")
	return append(edited, '\n'), found, err
}

// makeDir makes a directory for the user alone, with its parents.
func makeDir(path string) error {
	err := unix.Mkdirat(unix.AT_FDCWD, path, 0o700)
	if errors.Is(err, unix.ENOENT) && filepath.Dir(path) != path {
		if err := makeDir(filepath.Dir(path)); err != nil {
			return err
		}
		err = unix.Mkdirat(unix.AT_FDCWD, path, 0o700)
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("mkdir %s: %w", path, err)
	}
	return nil
}

// editAuthFile changes a file with nobody in between: under a lock on its
// directory, which no other file is needed for, and in one step. edit gets nil
// for a file that is not there, and gives nil to leave it as it is. A link is
// followed: people keep such files elsewhere.
func editAuthFile(file string, edit func(raw []byte) ([]byte, error)) error {
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target
	}
	path := filepath.Dir(file)
	if err := makeDir(path); err != nil {
		return err
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close() // and with it the lock
	for {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("flock %s: %w", path, err)
		}
	}
	raw, err := readAuthFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", file, err)
	}
	edited, err := edit(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if edited == nil {
		return nil
	}
	return atomicfile.WriteAt(dir, filepath.Base(file), edited, 0o600)
}
