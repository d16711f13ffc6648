// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestOptionsThatAreRefused(t *testing.T) {
	root, _ := newRoot(t, map[string]string{"etc/passwd": testPasswd, "etc/group": testGroup})
	for _, c := range []struct {
		name, image string
		o           Options
		want        string
	}{
		{"env", `{}`, Options{Env: []string{"SECRET"}}, `env "SECRET": want NAME=VALUE`},
		{"cwd", `{}`, Options{Cwd: "rel"}, `working directory "rel" is not an absolute path`},
		{"cwd of the image", `{"config":{"WorkingDir":"/a\u0000"}}`, Options{}, `working directory "/a\x00" has a NUL byte`},
		{"args of the image", `{"config":{"Cmd":["a\u0000"]}}`, Options{}, `an argument of the command has a NUL byte`},
		{"user of the image", `{"config":{"User":"who"}}`, Options{}, `user "who": there is no such name in the image's /etc/passwd (hint: --user with a number)`},
		{"net", `{}`, Options{Net: "bridge"}, `net "bridge": want host, none or the absolute path of a network namespace`},
		{"net of another user", `{}`, Options{Net: "/run/netns/x", Rootless: true, UIDMaps: single, GIDMaps: single},
			`net "/run/netns/x": a rootless container cannot join a network namespace (hint: --net host or none)`},
		{"rootless without maps", `{}`, Options{Rootless: true}, `rootless: a user namespace needs maps of ids`},
		{"half of the maps", `{}`, Options{UIDMaps: single}, `maps of uids and of gids go together`},
		{"unmapped", `{"config":{"User":"app"}}`, Options{Rootless: true, UIDMaps: single, GIDMaps: single},
			`user "app": 1000:1001 is not mapped in the user namespace (hint: --user 0, or a larger range in /etc/subuid and /etc/subgid)`},
		{"rootless device", `{}`, Options{Rootless: true, UIDMaps: single, GIDMaps: single, Devices: []Device{{specs.LinuxDevice{Path: "/dev/fuse"}, "r"}}},
			`device "/dev/fuse": a rootless container gets devices by bind mounts (hint: -v /dev/fuse:/dev/fuse)`},
		{"capability", `{}`, Options{CapAdd: []string{"FLY"}}, `unknown capability "FLY"`},
		{"memory", `{}`, Options{Memory: 1 << 20}, `memory limit of 1048576 bytes: a container needs 6 MiB`},
		{"cpus", `{}`, Options{CPUs: 0.001}, `limit of 0.001 CPUs: the least is 0.01`},
		{"negative", `{}`, Options{Pids: -1}, `a limit is negative`},
		{"hostname", `{}`, Options{Hostname: strings.Repeat("h", 65)}, `hostname "` + strings.Repeat("h", 65) + `": at most 64 bytes are possible`},
		{"init", `{}`, Options{Init: "tini"}, `init "tini" is not an absolute path`},
		{"volumes", `{}`, Options{ImageVolumes: "odd"}, `image volumes "odd": want tmpfs or ignore`},
		{"volume", `{}`, Options{Mounts: []Mount{{Type: TypeVolume, Source: "v", Destination: "/x"}}}, `mount /x: volume "v" has no directory yet`},
		{"twice", `{}`, Options{Mounts: []Mount{{Type: TypeTmpfs, Destination: "/x"}, {Type: TypeTmpfs, Destination: "/x"}}},
			`mount /x: there are two mounts at this destination`},
		{"seccomp file", `{}`, Options{Seccomp: "testdata/none"}, `seccomp profile: open testdata/none: no such file or directory`},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec, _, err := Spec(parseConfig(t, strings.Replace(c.image, "{}", `{"os":"linux"}`, 1)), root, c.o)
			if spec != nil || err == nil || err.Error() != c.want {
				t.Errorf("got %v, %v; want %s", spec, err, c.want)
			}
		})
	}
}

// TestInside: a runtime in the user namespace makes none, and all else is as if
// it did.
func TestInside(t *testing.T) {
	root, _ := newRoot(t, map[string]string{"etc/passwd": testPasswd})
	o := Options{Rootless: true, UIDMaps: rootless, GIDMaps: rootless, Cmd: []string{"true"}}
	outside, _, err := Spec(parseConfig(t, `{"os":"linux"}`), root, o)
	if err != nil {
		t.Fatal(err)
	}
	o.Inside = true
	inside, _, err := Spec(parseConfig(t, `{"os":"linux"}`), root, o)
	if err != nil {
		t.Fatal(err)
	}
	l := outside.Linux
	l.UIDMappings, l.GIDMappings = nil, nil
	l.Namespaces = slices.DeleteFunc(l.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.UserNamespace })
	if !reflect.DeepEqual(inside, outside) {
		t.Errorf("got %+v, want %+v", inside, outside)
	}
}

// TestImageCannotChangeTheIsolation: whatever an image says, the fields that
// isolate are those of an image that says nothing.
func TestImageCannotChangeTheIsolation(t *testing.T) {
	root, _ := newRoot(t, map[string]string{"etc/passwd": testPasswd})
	plain, _, err := Spec(parseConfig(t, `{"os":"linux"}`), root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	hostile, _, err := Spec(parseConfig(t, `{"privileged":true,"Seccomp":"unconfined","config":{"User":"0","Privileged":true,"SecurityOpt":["seccomp=unconfined"],
		"Labels":{"org.opencontainers.image.os":"x","seccomp":"unconfined","run.oci.seccomp.receiver":"/x"},"Volumes":{"/sys/fs/cgroup":{},"/proc/self":{}},
		"NetworkMode":"host","Sysctls":{"kernel.core_pattern":"|x"}},"linux":{"seccomp":null},"hooks":{"prestart":[{"path":"/x"}]}}`), root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(plain.Linux, hostile.Linux) || !reflect.DeepEqual(plain.Mounts, hostile.Mounts) || hostile.Hooks != nil ||
		!reflect.DeepEqual(plain.Process.Capabilities, hostile.Process.Capabilities) || !hostile.Process.NoNewPrivileges {
		t.Errorf("the image changed more than its command:\n%s", strings.Join(difference(flatten(t, plain), flatten(t, hostile)), "\n"))
	}
}

func TestProfileConditions(t *testing.T) {
	const text = `{"defaultAction":"SCMP_ACT_ERRNO","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]},{"architecture":"SCMP_ARCH_AARCH64"}],
	"syscalls":[
	{"name":"old","action":"SCMP_ACT_ALLOW"},
	{"names":["admin"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_ADMIN"]}},
	{"names":["noadmin"],"action":"SCMP_ACT_ALLOW","excludes":{"caps":["CAP_SYS_ADMIN"]}},
	{"names":["arm"],"action":"SCMP_ACT_ALLOW","includes":{"arches":["arm64"]}},
	{"names":["noarm"],"action":"SCMP_ACT_ALLOW","excludes":{"arches":["arm64"]}},
	{"names":["new"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"6.2"}},
	{"names":["aged"],"action":"SCMP_ACT_ALLOW","excludes":{"minKernel":"6.2"}}]}`
	path := filepath.Join(t.TempDir(), "profile.json")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		m    machine
		want string
	}{
		{machine{arch: "amd64", kernel: "6.10.0-x"}, "SCMP_ARCH_X86_64,SCMP_ARCH_X86: old noadmin noarm new"},
		{machine{arch: "amd64", kernel: "6.1.0", caps: []string{"CAP_SYS_ADMIN"}}, "SCMP_ARCH_X86_64,SCMP_ARCH_X86: old admin noarm aged"},
		{machine{arch: "arm64", kernel: "5.15"}, "SCMP_ARCH_AARCH64: old noadmin arm aged"},
		{machine{arch: "mips", kernel: "6.2"}, ": old noadmin noarm new"},
	} {
		s, err := profileOf(path, c.m)
		if err != nil {
			t.Fatal(err)
		}
		var archs, names []string
		for _, a := range s.Architectures {
			archs = append(archs, string(a))
		}
		for _, r := range s.Syscalls {
			names = append(names, r.Names...)
		}
		if got := strings.Join(archs, ",") + ": " + strings.Join(names, " "); got != c.want {
			t.Errorf("%v: got %s, want %s", c.m, got, c.want)
		}
	}
}

func TestProfilesThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "no defaultAction (hint: a profile is JSON in Docker's or the OCI's form)",
		`{"defaultAction":"SCMP_ACT_ERRNO","architectures":["a"],"archMap":[{"architecture":"b"}]}`:                              "architectures and archMap exclude each other",
		`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"name":"a","names":["b"]}]}`:                                             "syscalls[0]: name and names exclude each other",
		`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["b"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"x"}}]}`: `syscalls[0]: "x" is no version of a kernel: want MAJOR.MINOR`,
	} {
		path := filepath.Join(t.TempDir(), "profile.json")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := profileOf(path, machine{arch: "amd64"}); err == nil || !strings.HasSuffix(err.Error(), ": "+want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func FuzzKernelVersion(f *testing.F) {
	f.Add("6.1.0-13-amd64")
	f.Add("5")
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := kernelVersion(s); err == nil && len(v) != 2 {
			t.Errorf("kernelVersion(%q) = %v", s, v)
		}
	})
}
