// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"reflect"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestUser(t *testing.T) {
	gid := func(n uint32) *uint32 { return &n }
	for _, c := range []struct {
		in  string
		uid uint32
		gid *uint32
	}{
		{"0", 0, nil}, {"1", 1, nil}, {"1000:2000", 1000, gid(2000)}, {"0:0", 0, gid(0)},
		{"2147483648", 2147483648, nil}, {"4294967294:4294967294", 4294967294, gid(4294967294)},
	} {
		uid, g, err := parseUser(c.in)
		if err != nil || uid != c.uid || !reflect.DeepEqual(g, c.gid) {
			t.Errorf("%q = %d, %v, %v; want %d, %v", c.in, uid, g, err, c.uid, c.gid)
		}
	}
}

// TestUserCVE202630892: crun took what it could of an argument, and kept uid 0.
func TestUserCVE202630892(t *testing.T) {
	for _, in := range []string{
		"", ":", "1:", ":1", "01", "+1", "-1", "1x", "x1", " 1", "1 ", "1\n", "0x1", "1e3", "1_000", "1.0", "1:2:3", "1:-1", "0:+0",
		"4294967295", "0:4294967295", "4294967296", "4294967297", "18446744073709551616", "root", "root:root", "1:root", "١", "1\x00",
	} {
		if uid, gid, err := parseUser(in); err == nil {
			t.Errorf("%q = %d, %v; want it refused", in, uid, gid)
		}
	}
}

func TestExecOverridesTheConfig(t *testing.T) {
	p := &specs.Process{
		Args: []string{"init"}, Env: []string{"A=1"}, Cwd: "/", Terminal: true,
		User:         specs.User{UID: 5, GID: 6, AdditionalGids: []uint32{7}},
		Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}, Inheritable: []string{"CAP_CHOWN"}},
	}
	c := &execCommand{
		cwd: "/tmp", env: []string{"B=2"}, user: "8", gids: []string{"9"}, caps: []string{"CAP_CHOWN", "CAP_FOWNER"},
		processLabel: "label", apparmor: "profile", noNewPrivs: "true",
	}
	if err := c.override(p, []string{"id", "-u"}); err != nil {
		t.Fatal(err)
	}
	want := &specs.Process{
		Args: []string{"id", "-u"}, Env: []string{"A=1", "B=2"}, Cwd: "/tmp",
		User: specs.User{UID: 8, GID: 6, AdditionalGids: []uint32{7, 9}},
		Capabilities: &specs.LinuxCapabilities{
			Bounding: []string{"CAP_KILL", "CAP_CHOWN", "CAP_FOWNER"}, Effective: []string{"CAP_CHOWN", "CAP_FOWNER"},
			Permitted: []string{"CAP_CHOWN", "CAP_FOWNER"}, Inheritable: []string{"CAP_CHOWN"}, Ambient: []string{"CAP_CHOWN"},
		},
		SelinuxLabel: "label", ApparmorProfile: "profile", NoNewPrivileges: true,
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("process = %+v, want %+v", p, want)
	}
}

func TestExecRefuses(t *testing.T) {
	for want, c := range map[string]execCommand{
		"uid: must be a decimal number":            {user: "root"},
		`--additional-gids "x": must be a decimal`: {gids: []string{"x"}},
	} {
		if err := c.override(&specs.Process{}, []string{"id"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error = %v, want %q", c, err, want)
		}
	}
	if err := (&execCommand{}).override(&specs.Process{}, nil); err == nil || !strings.Contains(err.Error(), "process args cannot be empty") {
		t.Errorf("no program: error = %v", err)
	}
}
