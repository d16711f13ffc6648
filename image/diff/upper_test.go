// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// uppers are upper directories as a kernel, or somebody else, could have left
// them, over one lower directory.
var uppers = []struct{ name, lower, upper, want, wantAlone, err string }{
	{name: "opaque directory", lower: "write d/a 1\n write d/b/c 1", upper: "write d/b/x 1\n xattr d trusted.overlay.opaque y",
		want: "P d,D d/a,P d/b,D d/b/c,A d/b/x", wantAlone: "A d,O d,A d/b,A d/b/x"},
	{name: "opaque directory over nothing", upper: "mkdir d\n xattr d trusted.overlay.opaque y", want: "A d", wantAlone: "A d,O d"},
	{name: "opaque directory over a file", lower: "write d 1", upper: "mkdir d\n xattr d trusted.overlay.opaque y", want: "M d", wantAlone: "A d,O d"},
	{name: "whiteout", lower: "write d/a 1", upper: "mkdir d\n mknod d/a 020000 0 0", want: "P d,D d/a", wantAlone: "A d,D d/a"},
	{name: "whiteout in an opaque directory", lower: "write d/a 1", upper: "mkdir d\n mknod d/a 020000 0 0\n xattr d trusted.overlay.opaque y",
		want: "P d,D d/a", wantAlone: "A d,O d"},
	{name: "whiteout of nothing", upper: "mknod a 020000 0 0", want: "", wantAlone: "D a"},
	{name: "whiteout by xattr", lower: "write d/a 1", upper: "write d/a \n xattr d/a trusted.overlay.whiteout y\n xattr d trusted.overlay.opaque x",
		want: "P d,D d/a", wantAlone: "A d,D d/a"},
	{name: "no whiteout by xattr", lower: "write d/a 1", upper: "write d/a \n xattr d/a trusted.overlay.whiteout y", want: "P d,M d/a", wantAlone: "A d,A d/a"},
	{name: "whiteout by xattr below", lower: "write d/a \n xattr d/a trusted.overlay.whiteout y\n xattr d trusted.overlay.opaque x",
		upper: "write d/a 1", want: "P d,A d/a", wantAlone: "A d,A d/a"},
	{name: "redirect", upper: "mkdir d\n xattr d trusted.overlay.redirect /x",
		err: "cannot compare d: it has another name below: mounted with redirect_dir, which cannot become a layer"},
	{name: "metacopy", upper: "write d/f 1\n xattr d/f trusted.overlay.metacopy \\x00",
		err: "cannot compare d/f: its contents are below: mounted with metacopy, which cannot become a layer"},
	{name: "marks of another kind of mount", upper: "mkdir d\n xattr d user.overlay.redirect /x\n xattr d user.overlay.opaque y", want: "A d", wantAlone: "A d"},
	{name: "name of a whiteout", upper: "write d/.wh.x 1",
		err: `cannot list d: ".wh.x": layers cannot have names that begin with ".wh." (hint: remove or rename it)`},
	{name: "name of an opaque mark", upper: "write .wh..wh..opq 1",
		err: `cannot list /: ".wh..wh..opq": layers cannot have names that begin with ".wh." (hint: remove or rename it)`},
}

func TestUpperDirectories(t *testing.T) {
	for _, c := range uppers {
		t.Run(c.name, func(t *testing.T) {
			dir := private(t)
			lower, upper := mkdir(t, filepath.Join(dir, "lower")), mkdir(t, filepath.Join(dir, "upper"))
			do(t, lower, c.lower)
			do(t, upper, c.upper)
			age(t, lower)
			age(t, upper)
			for want, lowers := range map[string][]*os.File{c.want: {open(t, lower)}, c.wantAlone: nil} {
				changes, err := Upper(open(t, upper), lowers, Options{})
				if (err != nil || c.err != "") && (err == nil || err.Error() != c.err) {
					t.Errorf("error %v, want %s", err, c.err)
				}
				if got := strings.ReplaceAll(strings.TrimSpace(lines(changes)), "\n", ","); got != want && c.want != c.wantAlone {
					t.Errorf("%d lowers: %s, want %s", len(lowers), got, want)
				}
			}
		})
	}
}

func TestEscapedXattrsAreUnescaped(t *testing.T) {
	dir := private(t)
	do(t, dir, `
		write f 1
		xattr f trusted.overlay.overlay.opaque y
		xattr f trusted.overlay.origin x
		xattr f user.overlay.impure y
		xattr f user.mine 1
	`)
	for o, want := range map[*Options]string{
		{}:                "[trusted.overlay.opaque=y user.mine=1]",
		{UserXattr: true}: "[user.mine=1]",
	} {
		changes, err := Upper(open(t, dir), nil, *o)
		must(t, err)
		if got := "[" + strings.Join(sorted(changes[0].Xattrs), " ") + "]"; got != want {
			t.Errorf("userxattr %v: %s, want %s", o.UserXattr, got, want)
		}
	}
}

// A mount in a user namespace keeps its notes in user.overlay.*.
func TestUserXattr(t *testing.T) {
	dir := private(t)
	lower := mkdir(t, filepath.Join(dir, "lower"))
	do(t, lower, "write d/a 1\n write d/b 1")
	age(t, lower)
	o := Options{UserXattr: true}
	upper, work, merged := mkdir(t, filepath.Join(dir, "upper")), mkdir(t, filepath.Join(dir, "work")), mkdir(t, filepath.Join(dir, "merged"))
	must(t, unix.Mount("overlay", merged, "overlay", 0, "userxattr,index=off,lowerdir="+lower+",upperdir="+upper+",workdir="+work))
	defer func() { must(t, unix.Unmount(merged, 0)) }()
	do(t, merged, "rm d\n write d/b 2")
	changes, err := Upper(open(t, upper), []*os.File{open(t, lower)}, o)
	must(t, err)
	if got, want := lines(changes), "M d\nD d/a\nM d/b\n"; got != want {
		t.Errorf("%swant\n%s", got, want)
	}
}

func TestManyFilesAndDepth(t *testing.T) {
	r := newRig(t)
	for _, dir := range []string{r.merged, r.plain} {
		do(t, dir, "mkdir many\n many many 10000\n deep deep 1000\n write many/f00500/../zz 1\n write etc/passwd x")
	}
	a, b := r.changes(t, Options{})
	if len(a) != 10000+2+1001+2 || len(b) != len(a) {
		t.Errorf("%d and %d changes", len(a), len(b))
	}
	r.roundTrip(t, "overlay", pack(t, r.upper, a, Options{}), r.merged)
}

func TestTooDeep(t *testing.T) {
	dir := private(t)
	var fd int
	for i := range 20 { // 20 × 250 bytes, by way of descriptors
		at := unix.AT_FDCWD
		name := strings.Repeat("d", 250)
		if i > 0 {
			at = fd
		} else {
			name = filepath.Join(dir, "d")
		}
		must(t, unix.Mkdirat(at, name, 0o755))
		next, err := unix.Openat(at, name, unix.O_PATH, 0)
		must(t, err)
		if i > 0 {
			must(t, unix.Close(fd))
		}
		fd = next
	}
	must(t, unix.Close(fd))
	if _, err := Upper(open(t, dir), nil, Options{}); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("error %v, want %v", err, unix.ENAMETOOLONG)
	}
	run(t, "rm", "-rf", filepath.Join(dir, "d"))
}

func TestExcluded(t *testing.T) {
	r := newRig(t)
	for _, dir := range []string{r.merged, r.plain} {
		do(t, dir, `
			write proc/x 1
			mkdir etc/resolv.conf
			write var/lib/data/x 1
			write var/lib/data2 1
			rm usr/lib/y
			rm usr/lib/x
			mkdir usr/lib/x
			rm var/linked
		`)
	}
	o := Options{Exclude: []string{"/proc", "etc/resolv.conf/", "/var/lib/data", "/usr/lib/y", "/usr/lib/x/one", "var/linked/a"}}
	a, b := r.changes(t, o)
	// etc and usr/lib differ in their times alone, which may be the runtime's doing
	want := "P usr\nP usr/lib\nP usr/lib/x\nD usr/lib/x/two\nM var\nD var/linked\nA var/lib\nA var/lib/data2\n"
	if got := lines(a); got != want {
		t.Errorf("Upper:\n%swant\n%s", got, want)
	}
	if got := lines(b); got != want {
		t.Errorf("Tree:\n%swant\n%s", got, want)
	}
}

func TestWhatIsLeftOutIsTold(t *testing.T) {
	dir := private(t)
	lower := mkdir(t, filepath.Join(dir, "lower"))
	dir = mkdir(t, filepath.Join(dir, "upper"))
	do(t, dir, "socket s\n write f 1\n xattr f user.a=b c\n write g 1\n xattr g user.c d")
	var told []string
	o := Options{Warn: func(s string) { told = append(told, s) }}
	changes, err := Upper(open(t, dir), []*os.File{open(t, lower)}, o)
	must(t, err)
	if got, want := lines(changes), "A f\nA g\n"; got != want {
		t.Errorf("%swant\n%s", got, want)
	}
	slices.Sort(told)
	want := []string{`f: xattr "user.a=b" is left out: PAX headers cannot have it`, "s: socket is left out"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestOwners(t *testing.T) {
	dir := private(t)
	ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 1}, {ContainerID: 1, HostID: 100000, Size: 65536}}
	do(t, dir, `
		write a 1
		chown a 1000 100004
		xattr a user.rootlesscontainers \x08\xe8\x07
		write b 1
		chown b 100999 1000
	`)
	for want, o := range map[string]Options{
		"1000:100004 100999:1000": {},
		"0:5 1000:0":              {UIDs: ids, GIDs: ids},
		"1000:0 1000:0":           {UIDs: ids, GIDs: ids, Rootless: true},
	} {
		changes, err := Upper(open(t, dir), nil, o)
		must(t, err)
		var got []string
		for _, c := range changes {
			f := strings.Fields(c.String())
			got = append(got, f[2])
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%+v: %s, want %s", o, s, want)
		}
	}
	_, err := Upper(open(t, dir), nil, Options{UIDs: ids, GIDs: ids[:1]})
	if want := "cannot compare a: cannot give a to a group of the container: 100004 is in no gid map"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestCapability(t *testing.T) {
	v2 := string(binary.LittleEndian.AppendUint32(nil, capRevision2|1)) + strings.Repeat("c", 16)
	v3 := func(root uint32) string {
		return string(binary.LittleEndian.AppendUint32(nil, capRevision3|1)) + v2[4:] + string(binary.LittleEndian.AppendUint32(nil, root))
	}
	ids := []specs.LinuxIDMapping{{HostID: 100000, Size: 65536}}
	for _, c := range []struct {
		value string
		ids   []specs.LinuxIDMapping
		want  string
		ok    bool
	}{
		{v2, nil, v2, true}, {v2, ids, v2, true}, {v3(0), nil, v2, true}, {v3(100000), ids, v2, true},
		{v3(100001), ids, "", false}, {v3(5), ids, "", false}, {v3(5), nil, "", false}, {"short", ids, "short", true},
	} {
		if got, ok := capability(c.value, c.ids); got != c.want || ok != c.ok {
			t.Errorf("capability(%q) = %q, %v; want %q, %v", c.value, got, ok, c.want, c.ok)
		}
	}
}

func TestTimesAreCutOrClamped(t *testing.T) {
	for _, c := range []struct {
		time  unix.Timespec
		epoch int64
		want  int64
	}{
		{unix.Timespec{Sec: 10, Nsec: 999_999_999}, 100, 10},
		{unix.Timespec{Sec: -10, Nsec: 999_999_999}, 100, -10},
		{unix.Timespec{Sec: 100, Nsec: 1}, 100, 100},
		{unix.Timespec{Sec: 101}, 100, 100},
	} {
		epoch := time.Unix(c.epoch, 500)
		h := (&Change{Path: "f", Meta: Meta{Mode: unix.S_IFREG, MTime: c.time}}).header(&epoch)
		if got := h.ModTime; !got.Equal(time.Unix(c.want, 0)) {
			t.Errorf("%v: %v, want %d", c.time, got.Unix(), c.want)
		}
	}
}

// Between listing and reading, a file goes, becomes another or shorter: no layer
// with a false entry comes of it. One that grows is taken as long as it was.
func TestFileChangesWhileRead(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		err    error
	}{
		"gone":             {"rm d/f", ErrChanged},
		"another":          {"rm d/f\n write d/g yy\n mv d/g d/f", ErrChanged},
		"a fifo":           {"rm d/f\n fifo d/f", ErrChanged},
		"a link":           {"rm d/f\n symlink d/f /etc/passwd", ErrChanged},
		"directory a link": {"mv d e\n symlink d /etc", ErrChanged},
		"longer":           {"write d/f longer", nil},
		"shorter":          {"write d/f", nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := private(t)
			do(t, dir, "write d/f contents\n write z 1")
			changes, err := Upper(open(t, dir), nil, Options{})
			must(t, err)
			do(t, dir, c.script)
			var b bytes.Buffer
			if err := Write(&b, open(t, dir), changes, Options{}); !errors.Is(err, c.err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			if c.err == nil {
				contents(t, b.Bytes())
			}
		})
	}
}

// shrinking cuts a file off as soon as its header was written.
type shrinking struct {
	bytes.Buffer
	path string
}

func (s *shrinking) Write(b []byte) (int, error) {
	_ = unix.Truncate(s.path, 10)
	return s.Buffer.Write(b)
}

func TestFileShrinksWhileRead(t *testing.T) {
	dir := t.TempDir()
	f := filepath.Join(dir, "f")
	must(t, os.WriteFile(f, make([]byte, 1<<20), 0o600))
	changes, err := Upper(open(t, dir), nil, Options{})
	must(t, err)
	err = Write(&shrinking{path: f}, open(t, dir), changes, Options{})
	want := "cannot write f to a layer: 10 of 1048576 bytes: changed while it was read (hint: stop or pause the container)"
	if !errors.Is(err, ErrChanged) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestRootlessOwner(t *testing.T) {
	for value, want := range map[string][3]any{
		"":                         {uint32(0), uint32(0), ""},
		"\x08\xe8\x07\x10\x05":     {uint32(1000), uint32(5), ""},
		"\x08\xff\xff\xff\xff\x0f": {uint32(1<<32 - 1), uint32(0), ""},
		"\x08\xff\xff\xff\xff\x1f": {uint32(0), uint32(0), "not a protocol buffer"},
		"\x08":                     {uint32(0), uint32(0), "not a protocol buffer"},
		"\x1a\x01":                 {uint32(0), uint32(0), "unknown field 3"},
		strings.Repeat("\xff", 20): {uint32(0), uint32(0), "not a protocol buffer"},
	} {
		uid, gid, err := rootlessOwner(value)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got := [3]any{uid, gid, text}; got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func FuzzRootlessOwner(f *testing.F) {
	f.Add("\x08\xe8\x07\x10\x05")
	f.Fuzz(func(t *testing.T, value string) {
		_, _, _ = rootlessOwner(value) // must end
	})
}
