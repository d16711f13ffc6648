// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

type mountCase struct{ in, want string }

// check compares the mount, or the error behind "error: ".
func check(t *testing.T, what string, parse func(string) (Mount, error), cases []mountCase) {
	t.Helper()
	for _, c := range cases {
		m, err := parse(c.in)
		got := strings.TrimSpace(fmt.Sprintf("%s %q %s %s", m.Type, m.Source, m.Destination, strings.Join(m.Options, ",")))
		if m.Relabel {
			got += " relabel"
		}
		if m.NoCopy {
			got += " nocopy"
		}
		if err != nil {
			got = "error: " + strings.TrimPrefix(err.Error(), fmt.Sprintf("%s %q: ", what, c.in))
			if !reflect.DeepEqual(m, Mount{}) && !strings.HasPrefix(what, "tmpfs") {
				t.Errorf("%s %q: a mount with an error: %+v", what, c.in, m)
			}
		}
		if got != c.want {
			t.Errorf("%s %q:\n got %s\nwant %s", what, c.in, got, c.want)
		}
	}
}

func TestParseVolume(t *testing.T) {
	check(t, "volume", ParseVolume, []mountCase{
		{"/a:/b", `bind "/a" /b rbind,rprivate`},
		{"/a:/b:ro", `bind "/a" /b rbind,rprivate,ro`},
		{"/a:/b/../c/:rw,rslave", `bind "/a" /c rbind,rslave,rw`},
		{"/a:/b:bind,shared,nosuid,noexec", `bind "/a" /b bind,shared,nosuid,noexec`},
		{"/a:/b:z", `bind "/a" /b rbind,rprivate relabel`},
		{"/a:/b:Z,ro,cached", `bind "/a" /b rbind,rprivate,ro relabel`},
		{"name:/b", `volume "name" /b rbind,rprivate`},
		{"name:/b:nocopy", `volume "name" /b rbind,rprivate nocopy`},
		{"/b", `volume "" /b rbind,rprivate`},
		{"/b:ro", `error: the destination must be an absolute path`},
		{"", `error: there is no destination`},
		{"/a:", `error: there is no destination`},
		{"/a:/", `error: the destination cannot be the root`},
		{"/a:/..", `error: the destination cannot be the root`},
		{"/a:/b:", `error: there is a colon, and no options after it`},
		{"/a:/b:ro,rw", `error: ro and rw exclude each other`},
		{"/a:/b:nocopy", `error: unknown option "nocopy"`},
		{"/a:/b:suid2", `error: unknown option "suid2"`},
		{"/a:/b:ro:x", `error: want [SOURCE:]DESTINATION[:OPTIONS]`},
		{"a/b:/c", `error: the source "a/b" must be an absolute path`},
		{"..:/c", `error: ".." is no name of a volume: letters, digits, and after the first also _ . - (hint: a path needs a slash)`},
		{"a b:/c", `error: "a b" is no name of a volume: letters, digits, and after the first also _ . - (hint: a path needs a slash)`},
		{"/a\x00:/b", `error: there is a NUL byte in a path`},
	})
}

func TestParseMount(t *testing.T) {
	check(t, "mount", ParseMount, []mountCase{
		{"type=bind,source=/a,target=/b", `bind "/a" /b rbind,rprivate`},
		{"type=bind,src=/a,dst=/b,readonly", `bind "/a" /b rbind,rprivate,ro`},
		{"type=bind,src=/a,destination=/b,ro=false", `bind "/a" /b rbind,rprivate`},
		{"Type=BIND,src=/a,dst=/b,bind-propagation=rslave,bind-nonrecursive", `bind "/a" /b bind,rslave`},
		{"type=bind,src=/a,dst=/b,ro,bind-recursive=readonly", `bind "/a" /b rbind,rprivate,ro,rro`},
		{"type=bind,src=/a,dst=/b,bind-recursive=disabled,consistency=cached", `bind "/a" /b bind,rprivate`},
		{`type=bind,"src=/a,b",dst=/c`, `bind "/a,b" /c rbind,rprivate`},
		{"src=data,dst=/b,volume-nocopy", `volume "data" /b rbind,rprivate nocopy`},
		{"dst=/b", `volume "" /b rbind,rprivate`},
		{"type=tmpfs,dst=/b,tmpfs-size=1m,tmpfs-mode=1770,ro", `tmpfs "" /b noexec,nosuid,nodev,ro,size=1048576,mode=1770`},
		{"", `error: want KEY=VALUE,… (hint: keys are ` + MountKeys + ")"},
		{"type=bind,src=/a", `error: there is no destination`},
		{"type=bind,dst=/a", `error: the source "" must be an absolute path`},
		{"type=npipe,src=/a,dst=/b", `error: type "npipe": want bind, volume or tmpfs`},
		{"type=bind,src=/a,dst=/b,foo", `error: unknown key "foo" (hint: there are ` + MountKeys + ")"},
		{"type=bind,src=/a,dst=/b,volume-opt=x", `error: unknown key "volume-opt" (hint: there are ` + MountKeys + ")"},
		{"type=bind,src=/a,dst", `error: dst needs a value`},
		{"type=bind,src=/a,dst=/b,ro=maybe", `error: ro="maybe": want true or false`},
		{"type=bind,src=/a,dst=/b,tmpfs-size=1", `error: tmpfs-size is not for the type bind`},
		{"type=tmpfs,dst=/b,bind-recursive=enabled", `error: bind-recursive is not for the type tmpfs`},
		{"type=tmpfs,src=/a,dst=/b", `error: a tmpfs has no source`},
		{"type=tmpfs,dst=/b,tmpfs-size=big", `error: tmpfs-size=big: want a size such as 64m`},
		{"type=tmpfs,dst=/b,tmpfs-mode=9", `error: tmpfs-mode=9: want an octal mode`},
		{"type=bind,src=/a,dst=/b,bind-propagation=odd", `error: bind-propagation=odd: want one of private, rprivate, shared, rshared, slave, rslave`},
		{"type=bind,src=/a,dst=/b,bind-recursive=readonly", `error: bind-recursive=readonly needs readonly`},
		{"type=bind,src=/a,dst=/b,bind-recursive=odd", `error: bind-recursive=odd: want enabled, disabled, writable or readonly`},
	})
}

func TestParseTmpfs(t *testing.T) {
	check(t, "tmpfs", ParseTmpfs, []mountCase{
		{"/run", `tmpfs "" /run noexec,nosuid,nodev`},
		{"/run:size=64m,exec,mode=755", `tmpfs "" /run nosuid,nodev,size=64m,exec,mode=755`},
		{"/run:noexec,ro", `tmpfs "" /run nosuid,nodev,noexec,ro`},
		{"run", `error: the destination must be an absolute path`},
		{"/run:size", `error: unknown option "size"`},
		{"/run:lowerdir=/", `error: unknown option "lowerdir=/"`},
	})
}

// FuzzMountSyntax: what is accepted makes a mount of the spec.
func FuzzMountSyntax(f *testing.F) {
	for _, seed := range []string{"/a:/b:ro", "type=bind,src=/a,dst=/b", "/run:size=1m", `"a,b"`, "type=tmpfs,dst=/x,tmpfs-mode=7"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, parse := range []func(string) (Mount, error){ParseVolume, ParseMount, ParseTmpfs} {
			m, err := parse(s)
			if err != nil {
				continue
			}
			if m.Type == TypeVolume {
				if strings.ContainsAny(m.Source, "/\x00") || strings.HasPrefix(m.Source, ".") {
					t.Errorf("%q: a volume called %q", s, m.Source)
				}
				m.Type, m.Source = TypeBind, "/volumes/x"
			}
			if _, err := m.spec(); err != nil {
				t.Errorf("%q: accepted, and then %v", s, err)
			}
		}
	})
}

func TestParseLimits(t *testing.T) {
	for in, want := range map[string]string{
		"512m": "536870912", "1g": "1073741824", "4096": "4096", "0": "0",
		"": `size "": want a number of bytes, or one with b, k, m, g or t`, "-1": `size "-1": want a number of bytes, or one with b, k, m, g or t`,
		"x": `size "x": want a number of bytes, or one with b, k, m, g or t`,
	} {
		n, err := ParseMemory(in)
		if got := show(n, err); got != want {
			t.Errorf("ParseMemory(%q) = %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"nofile=1024:2048": "{RLIMIT_NOFILE 2048 1024}", "core=-1": "{RLIMIT_CORE 18446744073709551615 18446744073709551615}",
		"nproc=5": "{RLIMIT_NPROC 5 5}", "core=-2": `ulimit "core=-2": negative`, "odd=1": `ulimit "odd=1": invalid ulimit type: odd`,
	} {
		u, err := ParseUlimit(in)
		if got := show(u, err); got != want {
			t.Errorf("ParseUlimit(%q) = %s, want %s", in, got, want)
		}
	}
}

func show(v any, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(v)
}

func TestParseDevice(t *testing.T) {
	for in, want := range map[string]string{
		"/dev/null":                   "/dev/null c 1:3 rwm",
		"/dev/null:r":                 "/dev/null c 1:3 r",
		"/dev/null:/dev/x":            "/dev/x c 1:3 rwm",
		"/dev/null:/dev/x/../y:rw":    "/dev/y c 1:3 rw",
		"/dev/null:/dev/x:rr":         `device "/dev/null:/dev/x:rr": want SOURCE[:DESTINATION][:ACCESS], with r, w and m for ACCESS`,
		"/dev/null:x":                 `device "/dev/null:x": the paths must be absolute`,
		"null":                        `device "null": the paths must be absolute`,
		"/etc/passwd":                 `device "/etc/passwd": it is no device (hint: --volume for files and directories)`,
		"/dev/there-is-no-such-thing": `device "/dev/there-is-no-such-thing": stat: no such file or directory`,
	} {
		d, err := ParseDevice(in)
		got := fmt.Sprintf("%s %s %d:%d %s", d.Path, d.Type, d.Major, d.Minor, d.Access)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("ParseDevice(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestHostDevices(t *testing.T) {
	list, err := HostDevices()
	if err != nil {
		t.Fatal(err)
	}
	null := false
	for _, d := range list {
		null = null || d.Path == "/dev/null" && d.Type == "c" && d.Major == 1 && d.Minor == 3
		if strings.HasPrefix(d.Path, "/dev/pts/") || d.Path == "/dev/console" {
			t.Errorf("%s is a terminal of the host", d.Path)
		}
	}
	if !null {
		t.Error("/dev/null is missing")
	}
}
