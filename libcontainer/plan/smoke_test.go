// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"

	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
	"berth/libcontainer/config"
	"berth/libcontainer/host"
)

func TestSmoke(t *testing.T) {
	in := &Input{ID: "x", Host: host.Facts{Kernel: host.Version{6, 18}, LastCap: 40, Bounding: 1<<41 - 1, Permitted: 1<<41 - 1},
		Config: &config.Container{Rootfs: "/r", Hostname: "h",
			Namespaces: config.Namespaces{{Type: "pid"}, {Type: "mount"}, {Type: "user"}, {Type: "network"}, {Type: "cgroup"}},
			Mounts: []config.Mount{{Destination: "/proc", Type: "proc", Source: "proc"}, {Destination: "/dev", Type: "tmpfs", Set: unix.MS_RDONLY, Data: []string{"mode=755"}},
				{Destination: "/tmp", Type: "tmpfs", CopyUp: true}, {Destination: "/a/b", Bind: true, Source: "/etc", Set: 1, Clear: 2}},
			MaskedPaths: []string{"/proc/kcore", "/proc/x"}, ReadonlyPaths: []string{"/proc/sys"},
			Devices: []config.Device{{Path: "/dev/null", Type: 'c', Major: 1, Minor: 3, Mode: 0o666}},
			Hooks:   config.Hooks{CreateContainer: []config.Hook{{Path: "/bin/true", Timeout: 3}}, StartContainer: []config.Hook{{Path: "/bin/true"}}},
			Process: &config.Process{Args: []string{"sh"}, Cwd: "/", Terminal: true, NoNewPrivileges: true}},
		Filter: &Filter{BPF: make([]byte, 16), Listener: true}}
	p, err := Compile(in, boot.AMD64)
	if err != nil {
		t.Fatal(err)
	}
	_, code := boot.Interpreter()
	img, err := boot.Image(p.Program, code)
	t.Log(len(p.Program.Ops), len(img), err, len(p.Program.Const), len(p.Program.Words))
	in.Host.Kernel = host.Version{5, 10}
	if _, err = Compile(in, boot.AMD64); err != nil {
		t.Fatal(err)
	}
}
