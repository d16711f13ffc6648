// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

const (
	sum256 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	hex64  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

var sum512 = digest.SHA512.FromString("").String()

func TestParse(t *testing.T) {
	for _, test := range []struct {
		in       string
		want     Name
		familiar string
	}{
		{"busybox", Name{"docker.io", "library/busybox", "latest", ""}, "busybox"},
		{"busybox:1.36", Name{"docker.io", "library/busybox", "1.36", ""}, "busybox:1.36"},
		{"user/app", Name{"docker.io", "user/app", "latest", ""}, "user/app"},
		{"docker.io/busybox", Name{"docker.io", "library/busybox", "latest", ""}, "busybox"},
		{"index.docker.io/user/app", Name{"docker.io", "user/app", "latest", ""}, "user/app"},
		{"registry-1.docker.io/busybox", Name{"docker.io", "library/busybox", "latest", ""}, "busybox"},
		{"library/busybox", Name{"docker.io", "library/busybox", "latest", ""}, "busybox"},
		{"library/a/b", Name{"docker.io", "library/a/b", "latest", ""}, "docker.io/library/a/b:latest"},
		{"docker.io/localhost/x", Name{"docker.io", "localhost/x", "latest", ""}, "docker.io/localhost/x:latest"},
		{"docker.io/a.b/c", Name{"docker.io", "a.b/c", "latest", ""}, "docker.io/a.b/c:latest"},
		{"docker.io/library/" + hex64, Name{"docker.io", "library/" + hex64, "latest", ""}, "docker.io/library/" + hex64 + ":latest"},
		{"localhost/x", Name{"localhost", "x", "latest", ""}, "localhost/x"},
		{"localhost:5000", Name{"docker.io", "library/localhost", "5000", ""}, "localhost:5000"},
		{"localhost:5000/x", Name{"localhost:5000", "x", "latest", ""}, "localhost:5000/x"},
		{"host:5000/a/b:t@" + sum256, Name{"host:5000", "a/b", "t", sum256}, "host:5000/a/b:t@" + sum256},
		{"host.example/a@" + sum512, Name{"host.example", "a", "", digest.Digest(sum512)}, "host.example/a@" + sum512},
		{"busybox@" + sum256, Name{"docker.io", "library/busybox", "", sum256}, "busybox@" + sum256},
		{"busybox:latest@" + sum256, Name{"docker.io", "library/busybox", "latest", sum256}, "busybox:latest@" + sum256},
		{"HOST.Example:80/a", Name{"host.example:80", "a", "latest", ""}, "host.example:80/a"},
		{"[::1]:5000/a/b", Name{"[::1]:5000", "a/b", "latest", ""}, "[::1]:5000/a/b"},
		{"[2001:DB8:0::1]/a", Name{"[2001:db8::1]", "a", "latest", ""}, "[2001:db8::1]/a"},
		{"127.0.0.1:5000/a", Name{"127.0.0.1:5000", "a", "latest", ""}, "127.0.0.1:5000/a"},
		{"q.io/a__b/c-_.d:_T", Name{}, ""},
		{"q.io/a__b/c---d/e.f_g:_T", Name{"q.io", "a__b/c---d/e.f_g", "_T", ""}, "q.io/a__b/c---d/e.f_g:_T"},
	} {
		got, err := Parse(test.in)
		if test.want == (Name{}) {
			if err == nil {
				t.Errorf("Parse(%q) = %+v, want an error", test.in, got)
			}
			continue
		}
		if err != nil || got != test.want {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", test.in, got, err, test.want)
		}
		if got.Familiar() != test.familiar {
			t.Errorf("Parse(%q).Familiar() = %q, want %q", test.in, got.Familiar(), test.familiar)
		}
	}
}

func TestRefusedNames(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", `image name "": it is empty`},
		{"https://host.example/a", `image name "https://host.example/a": it is a URL (hint: leave out what is before the host)`},
		{"Busybox", `image name "Busybox": repository "Busybox" has upper case; registries allow lower case only`},
		{"a//b", `image name "a//b": repository "a//b" has an empty component`},
		{"/a", `image name "/a": repository "/a" has an empty component`},
		{"host.example/", `image name "host.example/": repository "" has an empty component`},
		{"@" + sum256, `image name "@` + sum256 + `": repository "" has an empty component`},
		{"a b", `image name "a b": repository "a b": character ' ' is not allowed`},
		{"a/../b", `image name "a/../b": repository component "..": one of . _ __ or dashes may stand between letters and digits, and nowhere else`},
		{"a..b", `image name "a..b": repository component "a..b": one of . _ __ or dashes may stand between letters and digits, and nowhere else`},
		{"a-", `image name "a-": repository component "a-": one of . _ __ or dashes may stand between letters and digits, and nowhere else`},
		{"a___b", `image name "a___b": repository component "a___b": one of . _ __ or dashes may stand between letters and digits, and nowhere else`},
		{"a:", `image name "a:": the tag is empty`},
		{"a:b:c", `image name "a:b:c": tag "b:c": letters, digits and _ . - are allowed, and the first is no . or -`},
		{"a:-b", `image name "a:-b": tag "-b": letters, digits and _ . - are allowed, and the first is no . or -`},
		{"a.b/c:d/e", `image name "a.b/c:d/e": tag "d/e" has a slash`},
		{"h:0/a", `image name "h:0/a": port "0" is not one of 1 to 65535`},
		{"h:080/a", `image name "h:080/a": port "080" is not one of 1 to 65535`},
		{"h:65536/a", `image name "h:65536/a": port "65536" is not one of 1 to 65535`},
		{"h:/a", `image name "h:/a": port "" is not one of 1 to 65535`},
		{"::1/a", `image name "::1/a": host ":" is not a host name (hint: IPv6 addresses are in brackets)`},
		{"[::1/a", `image name "[::1/a": host "[:" is not an IPv6 address in brackets`},
		{"[::1%eth0]/a", `image name "[::1%eth0]/a": host "[::1%eth0]" is not an IPv6 address in brackets`},
		{"[127.0.0.1]/a", `image name "[127.0.0.1]/a": host "[127.0.0.1]" is not an IPv6 address in brackets`},
		{"../a", `image name "../a": host ".." is not a host name (hint: IPv6 addresses are in brackets)`},
		{"-a.b/c", `image name "-a.b/c": host "-a.b" is not a host name (hint: IPv6 addresses are in brackets)`},
		{"user@host.example/a", `image name "user@host.example/a": digest "host.example/a": want ALGORITHM:HEX`},
		{"a@md5:00", `image name "a@md5:00": digest algorithm "md5": there are sha256 and sha512`},
		{"a@sha256:00", `image name "a@sha256:00": digest of 2 digits; sha256 has 64`},
		{"a@sha256:../../x", `image name "a@sha256:../../x": digest of 7 digits; sha256 has 64`},
		{"a\n:b", `image name "a\n:b": repository "a\n": character '\n' is not allowed`},
		{hex64, `image name "` + hex64 + `": it looks like an image's ID, and registries have names`},
	} {
		_, err := Parse(test.in)
		if err == nil || err.Error() != test.want {
			t.Errorf("Parse(%q) = %v, want %s", test.in, err, test.want)
		}
	}
}

func TestLongNames(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, test := range []struct{ in, want string }{
		{"h.example/" + x(255), ""},
		{"h.example/" + x(256), "repository of 256 bytes; at most 255 are possible"},
		{x(248), "repository of 256 bytes; at most 255 are possible"},
		{"a:" + x(128), ""},
		{"a:" + x(129), "tag of 129 bytes; at most 128 are possible"},
		{x(252) + ".h/a", "host of 254 bytes; at most 253 are possible"},
		{"a@sha256:" + strings.Repeat("E", 64), `digest "sha256:` + strings.Repeat("E", 64) + `": want hexadecimal digits in lower case`},
	} {
		_, err := Parse(test.in)
		if test.want == "" {
			if err != nil {
				t.Errorf("Parse of %d bytes: %v", len(test.in), err)
			}
			continue
		}
		if want := fmt.Sprintf("image name %s: %s", quote(test.in), test.want); err == nil || err.Error() != want {
			t.Errorf("Parse = %v, want %s", err, want)
		}
	}
}

func TestHost(t *testing.T) {
	for in, want := range map[string]string{"busybox": "registry-1.docker.io", "h.example:1/a": "h.example:1"} {
		n, err := Parse(in)
		if err != nil || n.Host() != want {
			t.Errorf("host of %q = %q, %v, want %q", in, n.Host(), err, want)
		}
	}
	if got, err := ParseHost("index.docker.io"); got != DockerHub || err != nil {
		t.Errorf("ParseHost = %q, %v, want %q", got, err, DockerHub)
	}
	want := `registry "a/b": host "a/b" is not a host name (hint: IPv6 addresses are in brackets)`
	if _, err := ParseHost("a/b"); err == nil || err.Error() != want {
		t.Errorf("ParseHost = %v, want %s", err, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"busybox", "user/app:1", "h:5000/a/b:t@" + sum256, "[::1]:5/a", "localhost/x", "docker.io/localhost/x", "a@" + sum512, "A", "a//b", ":", "@", "[::ffff:1.2.3.4]/a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Parse(s)
		if err != nil {
			if n != (Name{}) || strings.ContainsAny(err.Error(), "\n\r\x1b") {
				t.Fatalf("Parse(%q) = %+v, %q", s, n, err)
			}
			return
		}
		for _, form := range []string{n.String(), n.Familiar()} {
			if again, err := Parse(form); err != nil || again != n {
				t.Fatalf("Parse(%q) = %+v, but Parse(%q) = %+v, %v", s, n, form, again, err)
			}
		}
		if strings.Contains(n.Repository, "..") || strings.ContainsAny(n.String(), " \n\\?#") {
			t.Fatalf("Parse(%q) = %+v", s, n)
		}
	})
}
