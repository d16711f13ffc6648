// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The image below: two layers, of which the upper one has a whiteout, an opaque
// directory, and another version of a file.
const (
	lowest = `
		write etc/passwd root
		write etc/shadow secret
		chmod etc/shadow 0600
		write etc/gone x
		write etc/old/a 1
		write etc/old/b/c 2
		write usr/bin/ls binary
		chmod usr/bin/ls 04755
		xattr usr/bin/ls user.origin below
		write usr/lib/x/one 1
		write usr/lib/x/two 2
		write usr/lib/y/three 3
		symlink lib usr/lib
		write var/log/a log
		write var/linked/a same
		ln var/linked/b var/linked/a
		mkdir empty
		mkdir tmp
		chmod tmp 01777
		fifo run.fifo
		mknod null 020666 1 3
		mkdir proc
	`
	second = `
		mkdir etc
		mknod etc/gone 020000 0 0
		write etc/passwd root+user
		write etc/second 2
		mkdir usr/lib/y
		xattr usr/lib/y trusted.overlay.opaque y
		write usr/lib/y/four 4
	`
)

// scenarios are what a container does, and the names that a layer then has.
var scenarios = []struct{ name, script, want string }{
	{"nothing", ``, ``},
	{"create", `write etc/new x`, "M etc,A etc/new"},
	{"create below new directories", `write opt/a/b/c x`, "A opt,A opt/a,A opt/a/b,A opt/a/b/c"},
	{"modify", `write etc/passwd other`, "P etc,M etc/passwd"},
	{"modify the lowest", `write usr/lib/x/one one`, "P usr,P usr/lib,P usr/lib/x,M usr/lib/x/one"},
	{"same size", `write etc/second 3`, "P etc,M etc/second"},
	{"other contents of the same size and time", "write etc/second 3\n old etc/second", "P etc,M etc/second"},
	{"the same contents and time", "write etc/passwd other\n write etc/passwd root+user\n old etc/passwd", ""},
	{"the same contents", "write etc/passwd root+user", "P etc,M etc/passwd"},
	{"chmod", `chmod etc/passwd 0600`, "P etc,M etc/passwd"},
	{"chmod there and back", "chmod etc/passwd 0600\n chmod etc/passwd 0644", ""},
	{"chmod a directory", `chmod usr/lib/x 0700`, "P usr,P usr/lib,M usr/lib/x"},
	{"chown", `chown etc/shadow 1000 4000000000`, "P etc,M etc/shadow"},
	{"chown to the same owner", `chown etc/shadow 0 0`, ""},
	{"chown a link", `chown lib 5 6`, "M lib"},
	{"touch", `touch var/log/a 900000000`, "P var,P var/log,M var/log/a"},
	{"touch a directory", `touch var/log 900000000`, "P var,M var/log"},
	{"touch before 1970", `touch var/log/a -5`, "P var,P var/log,M var/log/a"},
	{"touch the root directory", "chmod . 0750\n touch . 5", "M /"},
	{"rename", `mv etc/passwd etc/passwd-`, "M etc,D etc/passwd,A etc/passwd-"},
	{"rename over another", `mv etc/passwd etc/shadow`, "M etc,D etc/passwd,M etc/shadow"},
	{"rename a directory", `mv usr/lib/x opt`, "A opt,A opt/one,A opt/two,P usr,M usr/lib,D usr/lib/x"},
	{"rename a new directory", "write new/a 1\n mv new newer", "A newer,A newer/a"},
	{"delete", `rm etc/passwd`, "M etc,D etc/passwd"},
	{"delete a directory", `rm etc/old`, "M etc,D etc/old"},
	{"delete what the second layer has alone", `rm etc/second`, "M etc,D etc/second"},
	{"delete at the root", "rm lib\n rm tmp", "D lib,D tmp"},
	{"delete and create", "rm etc/passwd\n write etc/passwd root+user", "M etc,M etc/passwd"},
	{"delete and create the same", "rm etc/second\n write etc/second 2\n touch etc/second 1\n touch etc 2", "M etc,M etc/second"},
	{"create and delete", "write etc/new 1\n rm etc/new", "M etc"},
	{"delete and create a directory", "rm etc/old\n write etc/old/new x", "M etc,M etc/old,D etc/old/a,D etc/old/b,A etc/old/new"},
	{"delete and create a directory with one below", "rm etc/old\n write etc/old/b/new x",
		"M etc,M etc/old,D etc/old/a,M etc/old/b,D etc/old/b/c,A etc/old/b/new"},
	{"delete and create an opaque directory", "rm usr/lib/y\n mkdir usr/lib/y", "P usr,M usr/lib,M usr/lib/y,D usr/lib/y/four"},
	{"directory becomes a file", "rm etc/old\n write etc/old file", "M etc,M etc/old"},
	{"file becomes a directory", "rm etc/passwd\n write etc/passwd/x 1", "M etc,M etc/passwd,A etc/passwd/x"},
	{"link becomes a directory", "rm lib\n write lib/x 1", "M lib,A lib/x"},
	{"directory becomes a link", "rm usr/lib\n symlink usr/lib ../lib", "M usr,M usr/lib"},
	{"link to another target", "rm lib\n symlink lib usr", "M lib"},
	{"hard links", "write a/1 x\n ln a/2 a/1\n ln b a/1\n chmod b 0400", "A a,A a/1,A a/2,A b"},
	{"hard link to what is below", "ln etc/zz etc/second\n touch etc 3", "M etc,M etc/second,A etc/zz"},
	{"one of two names goes", "rm var/linked/a", "P var,M var/linked,D var/linked/a"},
	{"hard linked links and fifos", "symlink s t\n ln s2 s\n fifo p\n ln p2 p", "A p,A p2,A s,A s2"},
	{"devices and fifos", "mknod dev.c 020640 4 64\n mknod dev.b 060600 259 70000\n fifo f\n rm null\n mknod null 020666 1 5",
		"A dev.b,A dev.c,A f,M null"},
	{"sockets", "socket etc/s\n rm etc/shadow\n socket etc/shadow\n touch etc 3", "M etc,D etc/shadow"},
	{"xattrs", "xattr etc/passwd user.a b\\x00\\xff\n xattr etc/old trusted.mine 1\n rmxattr usr/bin/ls user.origin",
		"P etc,M etc/old,M etc/passwd,P usr,P usr/bin,M usr/bin/ls"},
	{"xattrs there and back", "xattr usr/bin/ls user.origin above\n xattr usr/bin/ls user.origin below", ""},
	{"file capabilities", "xattr usr/bin/ls security.capability \\x01\\x00\\x00\\x02\\x00\\x20\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00",
		"P usr,P usr/bin,M usr/bin/ls"},
	{"odd names", "write \\xff\\xfe\\n 1\n write a.b 1\n write a/c 1\n write .whx 1\n write \\\"\\\\ 1\n rm etc/passwd\n write etc/pässwd x",
		`A "\"\\",A .whx,A a,A a/c,A a.b,M etc,D etc/passwd,A etc/pässwd,A "\xff\xfe\n"`},
	{"long names", "write " + strings.Repeat("n", 255) + "/" + strings.Repeat("m", 255) + "/x 1\n symlink l " + strings.Repeat("t", 4000),
		"A l,A " + strings.Repeat("n", 255) + ",A " + strings.Repeat("n", 255) + "/" + strings.Repeat("m", 255) + ",A " + strings.Repeat("n", 255) + "/" + strings.Repeat("m", 255) + "/x"},
	{"setuid and sticky", "chmod usr/bin/ls 06711\n chmod tmp 0777", "M tmp,P usr,P usr/bin,M usr/bin/ls"},
	{"all at once", "rm etc\n write etc/passwd x\n rm usr/lib/y\n mv usr/lib/x usr/lib/y\n write var/log/b 1\n rm var/log/a",
		"M etc,D etc/old,D etc/second,D etc/shadow,M etc/passwd,P usr,M usr/lib,D usr/lib/x,P usr/lib/y,D usr/lib/y/four,A usr/lib/y/one,A usr/lib/y/two,P var,M var/log,D var/log/a,A var/log/b"},
}

// TestScenarios does the same to an overlay and to a plain copy. Both must give
// the same layer, and the layer, applied to the image, what the container saw.
func TestScenarios(t *testing.T) {
	for _, c := range scenarios {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			do(t, r.merged, c.script)
			do(t, r.plain, c.script)
			fromUpper, fromTree := r.changes(t, Options{})
			want := strings.ReplaceAll(c.want, ",", "\n")
			if want != "" {
				want += "\n"
			}
			if got := lines(fromUpper); got != want {
				t.Errorf("Upper:\n%swant\n%s", got, want)
			}
			if got := lines(fromTree); got != want {
				t.Errorf("Tree:\n%swant\n%s", got, want)
			}
			epoch := Options{Epoch: new(time.Time)}
			*epoch.Epoch = time.Unix(1_500_000_000, 0)
			a, b := pack(t, r.upper, fromUpper, epoch), pack(t, open(t, r.plain), fromTree, epoch)
			if x, y := contents(t, a), contents(t, b); !slices.Equal(x, y) {
				t.Errorf("of the overlay\n%s\nof the copy\n%s", strings.Join(x, "\n"), strings.Join(y, "\n"))
			}
			if !bytes.Equal(a, b) {
				t.Error("the same changes gave other bytes")
			}
			r.roundTrip(t, "overlay", pack(t, r.upper, fromUpper, Options{}), r.merged)
			r.roundTrip(t, "copy", pack(t, open(t, r.plain), fromTree, Options{}), r.plain)
		})
	}
}

// rig is an image, mounted and copied.
type rig struct {
	dir      string
	merged   string // the overlay
	base     string // a copy that stays as it is
	plain    string // a copy to be changed
	upper    *os.File
	lowers   []*os.File
	manifest []byte // of plain
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{dir: private(t)}
	one, two := mkdir(t, filepath.Join(r.dir, "1")), mkdir(t, filepath.Join(r.dir, "2"))
	do(t, one, lowest)
	do(t, two, second)
	age(t, one)
	age(t, two)
	r.merged, r.upper, r.lowers = mount(t, r.dir, []string{two, one})
	r.base, r.plain = filepath.Join(r.dir, "base"), filepath.Join(r.dir, "plain")
	run(t, "cp", "-a", r.merged, r.base)
	run(t, "cp", "-a", r.merged, r.plain)
	var b bytes.Buffer
	must(t, WriteManifest(&b, Walk(open(t, r.plain), Options{Paranoid: true})))
	r.manifest = b.Bytes()
	return r
}

func (r *rig) changes(t testing.TB, o Options) (fromUpper, fromTree []Change) {
	t.Helper()
	fromUpper, err := Upper(r.upper, r.lowers, o)
	if err != nil {
		t.Fatalf("Upper: %v", err)
	}
	fromTree, err = Tree(open(t, r.plain), ReadManifest(bytes.NewReader(r.manifest)), o)
	if err != nil {
		t.Fatalf("Tree: %v", err)
	}
	return fromUpper, fromTree
}

// roundTrip applies a layer to a copy of the image, which must then be as want.
func (r *rig) roundTrip(t testing.TB, what string, layer []byte, want string) {
	t.Helper()
	again := filepath.Join(r.dir, "again."+what)
	run(t, "cp", "-a", r.base, again)
	apply(t, layer, again)
	got, all := state(t, again), state(t, want)
	for name, line := range all {
		if strings.HasPrefix(line, "014") { // sockets
			delete(all, name)
		}
	}
	sameState(t, what, got, all)
}
