// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"berth/tests/rig"
)

func TestHostileIDs(t *testing.T) {
	r := rig.Subject(t)
	for name, id := range map[string]string{
		"empty": "", "dot": ".", "dots": "..", "slash": "a/b", "absolute": "/etc", "upwards": "../../etc",
		"space": "a b", "newline": "a\nb", "not ASCII": "käse", "long": strings.Repeat("a", 1500), "glob": "*",
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttempt(t, r)
			before := tree(t, filepath.Dir(r.Root))
			refused(t, do(t, r, "create", "--bundle", a.bundle, id))
			for _, verb := range []string{"state", "start", "delete", "kill"} {
				refused(t, do(t, r, verb, id))
			}
			if after := tree(t, filepath.Dir(r.Root)); after != before {
				t.Errorf("files changed from %q to %q", before, after)
			}
			a.clean(t)
		})
	}
}

// tree lists the files below dir, but for the state root itself.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil && path != dir && filepath.Dir(path) != dir {
			names = append(names, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

func TestDuplicateID(t *testing.T) {
	r := rig.Subject(t)
	a := newAttempt(t, r)
	if res := a.create(t); res.Code != 0 {
		t.Fatalf("create: %v", res)
	}
	refused(t, a.create(t), "already exists")
	if res := do(t, r, "state", a.id); res.Code != 0 || !strings.Contains(res.Stdout, `"created"`) {
		t.Errorf("the first container was disturbed: %v", res)
	}
	a.remove(t)
	a.clean(t)
}

func TestUnknownID(t *testing.T) {
	r := rig.Subject(t)
	for _, verb := range []string{"state", "start", "kill", "delete"} {
		refused(t, do(t, r, verb, "never-made"), "does not exist")
	}
	if res := do(t, r, "delete", "--force", "never-made"); res.Code != 0 {
		t.Errorf("delete --force of an unknown id: %v, want exit 0", res)
	}
}

func TestMissingArguments(t *testing.T) {
	r := rig.Subject(t)
	for _, args := range [][]string{
		{"create"}, {"start"}, {"state"}, {"kill"}, {"delete"}, {"exec"}, {"exec", "x"}, {"no-such-verb"}, {"state", "a", "b"},
		{"create", "--no-such-flag", "x"}, {"kill", "never-made", "SIGNOTHING"},
	} {
		res := do(t, r, args...)
		if res.Code == 0 {
			t.Errorf("%q: exit 0, want a refusal", args)
		}
		if res.Stderr == "" {
			t.Errorf("%q: nothing on stderr", args)
		}
		if strings.Contains(res.Stderr, "goroutine ") {
			t.Errorf("%q: stack trace: %s", args, res.Stderr)
		}
	}
}

func TestNoBundle(t *testing.T) {
	r := rig.Subject(t)
	empty := t.TempDir()
	for _, bundle := range []string{empty, filepath.Join(empty, "absent"), "/dev/null"} {
		refused(t, do(t, r, "create", "--bundle", bundle, "hostile"))
	}
	attempt{r: r, bundle: empty, id: "hostile"}.clean(t)
}

// TestUnreadableRootfs makes root file systems that even root cannot use.
func TestUnreadableRootfs(t *testing.T) {
	r := rig.Subject(t)
	spoil := map[string]func(t *testing.T, rootfs string){
		"loop":     func(t *testing.T, rootfs string) { relink(t, rootfs, "rootfs") },
		"dangling": func(t *testing.T, rootfs string) { relink(t, rootfs, "/no/such/dir") },
		"fifo": func(t *testing.T, rootfs string) {
			if err := os.RemoveAll(rootfs); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mkfifo(rootfs, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"program without permission": func(t *testing.T, rootfs string) {
			if err := os.Chmod(filepath.Join(rootfs, "bin/busybox"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"proc is a symbolic link": func(t *testing.T, rootfs string) { relink(t, filepath.Join(rootfs, "proc"), "tmp") },
		"sys is a symbolic link":  func(t *testing.T, rootfs string) { relink(t, filepath.Join(rootfs, "sys"), "/tmp") },
		"dev is a file": func(t *testing.T, rootfs string) {
			dev := filepath.Join(rootfs, "dev")
			if err := os.Remove(dev); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(dev, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, f := range spoil {
		t.Run(name, func(t *testing.T) {
			a := newAttempt(t, r)
			f(t, filepath.Join(a.bundle, "rootfs"))
			res := a.create(t)
			refused(t, res)
			if res.Code == 0 {
				a.remove(t)
			}
			a.clean(t)
		})
	}
}

func relink(t *testing.T, path, target string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// TestBadStateRoot has no place to put the state.
func TestBadStateRoot(t *testing.T) {
	r := rig.Subject(t)
	for name, place := range map[string]func(t *testing.T) string{
		"full": func(t *testing.T) string {
			dir := tmpfs(t, "size=16k,nr_inodes=64")
			// What remains is less than one page.
			_ = os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 64<<10), 0o600) // ENOSPC is the aim
			return filepath.Join(dir, "root")
		},
		"no inodes": func(t *testing.T) string {
			return filepath.Join(tmpfs(t, "size=1m,nr_inodes=2"), "root")
		},
		"read-only": func(t *testing.T) string {
			dir := tmpfs(t, "size=1m")
			if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			return filepath.Join(dir, "root")
		},
		"a file": func(t *testing.T) string {
			file := filepath.Join(t.TempDir(), "root")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return file
		},
		"the file system's root": func(*testing.T) string { return "/" },
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttempt(t, r)
			a.r.Root = place(t)
			refused(t, a.create(t))
			a.clean(t)
		})
	}
}

func tmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}
