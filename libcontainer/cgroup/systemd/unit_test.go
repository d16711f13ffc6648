// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/<name>.golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\ngot:\n%s\nwant:\n%s", name, got, want)
	}
}

func TestResolve(t *testing.T) {
	var b strings.Builder
	for _, c := range []struct {
		path, id string
		user     bool
	}{
		{"", "web", false},
		{"", "web", true},
		{"system.slice:docker:0123abcd", "0123abcd", false},
		{"machine.slice:libpod:0123abcd", "0123abcd", false},
		{"user.slice:libpod:0123abcd", "0123abcd", true},
		{"kubepods-besteffort-pod1_2.slice:cri-containerd:c1", "c1", false},
		{":crio:c1", "c1", false},
		{":crio:c1", "c1", true},
		{"-.slice:a:b", "b", false},
		{"a.slice::b", "b", false},
		{"a.slice::b.scope", "b", false},
		{"a.slice:p:b.service", "b", false},
		{"a.slice:p:a-b.slice", "b", false},
		{"::a-b.slice", "b", true},
		{"memory.slice::cpu", "c", false},
		{"a.slice::_b", "b", false},
		{"a.slice::.b", "b", false},
		{"", "a+b", false},
		{"", "@", false},
		{"", "a@b@", false},
		{"a.slice::@b@c", "b", false},
		{"a.slice:p/q:ä b\n'", "b", false},
		{`a.slice:p:x\x2dy`, "b", false},
		{"::p@a.slice", "b", false},
	} {
		fmt.Fprintf(&b, "%q %s user=%t\n", c.path, c.id, c.user)
		u, err := Resolve(c.path, c.id, c.user)
		if err != nil {
			t.Errorf("%q: %v", c.path, err)
			continue
		}
		fmt.Fprintf(&b, "\t%s in %s\n\t%s\n", u.Name, u.Slice, u.Cgroup)
		if err := u.valid(); err != nil {
			t.Errorf("valid after Resolve: %v", err)
		}
	}
	golden(t, "units", b.String())
}

func TestResolveRefuses(t *testing.T) {
	long := strings.Repeat("x", 250)
	for path, want := range map[string]string{
		"/a/b": `linux.cgroupsPath: expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, ` +
			`got "/a/b" instead (a path needs the cgroupfs driver: --cgroup-manager cgroupfs)`,
		"a.slice:b": `linux.cgroupsPath: expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, ` +
			`got "a.slice:b" instead (a path needs the cgroupfs driver: --cgroup-manager cgroupfs)`,
		"a.slice:b:c:d": `linux.cgroupsPath: expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, ` +
			`got "a.slice:b:c:d" instead (a path needs the cgroupfs driver: --cgroup-manager cgroupfs)`,
		"a.slice:b:":              `linux.cgroupsPath: "a.slice:b:" names no unit after the last colon`,
		"a:b:c":                   `linux.cgroupsPath: invalid slice name "a": it must end in .slice`,
		"a.slice:p:" + long:       `linux.cgroupsPath: the unit name "p-` + long + `.scope" has 258 characters, more than 255`,
		"a.slice::-.slice":        `linux.cgroupsPath: "-.slice" is a unit of the host, not of a container`,
		"a.slice::system.slice":   `linux.cgroupsPath: "system.slice" is a unit of the host, not of a container`,
		"a.slice::init":           `linux.cgroupsPath: "init.scope" is a unit of the host, not of a container`,
		"a.slice::b--c.slice":     `linux.cgroupsPath: invalid slice name "b--c.slice": a dash parts two names, and one of them is empty`,
		"../../a.slice:prefix:id": `linux.cgroupsPath: invalid slice name "../../a.slice": it must not contain '/'`,
	} {
		u, err := Resolve(path, "id", false)
		if err == nil || err.Error() != want || u != (Unit{}) {
			t.Errorf("Resolve(%q) = %v, %v, want %s", path, u, err, want)
		}
	}
}

func TestExpandSlice(t *testing.T) {
	for name, want := range map[string]string{
		"-.slice":     "/",
		"a.slice":     "/a.slice",
		"a-b.slice":   "/a.slice/a-b.slice",
		"a-b-c.slice": "/a.slice/a-b.slice/a-b-c.slice",
	} {
		if got, err := ExpandSlice(name); got != want || err != nil {
			t.Errorf("ExpandSlice(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
	const empty = "a dash parts two names, and one of them is empty"
	for name, reason := range map[string]string{
		"":           "it must end in .slice",
		"a":          "it must end in .slice",
		"a.scope":    "it must end in .slice",
		".slice":     empty,
		"-a.slice":   empty,
		"a-.slice":   empty,
		"a--b.slice": empty,
		"--.slice":   empty,
		"a/b.slice":  "it must not contain '/'",
		"a b.slice":  "it must not contain ' '",
		"a@b.slice":  "it must not contain '@'",
	} {
		want := fmt.Sprintf("invalid slice name %q: %s", name, reason)
		if got, err := ExpandSlice(name); err == nil || err.Error() != want {
			t.Errorf("ExpandSlice(%q) = %q, %v, want %s", name, got, err, want)
		}
	}
}

func TestUnitIsStored(t *testing.T) {
	u := Unit{Name: "berth-a.scope", Slice: "user.slice", Cgroup: "/user.slice/berth-a.scope", User: true}
	data, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"name":"berth-a.scope","slice":"user.slice","cgroup":"/user.slice/berth-a.scope","user":true}`
	if string(data) != want {
		t.Errorf("got %s, want %s", data, want)
	}
	var back Unit
	if err := json.Unmarshal(data, &back); err != nil || back != u {
		t.Errorf("back is %+v, %v", back, err)
	}
	if got, want := u.Below("/user.slice/user-1000.slice/user@1000.service"), "/user.slice/user-1000.slice/user@1000.service/user.slice/berth-a.scope"; got != want {
		t.Errorf("Below = %q, want %q", got, want)
	}
	if got := u.Below(""); got != u.Cgroup {
		t.Errorf("Below = %q, want %q", got, u.Cgroup)
	}
}

// A record may be damaged: it must not make Stop end the host's units.
func TestUnitOfRecord(t *testing.T) {
	for name, want := range map[string]string{
		"":              "no systemd unit is recorded for this container",
		"system.slice":  `"system.slice" is a unit of the host, not of a container`,
		"a.service":     `the unit name "a.service" is neither a scope nor a slice`,
		".scope":        `the unit name ".scope" is neither a scope nor a slice`,
		"a',b='c.scope": `the unit name "a',b='c.scope" must not contain '\''`,
	} {
		if err := (Unit{Name: name}).valid(); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
}

// FuzzResolve: what comes out is a name that systemd takes, at a path that
// cannot leave the manager's cgroup.
func FuzzResolve(f *testing.F) {
	for _, s := range []string{"", "a.slice:b:c", "::", "-.slice:@:@", "a-b.slice::c.slice", "a.slice:../..:/.."} {
		f.Add(s, "id", false)
		f.Add(s, "a+b", true)
	}
	f.Fuzz(func(t *testing.T, path, id string, user bool) {
		u, err := Resolve(path, id, user)
		if err != nil {
			if u != (Unit{}) {
				t.Error("a unit came with the error")
			}
			return
		}
		if err := u.valid(); err != nil {
			t.Error(err)
		}
		if u.Cgroup != filepath.Clean(u.Cgroup) || u.Cgroup == "/" || u.Cgroup[0] != '/' {
			t.Errorf("cgroup %q", u.Cgroup)
		}
		stem := strings.TrimSuffix(strings.TrimSuffix(u.Name, ".scope"), ".slice")
		if strings.HasPrefix(stem, "@") || strings.Count(stem, "@") > 0 && strings.Index(stem, "@") == len(stem)-1 {
			t.Errorf("%q is a template", u.Name)
		}
	})
}
