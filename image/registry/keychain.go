// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"berth/image/reference"
)

const (
	helperTimeout = 30 * time.Second // people may be asked for a passphrase
	helperPrefix  = "docker-credential-"
	// tokenUser is the user name of a secret that is an identity token.
	tokenUser = "<token>"
)

// errNotStored is a helper's answer for a registry that it does not know.
var errNotStored = errors.New("credentials not found in native keychain")

var errTooLong = errors.New("too much output")

// helperEntry is what helpers read and print; docker's credential helper protocol.
type helperEntry struct {
	ServerURL string
	Username  string
	Secret    string
}

func helperKey(registry string) string {
	if registry == reference.DockerHub {
		return dockerHubKey
	}
	return registry
}

func getFromHelper(name, registry string) (auth.Credential, error) {
	out, err := runHelper(name, "get", helperKey(registry))
	if errors.Is(err, errNotStored) {
		return auth.EmptyCredential, nil
	}
	var entry helperEntry
	if err == nil {
		if json.Unmarshal(out, &entry) != nil {
			err = fmt.Errorf("%s%s get: prints no JSON", helperPrefix, name) // which might have a secret in it
		}
	}
	if err != nil {
		return auth.EmptyCredential, err
	}
	if entry.Username == tokenUser {
		return auth.Credential{RefreshToken: entry.Secret}, nil
	}
	return auth.Credential{Username: entry.Username, Password: entry.Secret}, nil
}

func storeInHelper(name, registry, user, password string) error {
	in, err := json.Marshal(helperEntry{helperKey(registry), user, password})
	if err == nil {
		_, err = runHelper(name, "store", string(in))
	}
	return err
}

func eraseFromHelper(name, registry string) error {
	_, err := runHelper(name, "erase", helperKey(registry))
	return err
}

// runHelper starts docker-credential-NAME from PATH. The name comes from a
// file, and must not lead to another program.
func runHelper(name, verb, in string) ([]byte, error) {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	if name == "" || strings.Trim(name, allowed) != "" {
		return nil, fmt.Errorf("credential helper %q: the name may have letters, digits, _ and - only", name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), helperTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, helperPrefix+name, verb)
	cmd.WaitDelay = time.Second // a child of its may hold the pipes
	out, errs := &capped{}, &capped{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), out, errs
	err := cmd.Run()
	switch said := oneLine(string(out.kept)); {
	case out.over || errs.over:
		err = errTooLong
	case ctx.Err() != nil:
		err = fmt.Errorf("no answer in %v", helperTimeout)
	case err == nil:
		return out.kept, nil
	case verb == "get" && said == errNotStored.Error():
		err = errNotStored
	case verb == "get" && said != "":
		err = fmt.Errorf("%w: %s", err, said)
	default:
		if said = oneLine(string(errs.kept)); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
	}
	return nil, fmt.Errorf("%s%s %s: %w", helperPrefix, name, verb, err)
}

// capped keeps up to maxAuthFile bytes. It embeds no buffer, whose ReadFrom
// would go around Write.
type capped struct {
	kept []byte
	over bool
}

func (c *capped) Write(p []byte) (int, error) {
	if len(c.kept)+len(p) > maxAuthFile {
		c.over = true
		return 0, errTooLong
	}
	c.kept = append(c.kept, p...)
	return len(p), nil
}
