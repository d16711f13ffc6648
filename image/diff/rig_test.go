// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/image/overlay"
)

// private gives the test a mount namespace of its own, with a tmpfs at dir.
func private(t testing.TB) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounts, devices and owners take root")
	}
	dir = t.TempDir()
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	err := unix.Unshare(unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	if err == nil {
		err = unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755")
	}
	must(t, err)
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string) *os.File {
	t.Helper()
	f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func mkdir(t testing.TB, dir string) string {
	t.Helper()
	must(t, os.Mkdir(dir, 0o755))
	return dir
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// do runs a script in a directory: lines of a command, a path, and arguments.
func do(t testing.TB, dir, script string) {
	t.Helper()
	for line := range strings.Lines(script) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		f := strings.Fields(line)
		for i := range f {
			if strings.Contains(f[i], `\`) {
				s, err := strconv.Unquote(`"` + f[i] + `"`)
				must(t, err)
				f[i] = s
			}
		}
		if err := command(dir, f[0], filepath.Join(dir, f[1]), append(f[2:], "", "", "")); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
}

func number(s string) int {
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		panic(err)
	}
	return int(n)
}

func command(dir, verb, p string, arg []string) error {
	switch verb {
	case "write": // in place, with its directories
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		return os.WriteFile(p, []byte(arg[0]), 0o644)
	case "mkdir":
		return os.MkdirAll(p, 0o755)
	case "rm":
		return os.RemoveAll(p)
	case "mv":
		to := filepath.Join(dir, arg[0])
		err := os.Rename(p, to)
		if errors.Is(err, unix.EXDEV) {
			if err = exec.Command("cp", "-a", p, to).Run(); err == nil {
				err = os.RemoveAll(p)
			}
		}
		return err
	case "ln":
		return os.Link(filepath.Join(dir, arg[0]), p)
	case "symlink":
		return os.Symlink(arg[0], p)
	case "chmod":
		return unix.Chmod(p, uint32(number(arg[0])))
	case "chown":
		return os.Lchown(p, number(arg[0]), number(arg[1]))
	case "touch":
		return unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{{Sec: 1}, {Sec: int64(number(arg[0])), Nsec: 7}}, unix.AT_SYMLINK_NOFOLLOW)
	case "old": // as age does
		return unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{{Sec: 1e9}, {Sec: 1e9}}, unix.AT_SYMLINK_NOFOLLOW)
	case "mknod":
		return unix.Mknod(p, uint32(number(arg[0])), int(unix.Mkdev(uint32(number(arg[1])), uint32(number(arg[2])))))
	case "fifo":
		return unix.Mkfifo(p, 0o640)
	case "socket":
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p, Net: "unix"})
		if err != nil {
			return err
		}
		l.SetUnlinkOnClose(false)
		return l.Close()
	case "xattr":
		return unix.Lsetxattr(p, arg[0], []byte(arg[1]), 0)
	case "rmxattr":
		return unix.Lremovexattr(p, arg[0])
	case "many":
		for i := range number(arg[0]) {
			if err := os.WriteFile(fmt.Sprintf("%s/f%05d", p, i), []byte(fmt.Sprint(i)), 0o644); err != nil {
				return err
			}
		}
		return nil
	case "deep": // too deep for one path, if the tree is at one already
		return os.MkdirAll(filepath.Join(p, strings.Repeat("d/", number(arg[0]))), 0o755)
	}
	return fmt.Errorf("unknown command %s", verb)
}

// age gives everything in a tree one old time, so that what is done to it shows.
func age(t testing.TB, dir string) {
	t.Helper()
	old := []unix.Timespec{{Sec: 1e9}, {Sec: 1e9}}
	must(t, filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = unix.UtimesNanoAt(unix.AT_FDCWD, p, old, unix.AT_SYMLINK_NOFOLLOW)
		}
		return err
	}))
}

// state is a tree as lines, one for each name: all that a layer can carry, times
// in seconds, and for names of one file the first of them.
func state(t testing.TB, dir string, leaveOut ...string) map[string]string {
	t.Helper()
	all, files := map[string]string{}, map[uint64][]string{}
	must(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(p, dir)
		if slices.Contains(leaveOut, name) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		fd, err := unix.Open(p, unix.O_PATH|unix.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		f, err := look(fd, noMarks)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %d %q", f.Meta, f.MTime.Sec, sorted(f.xattrs))
		if name == "" {
			line = fmt.Sprintf("%s %q", f.Meta, sorted(f.xattrs)) // times of the root do not count
		}
		if f.isRegular() {
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x", sha256.Sum256(data))
		}
		if f.Links > 1 {
			files[f.Inode.Ino] = append(files[f.Inode.Ino], name)
		}
		all[name] = line
		return nil
	}))
	for _, group := range files {
		for _, name := range group[1:] {
			all[name] += " = " + group[0]
		}
	}
	return all
}

func sorted(m map[string]string) (list []string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, k+"="+m[k])
	}
	return list
}

func sameState(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	for name, line := range want {
		if got[name] != line {
			t.Errorf("%s: %q\n got %s\nwant %s", what, name, got[name], line)
		}
	}
	for name, line := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %q is there, and should not: %s", what, name, line)
		}
	}
}

// apply unpacks a layer onto a tree, by the rules of image-spec layer.md and no
// more care than a test needs.
func apply(t testing.TB, layer []byte, dir string) {
	t.Helper()
	type late struct {
		path string
		time time.Time
	}
	var dirs []late
	for r := tar.NewReader(bytes.NewReader(layer)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		p := filepath.Join(dir, h.Name)
		if base, ok := strings.CutPrefix(filepath.Base(p), whiteout); ok {
			p = filepath.Join(filepath.Dir(p), base)
			if h.Name[strings.LastIndexByte(h.Name, '/')+1:] == opaqueMark {
				list, err := os.ReadDir(filepath.Dir(p))
				must(t, err)
				for _, e := range list {
					must(t, os.RemoveAll(filepath.Join(filepath.Dir(p), e.Name())))
				}
				continue
			}
			if _, err := os.Lstat(p); err != nil {
				t.Errorf("whiteout of nothing: %s", h.Name)
			}
			must(t, os.RemoveAll(p))
			continue
		}
		if fi, err := os.Lstat(p); err == nil && !(fi.IsDir() && h.Typeflag == tar.TypeDir) {
			must(t, os.RemoveAll(p))
		}
		must(t, extract(h, r, dir, p))
		if h.Typeflag == tar.TypeDir {
			dirs = append(dirs, late{p, h.ModTime})
		}
	}
	for _, d := range dirs {
		must(t, os.Chtimes(d.path, d.time, d.time))
	}
}

func extract(h *tar.Header, r io.Reader, dir, p string) (err error) {
	dev := int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor)))
	switch h.Typeflag {
	case tar.TypeDir:
		if err = os.Mkdir(p, 0o700); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	case tar.TypeReg:
		var data []byte
		if data, err = io.ReadAll(r); err == nil {
			err = os.WriteFile(p, data, 0o600)
		}
	case tar.TypeSymlink:
		err = os.Symlink(h.Linkname, p)
	case tar.TypeLink:
		return os.Link(filepath.Join(dir, h.Linkname), p)
	case tar.TypeFifo:
		err = unix.Mkfifo(p, 0o600)
	case tar.TypeChar:
		err = unix.Mknod(p, unix.S_IFCHR, dev)
	case tar.TypeBlock:
		err = unix.Mknod(p, unix.S_IFBLK, dev)
	default:
		err = fmt.Errorf("type %c", h.Typeflag)
	}
	if err == nil {
		err = os.Lchown(p, h.Uid, h.Gid)
	}
	if h.Typeflag == tar.TypeDir && err == nil { // what the layer does not have
		var f *file
		if f, err = lookPath(p); err == nil {
			for name := range f.xattrs {
				_ = unix.Lremovexattr(p, name) // shows in the comparison
			}
		}
	}
	for k, v := range h.PAXRecords {
		if name, ok := strings.CutPrefix(k, paxXattr); ok && err == nil {
			err = unix.Lsetxattr(p, name, []byte(v), 0)
		}
	}
	if err == nil && h.Typeflag != tar.TypeSymlink {
		err = unix.Chmod(p, uint32(h.Mode))
	}
	if err == nil {
		ts := unix.Timespec{Sec: h.ModTime.Unix()}
		err = unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	}
	return err
}

func lookPath(p string) (*file, error) {
	fd, err := unix.Open(p, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return look(fd, noMarks)
}

// contents is a layer as lines.
func contents(t testing.TB, layer []byte) (list []string) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(layer)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return list
		}
		must(t, err)
		data, err := io.ReadAll(r)
		must(t, err)
		xattrs := map[string]string{}
		for k, v := range h.PAXRecords {
			if strings.HasPrefix(k, paxXattr) {
				xattrs[k] = v
			}
		}
		list = append(list, fmt.Sprintf("%c %q %q %o %d:%d %d,%d %d %q %x", h.Typeflag, h.Name, h.Linkname, h.Mode, h.Uid, h.Gid,
			h.Devmajor, h.Devminor, h.ModTime.Unix(), sorted(xattrs), sha256.Sum256(data)))
	}
}

func pack(t testing.TB, root *os.File, changes []Change, o Options) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, Write(&b, root, changes, o))
	return b.Bytes()
}

func lines(changes []Change) string {
	var b strings.Builder
	for _, c := range changes {
		b.WriteString(c.Kind.String() + " " + show(c.Path) + "\n")
	}
	return b.String()
}

// mount puts an overlay over lowers, topmost first.
func mount(t testing.TB, dir string, lowers []string) (merged string, upper *os.File, open_ []*os.File) {
	t.Helper()
	up, work := mkdir(t, filepath.Join(dir, "upper")), mkdir(t, filepath.Join(dir, "work"))
	merged = mkdir(t, filepath.Join(dir, "merged"))
	must(t, overlay.Mount(overlay.Options{Lowers: lowers, Upper: up, Work: work}, merged))
	t.Cleanup(func() { must(t, overlay.Unmount(merged)) })
	for _, l := range lowers {
		open_ = append(open_, open(t, l))
	}
	return merged, open(t, up), open_
}
