// SPDX-License-Identifier: Apache-2.0

package specconv

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/config"
)

// FuzzConvert: no config makes Convert panic, and what it accepts keeps the
// promises that libcontainer relies on.
func FuzzConvert(f *testing.F) {
	for _, s := range []*specs.Spec{Example(), ExampleRootless(1000, 1000)} {
		data, err := json.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, false, false)
		f.Add(data, true, true)
	}
	f.Add([]byte(minimalConfig), false, true)
	for _, seed := range []string{
		`{}`, `null`, `{"linux": null}`,
		`{"ociVersion": "1.0.0", "root": {"path": "/a"}, "process": {"args": ["a"], "cwd": "/", "env": ["A=1", "A=2"]}, "linux": {"namespaces": [{"type": "mount"}]}, "mounts": [{"destination": "../a", "type": "tmpfs", "options": ["ro,rw", "noatime,relatime,rro,rrw"]}]}`,
		`{"ociVersion": "1.0.0", "root": {"path": "a"}, "process": {"args": ["a"], "cwd": "/", "execCPUAffinity": {"initial": "0-3,,7"}}, "hooks": {"poststop": [{"path": "/a", "timeout": 1}]}, "linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-8191"}}}`,
	} {
		f.Add([]byte(seed), false, false)
	}
	f.Fuzz(func(t *testing.T, data []byte, rootless, systemd bool) {
		var s specs.Spec
		if json.Unmarshal(data, &s) != nil {
			return
		}
		o := Options{ID: "fuzz", Bundle: "/bundle", Rootless: rootless}
		if systemd {
			o.CgroupDriver = config.CgroupSystemd
		}
		out, _, err := Convert(&s, o)
		if err != nil {
			if out != nil {
				t.Error("a container came with the error")
			}
			return
		}
		checkPromises(t, out)
	})
}

func checkPromises(t *testing.T, out *config.Container) {
	clean := func(what, path string) {
		if !filepath.IsAbs(path) || filepath.Clean(path) != path {
			t.Errorf("%s: %q is not absolute and clean", what, path)
		}
	}
	clean("rootfs", out.Rootfs)
	clean("cwd", out.Process.Cwd)
	for _, m := range out.Mounts {
		clean("mount", m.Destination)
		if m.Set&m.Clear != 0 {
			t.Errorf("mount %s: sets and clears %#x", m.Destination, m.Set&m.Clear)
		}
		if m.Bind && !m.Remount && !filepath.IsAbs(m.Source) {
			t.Errorf("mount %s: source %q is not absolute", m.Destination, m.Source)
		}
	}
	for _, d := range out.Devices {
		clean("device", d.Path)
	}
	for _, list := range [][]string{out.MaskedPaths, out.ReadonlyPaths} {
		for _, p := range list {
			clean("path", p)
		}
	}
	types := make(map[config.NamespaceType]bool)
	for _, n := range out.Namespaces {
		if types[n.Type] {
			t.Errorf("namespace %s is there twice", n.Type)
		}
		types[n.Type] = true
	}
	names := make(map[string]bool)
	for _, e := range out.Process.Env {
		name, _, ok := strings.Cut(e, "=")
		if !ok || name == "" || names[name] {
			t.Errorf("env: %q is no variable, or there twice", e)
		}
		names[name] = true
	}
}
