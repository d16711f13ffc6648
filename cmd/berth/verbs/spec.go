// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"berth/specconv"
)

// specCommand is `spec`.
type specCommand struct {
	bundle   string
	file     string
	rootless bool
}

func (c *specCommand) flags() []flag {
	return []flag{
		text(&c.bundle, "DIR", "where to write it (default: the working directory)", "bundle", "b"),
		text(&c.file, "FILE", "file to write, if not config.json of the bundle", "file", "f"),
		toggle(&c.rootless, "for a user who is not root", "rootless"),
	}
}

func (c *specCommand) run(*env, []string) (int, error) {
	spec := specconv.Example()
	if c.rootless {
		spec = specconv.ExampleRootless(uint32(os.Geteuid()), uint32(os.Getegid()))
	}
	data, err := json.MarshalIndent(spec, "", "\t")
	if err != nil {
		return 1, err
	}
	path := c.file
	if path == "" {
		path = "config.json"
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.bundle, path)
	}
	return 0, writeNew(path, append(data, '\n'))
}

// writeNew never replaces a file: it may be somebody's work.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("file %s exists. Remove it first", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
