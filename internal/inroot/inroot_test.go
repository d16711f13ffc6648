// SPDX-License-Identifier: Apache-2.0

package inroot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newRoot makes a root with a secret beside it. Names that end in "/" are
// directories, those with "->" links, others files that hold their own name.
func newRoot(t *testing.T, names ...string) (*Root, string) {
	t.Helper()
	top := t.TempDir()
	dir := filepath.Join(top, "root")
	write(t, filepath.Join(top, "secret"), "secret")
	mkdir(t, dir)
	for _, name := range names {
		link, target, isLink := strings.Cut(name, "->")
		at := filepath.Join(dir, link)
		mkdir(t, filepath.Dir(at))
		switch {
		case isLink:
			if err := os.Symlink(target, at); err != nil {
				t.Fatal(err)
			}
		case strings.HasSuffix(name, "/"):
			mkdir(t, at)
		default:
			write(t, at, name)
		}
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, dir
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

var tree = []string{
	"usr/bin/sh", "etc/passwd", "var/", "a/b/c/",
	"bin->usr/bin", "lib->/usr/lib", "up->../../../..", "abs->/etc/passwd", "out->../secret", "outabs->/../../secret",
	"loop->loop", "ping->pong", "pong->ping", "dangling->/var/new/deep", "chain->dangling/more",
	"a/b/link->../../etc", "a/rel->b/c/../../../usr", "dot->.", "slash->//usr///bin/", "rootlink->/",
	"a/updown->b/missing/../..",
}

func TestResolve(t *testing.T) {
	r, _ := newRoot(t, tree...)
	cases := []struct {
		name, want string
		existing   bool
	}{
		{"/", "/", true},
		{"", "/", true},
		{"..", "/", true},
		{"/../../..", "/", true},
		{"etc/passwd", "/etc/passwd", true},
		{"//etc/./passwd", "/etc/passwd", true},
		{"/bin/sh", "/usr/bin/sh", true},
		{"/bin/../etc", "/usr/etc", false},
		{"/lib/x86/ld.so", "/usr/lib/x86/ld.so", false},
		{"/up", "/", true},
		{"/up/etc", "/etc", true},
		{"/abs", "/etc/passwd", true},
		{"/out", "/secret", false},
		{"/outabs", "/secret", false},
		{"/dangling", "/var/new/deep", false},
		{"/dangling/x", "/var/new/deep/x", false},
		{"/chain", "/var/new/deep/more", false},
		{"/a/b/link/passwd", "/etc/passwd", true},
		{"/a/rel/bin/sh", "/usr/bin/sh", true},
		{"/dot/dot/dot/etc", "/etc", true},
		{"/slash/sh", "/usr/bin/sh", true},
		{"/rootlink", "/", true},
		{"/rootlink/rootlink/var/", "/var", true},
		{"/missing/../etc", "/etc", true},
		{"/m1/m2/..", "/m1", false},
		{"/m1/m2/..//", "/m1", false},
		{"/m1/m2/../../bin", "/usr/bin", true},
		{"/a/updown/b", "/a/b", true},
	}
	for _, c := range cases {
		got, existing, err := r.Resolve(c.name)
		if err != nil || got != c.want || existing != c.existing {
			t.Errorf("Resolve(%q) = %q, %v, %v; want %q, %v", c.name, got, existing, err, c.want, c.existing)
		}
	}
}

func TestResolveErrors(t *testing.T) {
	r, _ := newRoot(t, tree...)
	for name, want := range map[string]error{
		"/loop":                        unix.ELOOP,
		"/loop/x":                      unix.ELOOP,
		"/ping/x":                      unix.ELOOP,
		"/etc/passwd/x":                unix.ENOTDIR,
		"/abs/x/y":                     unix.ENOTDIR,
		"/etc/pass\x00wd":              unix.EINVAL,
		"/" + strings.Repeat("n", 256): unix.ENAMETOOLONG,
	} {
		if got, _, err := r.Resolve(name); !errors.Is(err, want) {
			t.Errorf("Resolve(%q) = %q, %v; want %v", name, got, err, want)
		}
	}
}

func TestReadStaysInside(t *testing.T) {
	r, _ := newRoot(t, tree...)
	for _, name := range []string{"/etc/passwd", "abs", "up/etc/passwd", "../../etc/passwd", "a/b/link/passwd"} {
		if got, err := r.ReadFile(name, 64); err != nil || string(got) != "etc/passwd" {
			t.Errorf("ReadFile(%q) = %q, %v; want %q", name, got, err, "etc/passwd")
		}
	}
	for _, name := range []string{"out", "outabs", "../secret", "/up/secret"} {
		if got, err := r.ReadFile(name, 64); !errors.Is(err, unix.ENOENT) {
			t.Errorf("ReadFile(%q) = %q, %v; want %v", name, got, err, unix.ENOENT)
		}
	}
}

func TestReadIsBoundedAndOfRegularFiles(t *testing.T) {
	r, dir := newRoot(t, "f")
	if err := os.Truncate(filepath.Join(dir, "f"), 100); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := r.ReadFile("f", 100); err != nil || len(data) != 100 {
		t.Errorf("ReadFile = %d bytes, %v; want 100", len(data), err)
	}
	if _, err := r.ReadFile("f", 99); !errors.Is(err, unix.EFBIG) {
		t.Errorf("ReadFile above the limit = %v, want %v", err, unix.EFBIG)
	}
	if data, err := r.ReadHead("f", 10); err != nil || len(data) != 10 {
		t.Errorf("ReadHead = %d bytes, %v; want 10", len(data), err)
	}
	// A FIFO would block a plain open for ever.
	if _, err := r.ReadFile("fifo", 10); err == nil || !strings.HasSuffix(err.Error(), "not a regular file") {
		t.Errorf("ReadFile of a FIFO = %v, want a refusal", err)
	}
	if _, err := r.ReadFile("/", 10); !errors.Is(err, unix.EISDIR) {
		t.Errorf("ReadFile of a directory = %v, want %v", err, unix.EISDIR)
	}
	if st, err := r.Stat("fifo"); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		t.Errorf("Stat = %o, %v; want a FIFO", st.Mode, err)
	}
}

func TestMkdirAll(t *testing.T) {
	for _, c := range []struct{ name, made string }{
		{"x/y/z", "x/y/z"},
		{"/", "."},
		{"dangling", "var/new/deep"},
		{"chain/more", "var/new/deep/more/more"},
		{"out", "secret"},
		{"lib/x", "usr/lib/x"},
		{"../../n", "n"},
		{"bin", "usr/bin"},
	} {
		r, dir := newRoot(t, tree...)
		f, err := r.MkdirAll(c.name, 0o755)
		if err != nil {
			t.Errorf("MkdirAll(%q): %v", c.name, err)
			continue
		}
		wantSame(t, f, filepath.Join(dir, c.made))
	}
	r, _ := newRoot(t, tree...)
	if _, err := r.MkdirAll("abs", 0o755); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("MkdirAll over a file = %v, want %v", err, unix.ENOTDIR)
	}
}

func TestCreate(t *testing.T) {
	for _, c := range []struct{ name, made, data string }{
		{"x/y/file", "x/y/file", ""},
		{"abs", "etc/passwd", "etc/passwd"},
		{"dangling", "var/new/deep", ""},
		{"out", "secret", ""},
	} {
		r, dir := newRoot(t, tree...)
		f, err := r.Create(c.name, 0o644)
		if err != nil {
			t.Errorf("Create(%q): %v", c.name, err)
			continue
		}
		wantSame(t, f, filepath.Join(dir, c.made))
		if got, _ := os.ReadFile(filepath.Join(dir, c.made)); string(got) != c.data {
			t.Errorf("Create(%q) left %q, want %q", c.name, got, c.data)
		}
		if got, _ := os.ReadFile(filepath.Join(dir, "../secret")); string(got) != "secret" {
			t.Errorf("Create(%q) made the secret %q", c.name, got)
		}
	}
	r, _ := newRoot(t, tree...)
	for _, name := range []string{"/", "etc", "bin"} {
		if _, err := r.Create(name, 0o644); !errors.Is(err, unix.EISDIR) {
			t.Errorf("Create(%q) = %v, want %v", name, err, unix.EISDIR)
		}
	}
}

func wantSame(t *testing.T, f *os.File, path string) {
	t.Helper()
	defer f.Close()
	got, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.Lstat(path)
	if err != nil || !os.SameFile(got, want) {
		t.Errorf("the descriptor of %q is not %q, %v", f.Name(), path, err)
	}
}

// TestSwappedLinkNeverLeadsOut swaps a directory with a link that leads out
// while the tree is used: the class of CVE-2021-30465.
func TestSwappedLinkNeverLeadsOut(t *testing.T) {
	r, dir := newRoot(t, "d/inside", "evil->../..")
	top := filepath.Dir(dir)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, "d"), unix.AT_FDCWD, filepath.Join(dir, "evil"), unix.RENAME_EXCHANGE)
			}
		}
	}()
	for range 500 {
		if f, err := r.MkdirAll("d/new/dir", 0o755); err == nil {
			f.Close()
		}
		if f, err := r.Create("d/new/file", 0o644); err == nil {
			f.Close()
		}
		if data, err := r.ReadFile("d/secret", 64); err == nil {
			t.Fatalf("read %q from outside", data)
		}
	}
	close(stop)
	<-stopped
	entries, err := os.ReadDir(top)
	if err != nil || len(entries) != 2 {
		t.Errorf("beside the root are now %v, %v; want the secret alone", entries, err)
	}
}

func TestMagicLinksAreRefused(t *testing.T) {
	r, err := Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, name := range []string{"/proc/self/root", "/proc/self/root/etc", "/proc/self/exe", "/proc/self/cwd/x"} {
		if got, _, err := r.Resolve(name); !errors.Is(err, unix.ELOOP) {
			t.Errorf("Resolve(%q) = %q, %v; want %v", name, got, err, unix.ELOOP)
		}
		if _, err := r.Open(name, unix.O_PATH); !errors.Is(err, unix.ELOOP) {
			t.Errorf("Open(%q) = %v, want %v", name, err, unix.ELOOP)
		}
	}
	if got, existing, err := r.Resolve("/proc/self"); err != nil || !existing || got == "/proc/self" {
		t.Errorf("Resolve(/proc/self) = %q, %v, %v; want /proc/PID", got, existing, err)
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("Open = %v, want %v", err, unix.ENOENT)
	}
	r, _ := newRoot(t, "f")
	if _, err := r.Open("none", unix.O_PATH); !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("Open = %v, want ENOENT with the name", err)
	}
}

func FuzzResolve(f *testing.F) {
	for _, seed := range []string{"/bin/sh", "../..", "a/b/link/../x", "loop", "\x00"} {
		f.Add(seed)
	}
	dir := f.TempDir()
	if err := os.Symlink("/x/../..", filepath.Join(dir, "l")); err != nil {
		f.Fatal(err)
	}
	r, err := Open(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { r.Close() })
	f.Fuzz(func(t *testing.T, name string) {
		got, _, err := r.Resolve(name)
		if err == nil && got != filepath.Clean("/"+got) {
			t.Errorf("Resolve(%q) = %q, not clean and absolute", name, got)
		}
	})
}
