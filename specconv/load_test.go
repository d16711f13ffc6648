// SPDX-License-Identifier: Apache-2.0

package specconv

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bundle makes one with a config.json.
func bundle(t *testing.T, content []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLoad(t *testing.T) {
	s, err := Load(bundle(t, []byte(`{"ociVersion": "1.3.0", "unknown": {"a": 1}, "windows": 5, "hostname": "h"}`)))
	if err != nil {
		t.Fatal(err)
	}
	if s.Version != "1.3.0" || s.Hostname != "h" {
		t.Errorf("got %+v", s)
	}
}

func TestLoadMissing(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none"))
	if !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "bundle: ") {
		t.Errorf("bundle: got %v", err)
	}
	dir := t.TempDir()
	_, err = Load(dir)
	want := "JSON specification file " + filepath.Join(dir, "config.json") + " not found"
	if err == nil || err.Error() != want {
		t.Errorf("file: got %v, want %s", err, want)
	}
	if _, err = LoadProcess(filepath.Join(dir, "process.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("process: got %v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	const secret = "hunter2"
	for _, c := range []struct{ name, content, want string }{
		{"syntax", "{\n\"ociVersion\": \"1.3.0\",\n\"hostname\" " + secret + "\n}", ": line 3: "},
		{"end", "{\n\"hostname\": \"" + secret + "\",\n", ": line 3: unexpected end of JSON input"},
		{"second value", "{}\n{\"hostname\": \"" + secret + "\"}", ": line 2: "},
		{"string for number", "{\n\"process\": {\n\"user\": {\"uid\": \"" + secret + "\"}}}", ": line 3: process.user.uid: a JSON string is not an integer"},
		{"number for number", "{\n\"process\": {\n\"user\": {\"uid\": 98765.4321}}}", ": line 3: process.user.uid: a JSON number is not an integer from 0 to 4294967295"},
		{"number for signed number", `{"process": {"oomScoreAdj": 98765.4321}}`, ": line 1: process.oomScoreAdj: a JSON number is not an integer from -9223372036854775808 to 9223372036854775807"},
		{"string for signed number", `{"linux": {"resources": {"memory": {"limit": "` + secret + `"}}}}`, "linux.resources.memory.limit: a JSON string is not an integer"},
		{"string for list of strings", `{"process": {"args": "` + secret + `"}}`, "process.args: a JSON string is not a list of strings"},
		{"object for list of objects", `{"mounts": {"` + secret + `": 1}}`, "mounts: a JSON object is not a list of objects"},
		{"number for list of integers", `{"process": {"user": {"additionalGids": 98765}}}`, "process.user.additionalGids: a JSON number is not a list of integers"},
		{"string for boolean", `{"process": {"terminal": "` + secret + `"}}`, "process.terminal: a JSON string is not a boolean"},
		{"boolean for map", `{"annotations": true}`, "annotations: a JSON bool is not an object"},
		{"number for string", "{\"process\": {\n\n\n\"cwd\": 98765.4321}}", ": line 4: process.cwd: a JSON number is not a string"},
		{"array", "[]", ": line 1: a JSON array is not an object"},
		{"string", `"` + secret + `"`, ": line 1: a JSON string is not an object"},
		{"null", " null ", ": not a JSON object"},
		{"empty", "", ": line 1: unexpected end of JSON input"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Load(bundle(t, []byte(c.content)))
			if err == nil || s != nil {
				t.Fatalf("got %v, error %v", s, err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			for _, leak := range []string{secret, "98765"} {
				if strings.Contains(err.Error(), leak) {
					t.Errorf("leaks the value: %v", err)
				}
			}
		})
	}
}

func TestLoadLimit(t *testing.T) {
	content := []byte(`{"ociVersion": "1.3.0"}`)
	full := append(content, bytes.Repeat([]byte(" "), maxConfig-len(content))...)
	if _, err := Load(bundle(t, full)); err != nil {
		t.Errorf("%d bytes: %v", len(full), err)
	}
	full = append(full, ' ')
	if _, err := Load(bundle(t, full)); err == nil || !strings.HasSuffix(err.Error(), ": larger than 10 MiB") {
		t.Errorf("%d bytes: got %v", len(full), err)
	}
}

func TestLoadProcess(t *testing.T) {
	path := filepath.Join(bundle(t, []byte(`{"args": ["sh"], "cwd": "/"}`)), "config.json")
	p, err := LoadProcess(path)
	if err != nil || len(p.Args) != 1 || p.Cwd != "/" {
		t.Errorf("got %+v, error %v", p, err)
	}
}
