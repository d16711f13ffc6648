// SPDX-License-Identifier: Apache-2.0

package image

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestLookProgram(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"bin/sh": 0o755, "etc/passwd": 0o644, "srv/tool": 0o700, "srv/a/prog": 0o755, "srv/a/b/x": 0o644, "mnt/x": 0o644} {
		name = filepath.Join(dir, rootfsName, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"bin/link": "/bin/sh", "bin/lost": "nowhere", "bin/out": "../../../../../etc/hosts", "link": "/", "deep": "srv/a/b"} {
		if err := os.Symlink(to, filepath.Join(dir, rootfsName, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		program, path, cwd string
		want               int
	}{
		{"/bin/sh", "", "/", 0},
		{"/bin/link", "", "/", 0},
		{"/bin/lost", "", "/", StatusNotFound},
		{"/bin/out", "", "/", StatusNotFound}, // links end at the root
		{"/etc/passwd", "", "/", StatusNotExecutable},
		{"/etc", "", "/", StatusNotExecutable},
		{"./tool", "", "/srv", 0},
		{"./tool", "", "/", StatusNotFound},
		{"sh", "/sbin:/bin", "/", 0},
		{"sh", "/sbin", "/", StatusNotFound},
		{"sh", "bin", "/", 0},
		{"passwd", "/bin:/etc", "/", StatusNotExecutable},
		{"/mnt/x", "", "/", 0}, // something is mounted there
		{"/mnt/nosuch", "", "/", 0},
		{"/sub/nosuch", "", "/", 0}, // and here, through a link
		{"../prog", "", "/deep", 0},
		{"prog", "/deep/..", "/", 0},
		{"prog", "..", "/deep", 0},
		{"../tool", "", "/deep", StatusNotFound},
	} {
		spec := specs.Spec{
			Process: &specs.Process{Args: []string{c.program}, Cwd: c.cwd, Env: []string{"PATH=" + c.path}},
			Mounts:  []specs.Mount{{Destination: "/mnt"}, {Destination: "/link/sub"}},
		}
		data, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "config.json"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := lookProgram(dir); got != c.want {
			t.Errorf("%s with PATH=%s in %s: %d, want %d", c.program, c.path, c.cwd, got, c.want)
		}
	}
}
