// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"berth/libcontainer/config"
)

func TestRootThatIsTheFileSystemIsRefused(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/", link); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{"/", "//", "/tmp/..", link} {
		g := &global{root: root}
		if got, err := g.stateRoot(); err == nil || err.Error() != "option --root argument should not be set to /" {
			t.Errorf("%q: root = %q, %v", root, got, err)
		}
	}
}

func TestRootIsAbsolute(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	g := &global{root: "./state/"}
	if got, err := g.makeRoot(); err != nil || got != filepath.Join(dir, "state") {
		t.Errorf("root = %q, %v; want %s/state", got, err, dir)
	}
	if _, err := os.Lstat("state"); err == nil {
		t.Error("an explicit root was made here; that is libcontainer's")
	}
}

func TestDefaultRoot(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/xdg")
	want := "/run/berth"
	if os.Geteuid() != 0 {
		want = "/xdg/berth"
	}
	t.Setenv("USER", "root")
	if got := defaultRoot(); got != want {
		t.Errorf("root = %q, want %q", got, want)
	}
}

func TestCgroupDriver(t *testing.T) {
	for _, c := range []struct {
		g    global
		want config.CgroupDriver
	}{
		{global{}, config.CgroupFS},
		{global{systemdCgroup: true}, config.CgroupSystemd},
		{global{systemdCgroup: true, cgroupManager: "disabled"}, config.CgroupDisabled},
		{global{cgroupManager: "systemd"}, config.CgroupSystemd},
	} {
		if got := c.g.cgroupDriver(); got != c.want {
			t.Errorf("%+v: driver = %q, want %q", c.g, got, c.want)
		}
	}
}

func TestListenFDs(t *testing.T) {
	t.Setenv("LISTEN_FDS", "nonsense")
	t.Setenv("LISTEN_PID", "1")
	if in, err := inheritedFDs(0); err != nil || in.listen != 0 {
		t.Errorf("of another process: %+v, %v; want none", in, err)
	}
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	if _, err := inheritedFDs(0); err == nil {
		t.Error("nonsense was accepted")
	}
	got := inherited{listen: 2, names: "a:b"}.env([]string{"LISTEN_PID=7", "A=b"})
	if want := []string{"LISTEN_PID=1", "A=b", "LISTEN_FDS=2", "LISTEN_FDNAMES=a:b"}; !slices.Equal(got, want) {
		t.Errorf("environment = %q, want %q", got, want)
	}
}

func TestPreservedDescriptorMustBeInherited(t *testing.T) {
	t.Setenv("LISTEN_PID", "")
	if _, err := inheritedFDs(1000); err == nil {
		t.Error("1000 descriptors were accepted")
	}
	// Descriptors of our own are close-on-exec and do not count.
	for range 8 {
		f, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	if _, err := inheritedFDs(8); err == nil {
		t.Error("descriptors of our own were accepted")
	}
}
