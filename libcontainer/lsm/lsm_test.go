// SPDX-License-Identifier: Apache-2.0

package lsm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func host(t *testing.T, appArmor string) paths {
	t.Helper()
	dir := t.TempDir()
	p := paths{filepath.Join(dir, "enabled"), dir}
	if appArmor != "" {
		if err := os.WriteFile(p.appArmor, []byte(appArmor), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

const label = "system_u:system_r:container_t:s0:c1,c2"

func TestCheck(t *testing.T) {
	cases := []struct {
		name, appArmor, profile, label string
		want                           error
		text                           string
	}{
		{"nothing asked", "", "", "", nil, ""},
		{"profile and AppArmor", "Y\n", "docker-default", "", nil, ""},
		{"profile, no AppArmor", "", "docker-default", "", ErrNoAppArmor, "process.apparmorProfile: apparmor: config provided but apparmor not supported"},
		{"profile, AppArmor off", "N\n", "docker-default", "", ErrNoAppArmor, "process.apparmorProfile"},
		// Nobody can say "unconfined" to a kernel without AppArmor; runc's answer, too.
		{"unconfined, no AppArmor", "", "unconfined", "", ErrNoAppArmor, "process.apparmorProfile"},
		{"label, no SELinux", "Y\n", "", label, ErrNoSELinux, "process.selinuxLabel: selinux label is specified in config, but selinux is disabled or not supported"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := host(t, c.appArmor).check(c.profile, c.label)
			if !errors.Is(err, c.want) || err != nil && !strings.HasPrefix(err.Error(), c.text) {
				t.Errorf("check = %v, want %v, %q", err, c.want, c.text)
			}
			if err != nil && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%v is not errors.ErrUnsupported", err)
			}
		})
	}
	if err := host(t, "Y").check("a\nb", ""); err == nil {
		t.Error("a profile with a newline was accepted")
	}
}

func TestCheckLabel(t *testing.T) {
	for _, good := range []string{label, "u:r:t", "u:r:t:s0", "u:r:t:s0-s0:c0.c1023"} {
		if err := CheckLabel(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "u", "u:r", "u::t", ":r:t", "u:r:t:", "u:r:t\n", "u:r:t:s0\x00", `u:r:t:"`, "u:r: t", `u:r:t\`, "ü:r:t"} {
		if err := CheckLabel(bad); err == nil {
			t.Errorf("label %q was accepted", bad)
		}
	}
	if err := host(t, "").checkLabel("linux.mountLabel", "bad"); err == nil || !strings.HasPrefix(err.Error(), "linux.mountLabel: invalid SELinux label") {
		t.Errorf("checkLabel = %v", err)
	}
}

func TestHostAgreesWithItself(t *testing.T) {
	if got, want := Check("docker-default", "") == nil, AppArmorEnabled(); got != want {
		t.Errorf("a profile passes: %v, AppArmor enabled: %v", got, want)
	}
	if got, want := CheckMount(label) == nil, SELinuxEnabled(); got != want {
		t.Errorf("a label passes: %v, SELinux enabled: %v", got, want)
	}
}
