// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
	"berth/libcontainer/config"
	"berth/libcontainer/host"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const allCaps = 1<<41 - 1

// modern and old are invented hosts: a plan depends on nothing else.
func modern() host.Facts {
	return host.Facts{
		Kernel: host.Version{Major: 6, Minor: 18}, Bounding: allCaps, Permitted: allCaps, LastCap: 40,
		InitialUserNS: true, Kcore: true, AppArmorAttr: true,
	}
}

func old() host.Facts {
	f := modern()
	f.Kernel = host.Version{Major: 5, Minor: 10}
	return f
}

// process is the smallest process.
func process() *config.Process {
	return &config.Process{Args: []string{"sh"}, Cwd: "/", Env: []string{"PATH=/bin:/usr/bin", "HOME=/"}, Umask: 0o22, Capabilities: &config.Capabilities{Bounding: allCaps}}
}

// base is a container with a mount and a pid namespace and nothing else.
func base() *config.Container {
	return &config.Container{
		Bundle: "/bundle", Rootfs: "/bundle/rootfs", Process: process(),
		Namespaces: config.Namespaces{{Type: config.PIDNS}, {Type: config.MountNS, Index: 1}},
	}
}

// goldenCase is one golden file: the named phases of a plan.
type goldenCase struct {
	name   string
	phases []string
	input  Input
}

func with(f func(*config.Container)) *config.Container {
	c := base()
	f(c)
	return c
}

func goldenCases() []goldenCase {
	modern, old := modern(), old()
	userNS := config.Namespaces{{Type: config.UserNS}, {Type: config.PIDNS, Index: 1}, {Type: config.MountNS, Index: 2}, {Type: config.TimeNS, Index: 3}, {Type: config.CgroupNS, Index: 4}}
	bind := config.Mount{Destination: "/data/x", Type: "bind", Bind: true, Recursive: true, Source: "/srv", Set: unix.MS_RDONLY, Clear: unix.MS_NOSUID, Propagation: []uint64{unix.MS_PRIVATE | unix.MS_REC}}
	tmpfs := config.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Data: []string{"size=64k"}}
	masks := func(c *config.Container) {
		c.MaskedPaths, c.ReadonlyPaths, c.ReadonlyRoot = []string{"/proc/kcore"}, []string{"/proc/sys"}, true
		c.Process.Cwd = "/srv"
	}
	mounts := func(list ...config.Mount) *config.Container {
		return with(func(c *config.Container) { c.Mounts = list })
	}
	terminal := with(func(c *config.Container) {
		c.Process.Terminal, c.Process.ConsoleRows, c.Process.ConsoleCols = true, 24, 80
	})
	user := with(func(c *config.Container) {
		c.Process.UID, c.Process.GID, c.Process.AdditionalGIDs = 1000, 1001, []uint32{5, 6}
		c.Process.NoNewPrivileges = true
		caps := uint64(1<<5 | 1<<10)
		c.Process.Capabilities = &config.Capabilities{Bounding: allCaps &^ 1, Effective: caps, Permitted: caps, Inheritable: caps, Ambient: caps}
	})
	hooks := with(func(c *config.Container) {
		c.Hooks.CreateContainer = []config.Hook{{Path: "/host/hook", Args: []string{"hook", "a"}, Timeout: 5}}
		c.Hooks.StartContainer = []config.Hook{{Path: "/bin/hook"}}
		c.Hooks.Prestart = []config.Hook{{Path: "/host/pre"}}
	})
	v1 := CgroupView{Dirs: []CgroupDir{{Name: "cpu,cpuacct", Links: []string{"cpu", "cpuacct"}, Options: []string{"cpu", "cpuacct"}, Source: "/sys/fs/cgroup/cpu,cpuacct/web"}}}
	v2 := CgroupView{Unified: true, Dirs: []CgroupDir{{Source: "/sys/fs/cgroup/web"}}}
	cgroupMount := config.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Set: unix.MS_RDONLY | unix.MS_NOSUID}
	withCgroupNS := with(func(c *config.Container) {
		c.Mounts = []config.Mount{cgroupMount}
		c.Namespaces = append(c.Namespaces, config.Namespace{Type: config.CgroupNS})
	})
	return []goldenCase{
		{"enter", []string{"enter", "namespaces", "network", "keyring"}, Input{Config: with(func(c *config.Container) {
			score := 100
			c.Process.OOMScoreAdj = &score
			c.Namespaces = append(c.Namespaces, config.Namespace{Type: config.NetworkNS})
		}), Host: modern, CgroupBarrier: true, CgroupFiles: []string{"/sys/fs/cgroup/memory/web/tasks"}}},
		{"enter-old", []string{"enter"}, Input{Config: base(), Host: old, CgroupFiles: []string{"/sys/fs/cgroup/memory/web/tasks"}}},
		{"userns", []string{"namespaces"}, Input{Config: with(func(c *config.Container) {
			c.Namespaces = userNS
			c.TimeOffsets = []config.TimeOffset{{Clock: "boottime", Secs: 3600}}
		}), Host: modern}},
		{"userns-bind", []string{"namespaces", "mounts"}, Input{Config: with(func(c *config.Container) {
			c.Namespaces = userNS
			c.Mounts = []config.Mount{
				{Destination: "/all", Source: "/srv", Bind: true, Recursive: true},
				{Destination: "/data", Source: "/home/a/data", Bind: true, Index: 1},
			}
		}), Host: modern, Mounts: []MountFacts{{Source: Directory}, {Source: Directory, Fallback: true}}}},
		{"join", []string{"namespaces"}, Input{Config: with(func(c *config.Container) {
			c.Namespaces = config.Namespaces{
				{Type: config.NetworkNS, Path: "/run/netns/a"},
				{Type: config.UserNS, Path: "/proc/7/ns/user", Index: 1},
				{Type: config.PIDNS, Path: "/proc/7/ns/pid", Index: 2},
				{Type: config.MountNS, Index: 3},
			}
		}), Host: modern}},
		{"kernel", []string{"kernel"}, Input{Config: with(func(c *config.Container) {
			c.Hostname, c.Domainname = "web", "example"
			c.Sysctls = []config.Sysctl{{Key: "net.ipv4.ip_forward", Path: "net/ipv4/ip_forward", Value: "1"}}
			c.Process.AppArmorProfile = "docker-default"
		}), Host: modern}},
		{"root", []string{"root", "pivot"}, Input{Config: base(), Host: modern}},
		{"root-shared", []string{"root", "pivot"}, Input{Config: with(func(c *config.Container) { c.RootPropagation = unix.MS_SHARED | unix.MS_REC }), Host: modern}},
		{"root-no-pivot", []string{"pivot"}, Input{Config: with(func(c *config.Container) { c.NoPivot = true }), Host: modern}},
		{"mount-bind", []string{"mounts"}, Input{Config: mounts(bind), Host: modern, Mounts: []MountFacts{{Source: Directory}}}},
		{"mount-bind-old", []string{"mounts"}, Input{Config: mounts(bind), Host: old, Mounts: []MountFacts{{Source: Directory}}}},
		{"mount-bind-tree", []string{"mounts"}, Input{Config: mounts(bind), Host: modern, Mounts: []MountFacts{{Source: NotDirectory, ParentTree: true, Destination: "/var/data"}}}},
		{"mount-tmpfs", []string{"mounts"}, Input{Config: mounts(tmpfs), Host: modern}},
		{"mount-copy-up", []string{"mounts"}, Input{Config: mounts(config.Mount{Destination: "/etc", Type: "tmpfs", Source: "tmpfs", CopyUp: true, Data: []string{"mode=755"}}), Host: modern}},
		{"mount-proc", []string{"mounts"}, Input{Config: mounts(config.Mount{Destination: "/proc", Type: "proc", Source: "proc", RecSet: unix.MOUNT_ATTR_NOEXEC}), Host: modern}},
		{"mount-overlay-long", []string{"mounts"}, Input{Config: mounts(config.Mount{Destination: "/o", Type: "overlay", Source: "overlay", Data: []string{"lowerdir=/" + strings.Repeat("l", 300)}}), Host: modern}},
		{"mount-cgroup-v1", []string{"mounts"}, Input{Config: withCgroupNS, Host: modern, CgroupView: v1}},
		{"mount-cgroup-v1-bind", []string{"mounts"}, Input{Config: mounts(cgroupMount), Host: modern, CgroupView: v1}},
		{"mount-cgroup-v2", []string{"mounts"}, Input{Config: withCgroupNS, Host: modern, CgroupView: v2}},
		{"devices", []string{"devices"}, Input{Config: with(func(c *config.Container) {
			c.Mounts = []config.Mount{{Destination: "/dev", Type: "tmpfs", Source: "tmpfs"}}
			c.Devices = []config.Device{{Origin: "default devices", Default: true, Path: "/dev/null", Type: 'c', Major: 1, Minor: 3, Mode: 0o666}}
		}), Host: modern}},
		{"devices-userns", []string{"devices"}, Input{Config: with(func(c *config.Container) {
			c.Namespaces = userNS
			c.Mounts = []config.Mount{{Destination: "/dev", Type: "tmpfs", Source: "tmpfs"}}
			c.Devices = []config.Device{{Origin: "default devices", Default: true, Path: "/dev/null", Type: 'c', Major: 1, Minor: 3, Mode: 0o666}}
		}), Host: modern}},
		{"console", []string{"console"}, Input{Config: terminal, Host: modern}},
		{"hooks", []string{"hooks", "start"}, Input{Config: hooks, Host: modern}},
		{"mask", []string{"mask"}, Input{Config: with(masks), Host: modern}},
		{"mask-old", []string{"mask"}, Input{Config: with(masks), Host: old}},
		{"finish", []string{"finish"}, Input{Config: user, Host: modern, Stdio: [3]StdioFacts{{Open: true, Null: true}, {Open: true}, {}}}},
		{"payload", []string{"probe", "ready", "wait", "exec"}, Input{Config: base(), Host: modern}},
		{"seccomp", []string{"finish", "listener", "exec"}, Input{Config: user, Host: modern, Filter: &Filter{BPF: make([]byte, 8), Listener: true}}},
	}
}

func TestGolden(t *testing.T) {
	for _, c := range goldenCases() {
		t.Run(c.name, func(t *testing.T) {
			c.input.ID = "web"
			p, err := Compile(&c.input, boot.AMD64)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, c.name, text(t, p, c.phases))
		})
	}
}

func TestGoldenExec(t *testing.T) {
	in := &Input{ID: "web", Config: ExecConfig(process()), Host: modern(), Exec: &Exec{
		Namespaces: unix.CLONE_NEWPID | unix.CLONE_NEWNS, PIDNS: true, NoPivot: true,
	}}
	p, err := CompileExec(in, boot.AMD64)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "exec", text(t, p, []string{"enter", "namespaces", "exec"}))
}

// text prints what comes before the phases, and the named ones.
func text(t *testing.T, p *Plan, phases []string) string {
	t.Helper()
	var all bytes.Buffer
	if err := p.Text(&all); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	show := true
	for line := range strings.Lines(all.String()) {
		if name, ok := strings.CutSuffix(line, ":\n"); ok && !strings.HasPrefix(line, " ") {
			show = name == "descriptors" || name == "steps of the runtime"
			for _, want := range phases {
				show = show || name == want
			}
		}
		if show {
			out.WriteString(line)
		}
	}
	return out.String()
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites):\n%s", path, got)
	}
}

func TestRecursiveAttributeNeedsLinux512(t *testing.T) {
	in := &Input{ID: "web", Host: old(), Config: with(func(c *config.Container) {
		c.Mounts = []config.Mount{{Index: 3, Destination: "/x", Type: "tmpfs", RecSet: unix.MOUNT_ATTR_RDONLY}}
	})}
	_, err := Compile(in, boot.AMD64)
	const want = "mounts[3].options: a recursive mount attribute needs Linux 5.12 or newer"
	if !errors.Is(err, errors.ErrUnsupported) || err.Error() != want {
		t.Errorf("error = %v, want %q", err, want)
	}
}

func TestMountsOnTheHostRefuseItsRoot(t *testing.T) {
	in := &Input{ID: "web", Host: modern(), Config: with(func(c *config.Container) {
		c.Namespaces = nil
		c.Rootfs = "/"
		c.Mounts = []config.Mount{{Destination: "/x", Type: "tmpfs"}}
	})}
	_, err := Compile(in, boot.AMD64)
	const want = "mounts: there is no mount namespace, and root.path is the host's root; add one to linux.namespaces"
	if err == nil || err.Error() != want {
		t.Errorf("error = %v, want %q", err, want)
	}
}

func TestCapabilityOutsideOurOwnIsDroppedWithAWarning(t *testing.T) {
	facts := modern()
	facts.Bounding &^= 1 << 24 // CAP_SYS_RESOURCE
	in := &Input{ID: "web", Host: facts, Config: base()}
	p, err := Compile(in, boot.AMD64)
	if err != nil {
		t.Fatal(err)
	}
	const want = "process.capabilities.bounding: 0x1000000 are not among our own and are dropped"
	if len(p.Warnings) != 1 || p.Warnings[0] != want {
		t.Errorf("warnings = %q, want %q", p.Warnings, want)
	}
}
