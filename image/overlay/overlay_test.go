// SPDX-License-Identifier: Apache-2.0

package overlay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func same(path string) string { return path }

func TestParameters(t *testing.T) {
	o := Options{Lowers: []string{"/b", "/a"}, Upper: "/u", Work: "/w", UserXattr: true, Volatile: true}
	got := fmt.Sprint(o.parameters(same))
	want := "[lowerdir+=/b lowerdir+=/a upperdir=/u workdir=/w redirect_dir=nofollow metacopy=off index=off userxattr volatile]"
	if got != want {
		t.Errorf("parameters = %s, want %s", got, want)
	}
	if got, want := legacy(o.parameters(same)), "lowerdir=/b:/a,upperdir=/u,workdir=/w,redirect_dir=nofollow,metacopy=off,index=off,userxattr,volatile"; got != want {
		t.Errorf("legacy = %s, want %s", got, want)
	}
}

func TestRefusals(t *testing.T) {
	for want, o := range map[string]Options{
		"overlay: no layers": {},
		"overlay: 501 layers, and the kernel takes 500 (hint: --mode copy)": {Lowers: make([]string, 501)},
		"overlay: an upper directory needs a work directory":                {Lowers: []string{"/a"}, Upper: "/u"},
	} {
		if err := Mount(o, "/none"); err == nil || err.Error() != want {
			t.Errorf("%+v: %v, want %s", len(o.Lowers), err, want)
		}
	}
}

// private gives the test a mount namespace of its own, with a tmpfs at dir.
func private(t *testing.T) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting takes root")
	}
	dir = t.TempDir()
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	err := unix.Unshare(unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	if err == nil {
		err = unix.Mount("tmpfs", dir, "tmpfs", 0, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// layers makes n directories with a file of their own and one that all have.
func layers(t *testing.T, dir string, n int) []string {
	t.Helper()
	var all []string
	for i := range n {
		path := filepath.Join(dir, fmt.Sprintf("layer,with:odd\\name %d", i))
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{fmt.Sprintf("f%d", i), "all"} {
			if err := os.WriteFile(filepath.Join(path, name), []byte(fmt.Sprint(i)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, path)
	}
	slices.Reverse(all) // topmost first
	return all
}

func TestMount(t *testing.T) {
	dir := private(t)
	o := Options{Lowers: layers(t, dir, 300), Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work")}
	target := filepath.Join(dir, "rootfs")
	for _, d := range []string{o.Upper, o.Work, target} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := Mount(o, target); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"all": "299", "f0": "0", "f299": "299"} {
		if got, err := os.ReadFile(filepath.Join(target, name)); err != nil || string(got) != want {
			t.Errorf("%s = %q, %v; want %s", name, got, err, want)
		}
	}
	if err := os.WriteFile(filepath.Join(target, "new"), nil, 0o644); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(o.Upper, "new")); err != nil {
		t.Error(err)
	}
	for range 2 { // the second has nothing to do
		if err := Unmount(target); err != nil {
			t.Error(err)
		}
	}
	if names, err := os.ReadDir(target); err != nil || len(names) > 0 {
		t.Errorf("still mounted: %v, %v", names, err)
	}
}

func TestMountReadOnly(t *testing.T) {
	dir := private(t)
	target := filepath.Join(dir, "rootfs")
	if err := os.Mkdir(target, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Mount(Options{Lowers: layers(t, dir, 2)}, target); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(target, "new"), nil, 0o644); !errors.Is(err, unix.EROFS) {
		t.Errorf("writing without an upper directory: %v", err)
	}
}

// What a kernel before 6.8 is given: 6.1 takes any parameter, and says EINVAL when
// the file system is made.
func TestMountLegacy(t *testing.T) {
	dir := private(t)
	o := Options{Lowers: layers(t, dir, 3)}
	var names []string
	for i, l := range o.Lowers { // odd names only go by descriptor
		name := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Rename(l, name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	o.Lowers = names
	target := filepath.Join(dir, "rootfs")
	if err := os.Mkdir(target, 0o755); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Open(target, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(at)
	old := func([]parameter, int) error { return fmt.Errorf("fsconfig create: %w", unix.EINVAL) }
	if err := either(o.parameters(same), at, old); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(target, "all")); err != nil || string(got) != "2" {
		t.Errorf("all = %q, %v", got, err)
	}
	o.Lowers = slices.Repeat([]string{strings.Repeat("x", 200)}, 50)
	if err := mountLegacy(o.parameters(same), at); !errors.Is(err, unix.E2BIG) {
		t.Errorf("50 long names: %v", err)
	}
}
