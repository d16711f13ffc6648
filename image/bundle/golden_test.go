// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/image/document"
	"berth/internal/inroot"
)

var update = flag.Bool("update", false, "write testdata/*.golden")

var (
	rootless = []specs.LinuxIDMapping{{HostID: 1000, Size: 1}, {ContainerID: 1, HostID: 100000, Size: 65536}}
	single   = []specs.LinuxIDMapping{{HostID: 1000, Size: 1}}
)

// goldens are configs: of an image, and what is wanted otherwise. The golden
// file of "minimal" is the whole config.json, the others say how theirs differs
// from it.
var goldens = []struct {
	name, image string
	o           Options
}{
	{"minimal", `{"config":{"Cmd":["sh"]}}`, Options{}},
	{"image", `{"os":"linux","architecture":"arm64","variant":"v8","os.version":"6.1","os.features":["a","b"],"author":"me","created":"2024-02-29T12:00:00.500Z",
		"config":{"User":"app","Env":["PATH=/app","LANG=C","A=b=c"],"Entrypoint":["/entry","-x"],"Cmd":["serve"],"WorkingDir":"/srv",
		"ExposedPorts":{"80/tcp":{},"53/udp":{}},"Labels":{"version":"1"},"StopSignal":"SIGQUIT"}}`, Options{}},
	{"label-wins-over-implied", `{"author":"me","config":{"Cmd":["sh"],"Labels":{"org.opencontainers.image.author":"label"}}}`,
		Options{Annotations: map[string]string{"mine": "1"}}},
	{"label-that-steers", `{"config":{"Cmd":["sh"],"Labels":{"org.systemd.property.ExecStopPost":"x","run.oci.handler":"krun","io.containerd.x":"1","":"e","fine":"1"}}}`, Options{}},
	{"env-malformed", `{"config":{"Cmd":["sh"],"Env":["SECRET","=x","","*","N=a\u0000b","OK=","OK=2"]}}`, Options{}},
	{"env-override", `{"config":{"Cmd":["sh"],"Env":["PATH=/bin","A=1","HOME=/image"]}}`, Options{Env: []string{"A=2", "B=3"}, TTY: true, Hostname: "box"}},
	{"cmd-override", `{"config":{"Entrypoint":["/e"],"Cmd":["c"]}}`, Options{Cmd: []string{"d", "e"}}},
	{"entrypoint-override", `{"config":{"Entrypoint":["/e"],"Cmd":["c"]}}`, Options{Entrypoint: []string{"/f"}}},
	{"entrypoint-cleared", `{"config":{"Entrypoint":["/e"],"Cmd":["c"]}}`, Options{Entrypoint: []string{}, Cmd: []string{"x"}}},
	{"entrypoint-of-nothing", `{"config":{"Entrypoint":[""],"Cmd":["sh"]}}`, Options{}},
	{"no-command", `{"config":{}}`, Options{}},
	{"user-numeric", `{"config":{"Cmd":["sh"],"User":"1234"}}`, Options{}},
	{"user-override", `{"config":{"Cmd":["sh"],"User":"missing"}}`, Options{User: "1:2"}},
	{"cwd-relative", `{"config":{"Cmd":["sh"],"WorkingDir":"a/b"}}`, Options{}},
	{"cwd-override", `{"config":{"Cmd":["sh"],"WorkingDir":"/a"}}`, Options{Cwd: "/b"}},
	{"volumes", `{"config":{"Cmd":["sh"],"Volumes":{"/data":{},"/data/deep/er":{},"/":{},"/proc/x":{},"rel":{}}}}`,
		Options{Mounts: []Mount{{Type: TypeBind, Source: "/srv", Destination: "/data", Options: []string{"rbind", "rprivate"}}}}},
	{"volumes-ignored", `{"config":{"Cmd":["sh"],"Volumes":{"/data":{}}}}`, Options{ImageVolumes: "ignore"}},
	{"mounts-sorted", `{"config":{"Cmd":["sh"]}}`, Options{Mounts: []Mount{
		{Type: TypeTmpfs, Destination: "/a/b/c", Options: []string{"noexec"}},
		{Type: TypeBind, Source: "/tmp", Destination: "/a", Options: []string{"rbind", "rprivate", "ro"}, Relabel: true}}}},
	{"mount-over-default", `{"config":{"Cmd":["sh"]}}`, Options{Mounts: []Mount{{Type: TypeBind, Source: "/dev/shm", Destination: "/dev/shm", Options: []string{"rbind"}}}}},
	{"net-host", `{"config":{"Cmd":["sh"]}}`, Options{Net: "host"}},
	{"net-path", `{"config":{"Cmd":["sh"]}}`, Options{Net: "/proc/self/ns/net"}},
	{"limits", `{"config":{"Cmd":["sh"]}}`, Options{Memory: 512 << 20, CPUs: 1.5, Pids: 100, ShmSize: 1 << 20, CgroupsPath: "/box",
		Ulimits: []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1024, Hard: 2048}}}},
	{"device", `{"config":{"Cmd":["sh"]}}`, Options{Devices: []Device{{specs.LinuxDevice{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229}, "rw"}}}},
	{"sysctl", `{"config":{"Cmd":["sh"]}}`, Options{Sysctls: map[string]string{"net.ipv4.ip_unprivileged_port_start": "1024", "kernel.msgmax": "9000"}}},
	{"capabilities", `{"config":{"Cmd":["sh"]}}`, Options{CapAdd: []string{"SYS_PTRACE", "cap_sys_admin"}, CapDrop: []string{"MKNOD"}}},
	{"cap-drop-all", `{"config":{"Cmd":["sh"]}}`, Options{CapDrop: []string{"ALL"}, CapAdd: []string{"NET_BIND_SERVICE"}}},
	{"privileged", `{"config":{"Cmd":["sh"]}}`, Options{Privileged: true}},
	{"privileged-with-filter", `{"config":{"Cmd":["sh"]}}`, Options{Privileged: true, Seccomp: "testdata/profile.oci.json"}},
	{"unconfined", `{"config":{"Cmd":["sh"]}}`, Options{Seccomp: "unconfined", NewPrivileges: true}},
	{"read-only", `{"config":{"Cmd":["sh"]}}`, Options{ReadOnly: true, Rootfs: "root", Hostname: "h", Domainname: "example.org"}},
	{"init", `{"config":{"Cmd":["sh"]}}`, Options{Init: "/bin/true"}},
	{"security-labels", `{"config":{"Cmd":["sh"]}}`, Options{AppArmor: "box", SELinux: "u:r:t:s0:c1,c2", SELinuxMount: "u:r:f:s0:c1,c2"}},
	{"stop-signal", `{"config":{"Cmd":["sh"],"StopSignal":"SIGQUIT"}}`, Options{StopSignal: "SIGINT"}},
	{"rootless", `{"config":{"Cmd":["sh"],"User":"app"}}`, Options{Rootless: true, UIDMaps: rootless, GIDMaps: rootless}},
	{"rootless-one-id", `{"config":{"Cmd":["sh"],"User":"root"}}`, Options{Rootless: true, UIDMaps: single, GIDMaps: single, Pids: 10}},
	{"rootless-own-net", `{"config":{"Cmd":["sh"]}}`, Options{Rootless: true, Net: "none", UIDMaps: rootless, GIDMaps: rootless}},
	{"user-namespace-of-root", `{"config":{"Cmd":["sh"]}}`, Options{UIDMaps: rootless, GIDMaps: rootless}},
}

const (
	testPasswd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/home/app:/bin/sh\n"
	testGroup  = "root:x:0:root\nstaff:x:50:app,root\napp:x:1001:\naudio:x:29:app\n"
)

func newRoot(t *testing.T, files map[string]string) (*inroot.Root, string) {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := inroot.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root, dir
}

func parseConfig(t *testing.T, text string) *document.Config {
	t.Helper()
	text = strings.Replace(text, "{", `{"rootfs":{"type":"layers","diff_ids":[]},`, 1)
	c, err := document.ParseConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGolden(t *testing.T) {
	root, _ := newRoot(t, map[string]string{"etc/passwd": testPasswd, "etc/group": testGroup})
	var minimal []string
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			g.o.Arch = "amd64"
			spec, warnings, err := Spec(parseConfig(t, g.image), root, g.o)
			if err != nil {
				t.Fatal(err)
			}
			lines := flatten(t, spec)
			got := difference(minimal, lines)
			if minimal == nil {
				minimal, got = lines, lines
			}
			for _, w := range warnings {
				got = append(got, "warning: "+w)
			}
			compareGolden(t, filepath.Join("testdata", g.name+".golden"), strings.Join(got, "\n")+"\n")
			planned(t, spec, len(spec.Process.Args) == 0)
		})
	}
}

func compareGolden(t *testing.T, path, got string) {
	t.Helper()
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
		t.Errorf("differs from %s; if that is meant, run go test -update\n%s", path, strings.Join(difference(strings.Split(string(want), "\n"), strings.Split(got, "\n")), "\n"))
	}
}

// flatten is one line per member, and per element of a list of objects.
func flatten(t *testing.T, spec *specs.Spec) []string {
	t.Helper()
	data, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	var lines []string
	var walk func(path string, v any)
	walk = func(path string, v any) {
		list, isList := v.([]any)
		object, isObject := v.(map[string]any)
		// mounts and their kin are short lines, the rest is taken apart.
		switch {
		case isObject && !strings.HasSuffix(path, "[]"):
			for _, name := range slices.Sorted(maps.Keys(object)) {
				walk(strings.TrimPrefix(path+"."+name, "."), object[name])
			}
		case isList && len(list) > 0 && fmt.Sprintf("%T", list[0]) != "string":
			for _, e := range list {
				walk(path+"[]", e)
			}
		default:
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, path+": "+string(text))
		}
	}
	walk("", v)
	return lines
}

// difference are the lines that b lacks and those that it has more, with the
// longest common subsequence in between left out.
func difference(a, b []string) []string {
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out, i = append(out, "- "+a[i]), i+1
		default:
			out, j = append(out, "+ "+b[j]), j+1
		}
	}
	return out
}

// planned lets the runtime say whether the config is right.
func planned(t *testing.T, spec *specs.Spec, refused bool) {
	t.Helper()
	berth, err := filepath.Abs("../../bin/berth")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(berth); err != nil || runtime.GOARCH != "amd64" {
		t.Log("not planned: there is no bin/berth, or this is not amd64")
		return
	}
	if spec.Process.ApparmorProfile != "" || spec.Process.SelinuxLabel != "" {
		return // they need a machine with these modules
	}
	out, err := berthOn(t, spec, nil, berth, "plan")
	if (err != nil) != refused {
		t.Errorf("berth plan: %v\n%s", err, out)
	}
}

// berthOn runs a verb of the runtime on a bundle of spec, with a busybox if
// applets are named.
func berthOn(t *testing.T, spec *specs.Spec, applets []string, berth string, args ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil { // for root of a user namespace
		t.Fatal(err)
	}
	rootfs := filepath.Join(dir, spec.Root.Path)
	if err := os.MkdirAll(filepath.Join(rootfs, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if maps := spec.Linux.UIDMappings; len(maps) > 0 {
		if err := os.Chown(rootfs, int(maps[0].HostID), -1); err != nil {
			t.Logf("the root stays ours: %v", err)
		}
	}
	if len(applets) > 0 {
		box, err := os.ReadFile("/bin/busybox")
		if err != nil {
			t.Skip("there is no busybox")
		}
		if err := os.WriteFile(filepath.Join(rootfs, "bin/busybox"), box, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range applets {
		if err := os.Symlink("busybox", filepath.Join(rootfs, "bin", a)); err != nil {
			t.Fatal(err)
		}
	}
	data, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, berth, append([]string{"--root", filepath.Join(dir, "state")}, args...)...)
	cmd.Args = append(cmd.Args, "--bundle", dir, fmt.Sprintf("bundletest-%d", os.Getpid()))
	out, err := cmd.CombinedOutput()
	return string(out), err
}
