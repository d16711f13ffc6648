// SPDX-License-Identifier: Apache-2.0

// Package specconv converts config.json (opencontainers/runtime-spec 1.3.0)
// into config.Container, one file per section of the spec. It checks all that
// can be known from the file alone: every error names the field, what the
// spec says to ignore becomes a warning. Nothing here touches the host, except
// Load and LoadProcess, which read a file, and CheckRootfs, which looks at a
// directory.
package specconv

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// maxConfig bounds the size of a config, in bytes.
const maxConfig = 10 << 20

// Load reads config.json of a bundle.
func Load(bundle string) (*specs.Spec, error) {
	if _, err := os.Stat(bundle); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	return LoadFile(filepath.Join(bundle, "config.json"))
}

// document is specs.Spec without the platforms that we are not: encoding/json
// prepares itself for every type that it could meet, which takes longer than
// decoding.
type document struct {
	Version     string            `json:"ociVersion"`
	Process     *specs.Process    `json:"process"`
	Root        *specs.Root       `json:"root"`
	Hostname    string            `json:"hostname"`
	Domainname  string            `json:"domainname"`
	Mounts      []specs.Mount     `json:"mounts"`
	Hooks       *specs.Hooks      `json:"hooks"`
	Annotations map[string]string `json:"annotations"`
	Linux       *specs.Linux      `json:"linux"`
}

func (d *document) spec() *specs.Spec {
	return &specs.Spec{
		Version: d.Version, Process: d.Process, Root: d.Root, Hostname: d.Hostname, Domainname: d.Domainname,
		Mounts: d.Mounts, Hooks: d.Hooks, Annotations: d.Annotations, Linux: d.Linux,
	}
}

// ErrNoConfig is LoadFile's for a file that does not exist. Not the words of
// ENOENT: engines take them for a missing program.
var ErrNoConfig = errors.New("not found")

// LoadFile reads a config from a file of any name.
func LoadFile(path string) (*specs.Spec, error) {
	var d document
	if err := decode(path, &d); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("JSON specification file %s %w", path, ErrNoConfig)
		}
		return nil, err
	}
	return d.spec(), nil
}

// LoadProcess reads a process.json, as exec --process takes it.
func LoadProcess(path string) (*specs.Process, error) {
	var p specs.Process
	return &p, decode(path, &p)
}

// decode reads one JSON value. Unknown keys are ignored, as the spec wants it;
// errors tell the line and never the content, which may hold secrets.
func decode(path string, into any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return err
	}
	if len(data) > maxConfig {
		return fmt.Errorf("%s: larger than %d MiB", path, maxConfig>>20)
	}
	return parse(path, data, into)
}

// ParseResources reads limits, as update --resources takes them; name is for errors.
func ParseResources(name string, data []byte) (*specs.LinuxResources, error) {
	var r specs.LinuxResources
	return &r, parse(name, data, &r)
}

func parse(path string, data []byte, into any) error {
	err := json.Unmarshal(data, into)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		if t := bytes.TrimSpace(data); len(t) == 0 || t[0] != '{' {
			return fmt.Errorf("%s: not a JSON object", path)
		}
		return nil
	case errors.As(err, &syntax):
		return fmt.Errorf("%s: line %d: %w", path, lineAt(data, syntax.Offset), err)
	case errors.As(err, &kind):
		field := kind.Field + ": "
		if kind.Field == "" { // the whole
			field = ""
		}
		have := firstWord(kind.Value)
		return fmt.Errorf("%s: line %d: %sa JSON %s is not %s", path, lineAt(data, kind.Offset), field, have, wanted(kind.Type, have))
	}
	return fmt.Errorf("%s: %w", path, err)
}

func lineAt(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(int(offset), len(data))], []byte("\n"))
}

// wanted is JSON's word for a type, with the bounds if a number is beyond them.
func wanted(t reflect.Type, have string) string {
	one, _ := words(t)
	switch k := t.Kind(); {
	case have != "number":
	case reflect.Int <= k && k <= reflect.Int64:
		low := int64(-1) << (t.Bits() - 1)
		return fmt.Sprintf("%s from %d to %d", one, low, ^low)
	case reflect.Uint <= k && k <= reflect.Uint64:
		return fmt.Sprintf("%s from 0 to %d", one, ^uint64(0)>>(64-t.Bits()))
	}
	return one
}

// words name one and several values of a type.
func words(t reflect.Type) (one, several string) {
	switch k := t.Kind(); {
	case k == reflect.Pointer:
		return words(t.Elem())
	case k == reflect.Bool:
		return "a boolean", "booleans"
	case k == reflect.String:
		return "a string", "strings"
	case reflect.Int <= k && k <= reflect.Uint64:
		return "an integer", "integers"
	case k == reflect.Float32, k == reflect.Float64:
		return "a number", "numbers"
	case k == reflect.Slice, k == reflect.Array:
		_, several = words(t.Elem())
		return "a list of " + several, "lists of " + several
	}
	return "an object", "objects" // a struct or a map
}

// firstWord cuts the value off "number 12.5": it may be a secret.
func firstWord(s string) string {
	word, _, _ := bytes.Cut([]byte(s), []byte(" "))
	return string(word)
}
