// SPDX-License-Identifier: Apache-2.0

package layer_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"berth/image/layer"
)

// capNetBind is cap_net_bind_service=ep, as security.capability has it.
const capNetBind = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// ordinary is a stack with all that images have.
func ordinary() [][]byte {
	later := epoch.Add(time.Hour)
	dir := folder("bin").at(epoch.Add(5 * time.Nanosecond))
	dir.h.AccessTime = epoch
	return [][]byte{
		archive(
			folder("./").mode(0o751).owner(1, 2),
			dir, file("bin/sh", "#!"), hardlink("bin/bash", "bin/sh"), symlink("bin/ash", "/bin/sh").owner(3, 4),
			file("bin/su", "setuid").mode(0o4755), file("bin/wall", "setgid").mode(0o2755).owner(0, 5),
			file("bin/ping", "x").xattr("security.capability", capNetBind).owner(0, 0),
			folder("tmp").mode(0o1777), folder("shared").mode(0o2775).owner(7, 8), file("shared/f", "").owner(7, 0),
			folder("dev"), device(tar.TypeChar, "dev/null", 1, 3).mode(0o666), device(tar.TypeBlock, "dev/sda", 8, 0).mode(0o660).owner(0, 6), fifo("dev/initctl"),
			file("etc/implied/parents", "x"), folder("locked").mode(0), file("locked/f", "x").mode(0),
			file("caf\xe9", "not UTF-8"), folder("old"), file("old/a", "a"), file("old/b", "b"), folder("old/sub").at(later), file("old/sub/c", "c"),
			symlink("lib", "usr/lib"), folder("usr").owner(9, 9), folder("usr/lib").mode(0o711).xattr("user.note", "kept"), file("usr/lib/libc", "c").owner(1<<21+1, 1<<31),
			file("replaced", "file"), folder("dir").at(later), file("dir/f", ""),
		),
		archive(
			file("lib/libm", "through the link").at(later), file("old/.wh.a", ""), file("old/sub/new", "new"), file("old/sub/.wh..wh..opq", ""),
			folder("replaced").mode(0o700), file("dir", "now a file"), hardlink("usr/lib/libc.so", "usr/lib/libc"),
			folder("bin").mode(0o555).at(later), file("bin/sh", "new shell"), file(".wh.caf\xe9", ""), file("tmp/f", ""),
		),
		archive(
			file(".wh.old", ""), folder("old").mode(0o750), file("old/again", ""), file("etc/.wh.implied", ""), file("lib/.wh.libm", ""),
			symlink("replaced", "dir"), file("usr/lib/libz", "z"),
		),
	}
}

// TestOrdinaryImage compares all attributes of all files, in each form.
func TestOrdinaryImage(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		golden string
		o      layer.Options
		e      extractor
	}{
		{"ordinary.golden", layer.Options{}, layer.Extract},
		{"ordinary.golden", layer.Options{}, layer.Confined},
		{"ordinary.golden", layer.Options{Form: layer.Overlay}, layer.Extract},
		{"ordinary.golden", layer.Options{Form: layer.Overlay}, layer.Confined},
		{"ordinary-rootless.golden", layer.Options{Rootless: true}, layer.Extract},
		{"ordinary-rootless.golden", layer.Options{Rootless: true, Form: layer.UserOverlay}, layer.Confined},
	} {
		s := newSandbox(t)
		c.o.Limits = layer.DefaultLimits()
		if err := s.apply(t, c.e, ordinary(), c.o); err != nil {
			t.Fatal(err)
		}
		compare(t, c.golden, full(t, s.tree(t, c.o.Form)))
		s.empty(t)
	}
}

// TestOverlayForm is about the marks themselves, which a mount hides.
func TestOverlayForm(t *testing.T) {
	needRoot(t)
	for _, form := range []layer.Form{layer.Overlay, layer.UserOverlay} {
		s := newSandbox(t)
		if err := s.apply(t, layer.Extract, ordinary(), layer.Options{Form: form}); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, dir := range s.dirs[1:] {
			got += full(t, dir)
		}
		compare(t, map[layer.Form]string{layer.Overlay: "overlay.golden", layer.UserOverlay: "useroverlay.golden"}[form], got)
	}
}

func TestRecord(t *testing.T) {
	needRoot(t)
	for _, extract := range []extractor{layer.Extract, layer.Confined} {
		s := newSandbox(t)
		found := map[string]layer.Entry{}
		o := layer.Options{Record: func(e layer.Entry) {
			if e.Type == 0 {
				for name := range found {
					if name == e.Path || strings.HasPrefix(name, e.Path+"/") {
						delete(found, name)
					}
				}
				return
			}
			found[e.Path] = e
		}}
		if err := s.apply(t, extract, ordinary(), o); err != nil {
			t.Fatal(err)
		}
		for _, n := range walk(t, s.dirs[0]) {
			if n.path == "." {
				n.path = ""
			}
			e, ok := found[n.path]
			if !ok {
				t.Errorf("%q is not recorded", n.path)
				continue
			}
			delete(found, n.path)
			if e.Type == tar.TypeLink {
				if _, err := os.Lstat(filepath.Join(s.dirs[0], e.Link)); err != nil {
					t.Errorf("%q is recorded as a link to %q", n.path, e.Link)
				}
				continue
			}
			if e.Inode != n.st.Ino || e.Mode != n.st.Mode&0o7777 || e.UID != n.st.Uid || e.GID != n.st.Gid || e.ModTime.UnixNano() != n.st.Mtim.Nano() || e.Type == tar.TypeReg && e.Size != n.st.Size {
				t.Errorf("%q is recorded as %+v, and is %+v", n.path, e, n.st)
			}
			if e.Type == tar.TypeReg && n.st.Nlink == 1 && e.Changed != n.st.Ctim.Nano() {
				t.Errorf("%q is recorded with ctime %d, and has %d", n.path, e.Changed, n.st.Ctim.Nano())
			}
		}
		for name := range found {
			t.Errorf("%q is recorded, and not there", name)
		}
	}
}

func TestIDMaps(t *testing.T) {
	needRoot(t)
	o := layer.Options{UIDs: []layer.IDMap{{Container: 0, Host: 100000, Size: 10}, {Container: 1000, Host: 5, Size: 1}}, GIDs: []layer.IDMap{{Container: 0, Host: 200000, Size: 10}}}
	s := newSandbox(t)
	tarball := archive(file("d/f", "x").owner(9, 0), file("g", "x").owner(1000, 9))
	if err := s.apply(t, layer.Extract, [][]byte{tarball}, o); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range walk(t, s.dirs[0])[1:] {
		got = append(got, strings.Join([]string{n.path, itoa(n.st.Uid), itoa(n.st.Gid)}, " "))
	}
	want := []string{"d 100000 200000", "d/f 100009 200000", "g 5 200009"}
	if !slices.Equal(got, want) {
		t.Errorf("owners = %q, want %q", got, want)
	}
	for _, ids := range [][2]int{{10, 0}, {999, 0}, {0, 10}} {
		err := newSandbox(t).apply(t, layer.Confined, [][]byte{archive(file("f", "").owner(ids[0], ids[1]))}, o)
		if !errors.Is(err, layer.ErrRefused) {
			t.Errorf("ids %v: error %v, want one of kind %v", ids, err, layer.ErrRefused)
		}
	}
}

func TestKeepDirlinks(t *testing.T) {
	below := archive(folder("usr"), folder("usr/lib"), symlink("lib", "usr/lib"), symlink("dangling", "nothing"))
	above := archive(folder("lib").mode(0o700), file("lib/f", ""), folder("dangling"))
	for _, c := range []struct {
		keep bool
		want string
	}{
		{true, "dangling/ lib->usr/lib usr/ usr/lib/ usr/lib/f:0"},
		{false, "dangling/ lib/ lib/f:0 usr/ usr/lib/"},
	} {
		for _, form := range []layer.Form{layer.Plain, layer.Overlay} {
			if form != layer.Plain && os.Geteuid() != 0 {
				continue // needs a mount
			}
			s := newSandbox(t)
			o := layer.Options{Form: form, KeepDirlinks: c.keep, Rootless: os.Geteuid() != 0}
			if err := s.apply(t, layer.Extract, [][]byte{below, above}, o); err != nil {
				t.Fatal(err)
			}
			if got := brief(t, s.tree(t, form)); got != c.want {
				t.Errorf("form %d, keep %v: %s, want %s", form, c.keep, got, c.want)
			}
		}
	}
}

func TestSparseFilesHaveHoles(t *testing.T) {
	s := newSandbox(t)
	tarball := archive(raw(gnuSparse(512, 64<<20, [2]int64{32 << 20, 512})), raw(padded(strings.Repeat("d", 512))))
	if err := s.apply(t, layer.Extract, [][]byte{tarball}, layer.Options{Rootless: true}); err != nil {
		t.Fatal(err)
	}
	n := walk(t, s.dirs[0])[1]
	if n.st.Size != 64<<20 || n.st.Blocks*512 > 1<<20 {
		t.Errorf("%d bytes in %d blocks, want %d in a few", n.st.Size, n.st.Blocks, 64<<20)
	}
	f := openDir(t, filepath.Join(s.dirs[0], "sparse"))
	b := make([]byte, 514)
	if _, err := f.ReadAt(b, 32<<20-1); err != nil || string(b) != "\x00"+strings.Repeat("d", 512)+"\x00" {
		t.Errorf("contents around the data are %q, %v", b, err)
	}
}

// aboutCgo: test binaries may be built with cgo, programs are not.
func aboutCgo(warning string) bool { return strings.HasSuffix(warning, "built with cgo") }

func TestWarnings(t *testing.T) {
	needRoot(t)
	tarball := archive(
		file(".wh..wh.aufs", ""), file(".wh..wh.plnk/1", ""), entry(tar.TypeReg, "s", 0o140644), file("a", "").xattr("trusted.overlay.opaque", "y"),
		file("b", "").xattr("trusted.x", "y"), file("c", "").xattr("nonsense", "1"), file("d", "").xattr("nonsense", "1"), device(tar.TypeChar, "null", 1, 3))
	for _, extract := range []extractor{layer.Extract, layer.Confined} {
		var got []string
		o := layer.Options{Rootless: true, Warn: func(s string) {
			if !aboutCgo(s) {
				got = append(got, s)
			}
		}}
		if err := newSandbox(t).apply(t, extract, [][]byte{tarball}, o); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"the layer has AUFS metadata, which is ignored",
			"the layer has sockets, which are ignored",
			"xattrs of the namespaces trusted.* and user.overlay.* in layers are ignored",
			"the file system does not take xattrs such as nonsense (first on c)",
			"devices cannot be made, and are empty files instead (first null)",
		}
		if !slices.Equal(got, want) {
			t.Errorf("warnings:\n got %q\nwant %q", got, want)
		}
	}
}

// TestAsOrdinaryUser runs itself as nobody when it is root.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() == 0 {
		runAsNobody(t)
		return
	}
	s := newSandbox(t)
	tarball := archive(folder("locked").mode(0), file("locked/f", "x").mode(0).owner(5, 6), device(tar.TypeChar, "null", 1, 3), folder("open"))
	upper := archive(file("locked/g", "y"), file("locked/.wh.f", ""))
	for _, extract := range []extractor{layer.Extract, layer.Confined} {
		s.empty(t)
		o := layer.Options{Rootless: true, Warn: func(w string) {
			if !strings.HasPrefix(w, "devices") && !aboutCgo(w) {
				t.Error(w)
			}
		}}
		if err := s.apply(t, extract, [][]byte{tarball, upper}, o); err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Stat(s.dirs[0]+"/locked", &st); err != nil || st.Mode&0o7777 != 0 {
			t.Errorf("mode of locked = %o, %v, want 0", st.Mode, err)
		}
		if err := unix.Fchmodat(unix.AT_FDCWD, s.dirs[0]+"/locked", 0o700, 0); err != nil {
			t.Fatal(err)
		}
		if got, want := brief(t, s.dirs[0]), "locked/ locked/g:1 null:0 open/"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	err := newSandbox(t).apply(t, layer.Confined, [][]byte{archive(file("f", ""))}, layer.Options{})
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EINVAL) {
		t.Errorf("owner 0 without rootless: %v, want EPERM or EINVAL", err)
	}
}

func TestDigests(t *testing.T) {
	good := archive(file("f", "x"))
	d := describe(good, ocispec.MediaTypeImageLayer)
	long, wrong, algorithm, kind := d, d, d, d
	long.Size++
	wrong.Digest = describe([]byte("other"), "").Digest
	algorithm.Digest = "md5:d41d8cd98f00b204e9800998ecf8427e"
	kind.MediaType = "application/json"
	for _, c := range []struct {
		name string
		d    ocispec.Descriptor
		id   ocispec.Descriptor
		kind error
	}{
		{"right", d, d, nil},
		{"blob too short", long, d, layer.ErrDigest},
		{"blob's digest", wrong, d, layer.ErrDigest},
		{"diffID", d, wrong, layer.ErrDigest},
		{"algorithm", algorithm, d, layer.ErrRefused},
		{"algorithm of the diffID", d, algorithm, layer.ErrRefused},
		{"media type", kind, d, layer.ErrRefused},
	} {
		for _, extract := range []extractor{layer.Extract, layer.Confined} {
			dir := openDir(t, t.TempDir())
			_, err := extract(t.Context(), dir, bytes.NewReader(good), c.d, c.id.Digest, layer.Options{Rootless: true})
			if !errors.Is(err, c.kind) {
				t.Errorf("%s: error %v, want %v", c.name, err, c.kind)
			}
		}
	}
}

// runAsNobody runs the same test in another process.
func runAsNobody(t *testing.T) {
	t.Helper()
	tmp, err := os.MkdirTemp("/tmp", "layer-nobody") // t.TempDir is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(tmp) })
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tmp, "layer.test"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(tmp, 0o777); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(tmp, "layer.test"), "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env, cmd.Dir = []string{"TMPDIR=" + tmp}, tmp
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}
