// SPDX-License-Identifier: Apache-2.0

package logs

import (
	"slices"
	"strings"
	"testing"
)

const cid = "0123456789abcdef0123"

func TestParse(t *testing.T) {
	cases := []struct {
		name   string
		values []string
		want   []Target
	}{
		{"driver and path", []string{"k8s-file:/a"}, []Target{{K8sFile, "/a"}}},
		{"bare path", []string{"/a"}, []Target{{K8sFile, "/a"}}},
		{"bare relative path", []string{"a.log"}, []Target{{K8sFile, "a.log"}}},
		{"colon and path", []string{":/a"}, []Target{{K8sFile, "/a"}}},
		{"colon and the name of a driver", []string{":journald"}, []Target{{K8sFile, "journald"}}},
		{"colons in a path", []string{"/a:b", "./c:d", "k8s-file:e:f"}, []Target{{K8sFile, "/a:b"}, {K8sFile, "./c:d"}, {K8sFile, "e:f"}}},
		{"json", []string{"json-file:/a"}, []Target{{JSONFile, "/a"}}},
		{"journald", []string{"journald"}, []Target{{Journald, ""}}},
		{"journald with a path", []string{"journald:/x"}, []Target{{Journald, ""}}},
		{"names of none", []string{"none", "off", "null", "none:"}, []Target{{None, ""}}},
		{"passthrough", []string{"passthrough", "none"}, []Target{{Passthrough, ""}, {None, ""}}},
		{"several", []string{"journald", "k8s-file:/a", "/a"}, []Target{{Journald, ""}, {K8sFile, "/a"}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := Parse(c.values, Options{CID: cid})
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("Parse(%q) = %v, %v, want %v", c.values, got, err, c.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	cases := []struct {
		name   string
		values []string
		o      Options
		want   string
	}{
		{"nothing", nil, Options{}, "Log driver not provided. Use --log-path"},
		{"empty", []string{""}, Options{}, "log-path must not be empty"},
		{"colon", []string{":"}, Options{}, "log-path must not be empty"},
		{"unknown driver", []string{"syslog:/a"}, Options{}, "No such log driver syslog"},
		{"k8s without path", []string{"k8s-file"}, Options{}, "k8s-file requires a filename"},
		{"json without path", []string{"json-file:"}, Options{}, "json-file requires a filename"},
		{"NUL", []string{"/a\x00"}, Options{}, `cannot use log path "/a\x00": it contains a NUL`},
		{"passthrough with a file", []string{"passthrough", "/a"}, Options{},
			"passthrough cannot be combined with a log driver: there would be nothing to log"},
		{"short id", []string{"journald"}, Options{CID: "0123456789ab"},
			`container id "0123456789ab" must be longer than 12 characters for journald`},
		{"label without value", []string{"journald"}, Options{CID: cid, Labels: []string{"A"}}, `log label "A" must be in the form K=V`},
		{"label in lower case", []string{"journald"}, Options{CID: cid, Labels: []string{"a=b"}},
			`log label "a=b": only A-Z, 0-9 and _ may be in the key`},
		{"label without key", []string{"journald"}, Options{CID: cid, Labels: []string{"=b"}},
			`log label "=b": only A-Z, 0-9 and _ may be in the key`},
		{"no file to rotate to", []string{"/a"}, Options{Rotate: true}, "log-max-files is 0, and must be at least 1"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.values, c.o)
			if err == nil || err.Error() != c.want {
				t.Errorf("Parse(%q) = %v, want %s", c.values, err, c.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", ":", "::", "/a:b", "k8s-file:", "k8s-file:/a", ":journald", "off", "passthrough:x", "x:\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		targets, err := Parse([]string{value}, Options{CID: cid})
		if err != nil {
			return
		}
		if len(targets) != 1 {
			t.Fatalf("Parse(%q) = %v, want one target", value, targets)
		}
		got := targets[0]
		isFile := got.Driver == K8sFile || got.Driver == JSONFile
		if isFile != (got.Path != "") || !strings.HasSuffix(value, got.Path) {
			t.Errorf("Parse(%q) = %v", value, got)
		}
		if again, err := Parse([]string{string(got.Driver) + ":" + got.Path}, Options{CID: cid}); err != nil || again[0] != got {
			t.Errorf("Parse of what %q means = %v, %v, want %v", value, again, err, got)
		}
	})
}
