// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"

	"berth/image/reference"
)

// dockerHubKey is docker's name of Docker Hub in its config.json and to helpers.
const dockerHubKey = "https://index.docker.io/v1/"

// maxAuthFile bounds an auth file and what a helper prints, in bytes.
const maxAuthFile = 1 << 20

// authFiles are where credentials are looked for; containers-auth.json(5).
func authFiles(explicit string, env func(string) string) []string {
	if file := explicit; file != "" {
		return []string{file}
	}
	if file := env("REGISTRY_AUTH_FILE"); file != "" {
		return []string{file}
	}
	var files []string
	home := env("HOME")
	add := func(dir, file string) {
		if dir != "" {
			files = append(files, filepath.Join(dir, file))
		}
	}
	add(env("XDG_RUNTIME_DIR"), "containers/auth.json")
	if dir := env("XDG_CONFIG_HOME"); dir != "" || home == "" {
		add(dir, "containers/auth.json")
	} else {
		add(home, ".config/containers/auth.json")
	}
	if dir := env("DOCKER_CONFIG"); dir != "" || home == "" {
		add(dir, "config.json")
	} else {
		add(home, ".docker/config.json")
	}
	return files
}

// authConfig is what we read of an auth file.
type authConfig struct {
	Auths       map[string]authEntry `json:"auths"`
	CredHelpers map[string]string    `json:"credHelpers"` // by registry
	CredsStore  string               `json:"credsStore"`  // for all others
}

type authEntry struct {
	Auth          string `json:"auth"` // base64 of user:password
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"` // for the token server
	RegistryToken string `json:"registrytoken"` // for the registry
}

// findCredential looks for what a registry wants for a repository. There being
// nothing is no error: many images are public.
func findCredential(registry, repository string, o Options) (auth.Credential, error) {
	if o.Username != "" {
		return auth.Credential{Username: o.Username, Password: o.Password}, nil
	}
	for _, file := range authFiles(o.AuthFile, os.Getenv) {
		raw, err := readAuthFile(file)
		if errors.Is(err, fs.ErrNotExist) && o.AuthFile == "" {
			continue
		}
		var config authConfig
		if err == nil {
			config, err = parseAuthFile(raw)
		}
		if err != nil {
			return auth.EmptyCredential, fmt.Errorf("cannot read credentials: %s: %w", file, err)
		}
		if helper := config.helper(registry); helper != "" {
			credential, err := getFromHelper(helper, registry)
			if err == nil && credential != auth.EmptyCredential {
				return credential, nil
			}
			if err != nil {
				o.Warn(err.Error() + "; going on without")
			}
		}
		credential, err := config.lookup(registry, repository)
		if err != nil {
			return credential, fmt.Errorf("cannot read credentials: %s: %w", file, err)
		}
		if credential != auth.EmptyCredential {
			return credential, nil
		}
	}
	return auth.EmptyCredential, nil
}

func readAuthFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, errors.Unwrap(err) // the caller names the file
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxAuthFile+1))
	if err == nil && len(raw) > maxAuthFile {
		err = fmt.Errorf("longer than %d bytes", maxAuthFile)
	}
	return raw, err
}

func parseAuthFile(raw []byte) (authConfig, error) {
	var c authConfig
	if len(strings.TrimSpace(string(raw))) == 0 {
		return c, nil
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return authConfig{}, fmt.Errorf("not an auth file: %w", err)
	}
	return c, nil
}

// helper is the program that has a registry's credentials, "" for none.
func (c *authConfig) helper(registry string) string {
	for key, helper := range c.CredHelpers {
		if registryOf(key) == registry {
			return helper
		}
	}
	return c.CredsStore
}

// lookup finds the entry of the longest prefix of registry/repository, else
// one of docker's older forms.
func (c *authConfig) lookup(registry, repository string) (auth.Credential, error) {
	for key := registry + "/" + repository; ; {
		if entry, ok := c.Auths[key]; ok {
			return entry.credential(key)
		}
		i := strings.LastIndexByte(key, '/')
		if i < 0 {
			break
		}
		key = key[:i]
	}
	for key, entry := range c.Auths {
		if registryOf(key) == registry {
			return entry.credential(key)
		}
	}
	return auth.EmptyCredential, nil
}

// registryOf reads a key such as https://index.docker.io/v1/ or quay.io; ""
// for one with a namespace.
func registryOf(key string) string {
	host, isURL := strings.CutPrefix(key, "https://")
	if !isURL {
		host, isURL = strings.CutPrefix(key, "http://")
	}
	host, path, _ := strings.Cut(host, "/")
	switch strings.TrimSuffix(path, "/") {
	case "", "v1", "v2":
	default:
		if !isURL {
			return ""
		}
	}
	registry, err := reference.ParseHost(host)
	if err != nil {
		return ""
	}
	return registry
}

func (e authEntry) credential(key string) (auth.Credential, error) {
	c := auth.Credential{Username: e.Username, Password: e.Password, RefreshToken: e.IdentityToken, AccessToken: e.RegistryToken}
	if e.Auth == "" {
		return c, nil
	}
	decoded, err := base64.StdEncoding.DecodeString(e.Auth)
	user, password, ok := strings.Cut(string(decoded), ":")
	if err != nil || !ok {
		return auth.EmptyCredential, fmt.Errorf("auths[%q].auth: not the base64 of USER:PASSWORD", key)
	}
	c.Username, c.Password = user, strings.TrimRight(password, "\x00") // docker pads with them
	return c, nil
}
