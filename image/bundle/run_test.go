// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRun lets a container try what the default profile is there for.
func TestRun(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	berth, err := filepath.Abs("../../bin/berth")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(berth); err != nil {
		t.Skip("there is no bin/berth")
	}
	initScript := filepath.Join(t.TempDir(), "init")
	if err := os.WriteFile(initScript, []byte("#!/bin/sh\necho init $1\nshift\nexec \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	user, own := rootless, Options{}
	for _, c := range []struct {
		name, image, script, want string
		o                         Options
	}{
		{"mount", `{"os":"linux"}`, "mkdir /m; mount -t tmpfs m /m", "mount: permission denied (are you root?)\n", own},
		{"unshare", `{"os":"linux"}`, "unshare -U true", "unshare: unshare(0x10000000): Operation not permitted\n", own},
		{"chroot is allowed", `{"os":"linux"}`, "chroot / echo yes", "yes\n", own},
		{"chroot without its capability", `{"os":"linux"}`, "chroot / echo yes", "chroot: can't change root directory to '/': Operation not permitted\n", Options{CapDrop: []string{"SYS_CHROOT"}}},
		{"mount with CAP_SYS_ADMIN", `{"os":"linux"}`, "mkdir /m; mount -t tmpfs m /m && echo yes", "yes\n", Options{CapAdd: []string{"SYS_ADMIN"}}},
		{"environment", `{"config":{"Env":["A=1"],"WorkingDir":"/bin"}}`, "echo $A $HOME; pwd", "1 /\n/bin\n", Options{User: "5:6", Env: []string{"HOME=/"}}},
		{"volume", `{"config":{"Volumes":{"/bin":{}}}}`, "echo hidden", "permission denied", own},
		{"read-only", `{"os":"linux"}`, "touch /x", "touch: /x: Read-only file system\n", Options{ReadOnly: true}},
		{"init", `{"os":"linux"}`, "echo command", "init --\ncommand\n", Options{Init: initScript}},
		{"hostname", `{"os":"linux"}`, "hostname; echo $HOSTNAME", "box\nbox\n", Options{Hostname: "box"}},
		{"user namespace", `{"os":"linux"}`, "cat /proc/self/uid_map | tr -s ' '; id -u", " 0 1000 1\n 1 100000 65536\n0\n", Options{UIDMaps: user, GIDMaps: user}},
		{"user namespace on the host's network", `{"os":"linux"}`, "ls -d /sys/class/net/lo", "/sys/class/net/lo\n", Options{UIDMaps: user, GIDMaps: user, Net: "host"}},
		{"low ports for all", `{"os":"linux"}`, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "0\n", own},
		{"devices", `{"os":"linux"}`, "ls /dev/zero2 && head -c1 /dev/zero2 | wc -c", "/dev/zero2\n1\n", Options{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, _ := newRoot(t, nil)
			if c.name == "devices" {
				d, err := ParseDevice("/dev/zero:/dev/zero2")
				if err != nil {
					t.Fatal(err)
				}
				c.o.Devices = []Device{d}
			}
			c.o.Cmd = []string{"/bin/sh", "-c", c.script}
			spec, _, err := Spec(parseConfig(t, c.image), root, c.o)
			if err != nil {
				t.Fatal(err)
			}
			applets := []string{"sh", "mkdir", "mount", "unshare", "chroot", "echo", "touch", "hostname", "cat", "tr", "id", "ls", "head", "wc", "grep", "pwd", "true"}
			out, err := berthOn(t, spec, applets, berth, "run")
			if !strings.Contains(out, c.want) {
				t.Errorf("got %q, %v; want %q", out, err, c.want)
			}
		})
	}
}
