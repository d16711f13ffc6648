// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"path"
	"sort"
	"strings"
	"testing"
)

const root = "../.."

func TestSourceFollowsTheRules(t *testing.T) {
	source, err := readTree(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(source.goes) < 10 {
		t.Fatalf("found %d Go files below %s: this looks at the wrong place", len(source.goes), root)
	}
	for name, check := range checks {
		t.Run(name, func(t *testing.T) { show(t, check(source)) })
	}
}

func TestNoForbiddenChainOfImports(t *testing.T) {
	g, err := listGraph(root)
	if err != nil {
		t.Fatal(err)
	}
	show(t, checkReach(g))
}

var checks = map[string]func(*tree) []violation{
	"imports":      checkImports,
	"files":        checkFiles,
	"declarations": checkDeclarations,
	"calls":        checkCalls,
	"layout":       checkLayout,
	"hints":        checkHints,
}

func show(t *testing.T, found []violation) {
	t.Helper()
	sort.Slice(found, func(i, j int) bool { return found[i].where < found[j].where })
	for _, v := range found {
		t.Error(v)
	}
}

// broken are small trees that each break one rule: a check that cannot fail
// checks nothing. The violation must name the place and contain the words.
var broken = []struct {
	name, check string
	files       map[string]string
	want        string
}{
	{"plan imports the lifecycle", "imports",
		goFile("libcontainer/plan/x.go", `import _ "berth/libcontainer"`),
		"libcontainer/plan/x.go:5: libcontainer/plan must not import berth/libcontainer"},
	{"config imports plan", "imports",
		goFile("libcontainer/config/x.go", `import _ "berth/libcontainer/plan"`), "must not import berth/libcontainer/plan"},
	{"subsystem imports its sibling", "imports",
		goFile("libcontainer/hook/x.go", `import _ "berth/libcontainer/cgroup"`), "must not import berth/libcontainer/cgroup"},
	{"leaf imports libcontainer", "imports",
		goFile("internal/procfs/x.go", `import _ "berth/libcontainer/config"`), "must not import berth/libcontainer/config"},
	{"specconv imports the runtime", "imports",
		goFile("specconv/x.go", `import _ "berth/libcontainer/boot"`), "must not import berth/libcontainer/boot"},
	{"code imports tests", "imports",
		goFile("cmd/berth/x.go", `import _ "berth/tests/rig"`), "must not import berth/tests/rig"},
	{"example uses internal", "imports",
		goFile("examples/embed/x.go", `import _ "berth/internal/procfs"`), "must not import berth/internal/procfs"},
	{"package in no layer", "imports", goFile("pkg/x.go", ""), "is in no layer"},
	{"cgo elsewhere", "imports", goFile("libcontainer/boot/x.go", `import "C"`), "must not import C"},
	{"dbus outside the systemd driver", "imports",
		goFile("libcontainer/cgroup/fs2/x.go", `import _ "github.com/godbus/dbus/v5"`), "must not import github.com/godbus/dbus/v5"},
	{"parser starts programs", "imports", goFile("specconv/x.go", `import _ "os/exec"`), "must not import os/exec"},
	{"old log package", "imports", goFile("shim/supervise/x.go", `import _ "log"`), "must not import log"},

	{"long file", "files", goFile("shim/oom/x.go", strings.Repeat("\n", maxFile)), "lines, more than 500"},
	{"package called utils", "files", goFile("internal/utils/x.go", ""), `is called "utils"`},
	{"file called helpers", "files", goFile("shim/oom/helpers.go", ""), `is called "helpers"`},
	{"package called types", "files", map[string]string{"shim/x.go": header + "package types\n"}, `package called "types"`},
	{"no licence line", "files", map[string]string{"shim/x.go": "package shim\n"}, "has no SPDX"},
	{"no licence line in a script", "files", map[string]string{"tests/x.sh": "#!/bin/sh\nexit\n"}, "has no SPDX"},

	{"long function", "declarations", goFile("shim/x.go", "func f() {"+strings.Repeat("\n", maxFunction)+"}"), "f has 101 lines"},
	{"init function", "declarations", goFile("shim/x.go", "func init() {}"), "has an init function"},
	{"init function that does more", "declarations",
		goFile("shim/x.go", "import \"runtime\"\nfunc init() { runtime.LockOSThread(); f() }\nfunc f() {}"), "has an init function"},
	{"unsafe in an ordinary file", "declarations", goFile("shim/x.go", `import _ "unsafe"`), "imports unsafe"},
	{"unsafe in an ordinary test", "declarations", goFile("shim/x_test.go", `import _ "unsafe"`), "imports unsafe"},
	{"linkname", "declarations", goFile("shim/x.go", "//go:linkname f runtime.f\nfunc f()"), "uses linkname"},
	{"exported function without comment", "declarations", goFile("shim/x.go", "func F() {}"), "exported F has no comment"},
	{"exported type with a comment about something else", "declarations",
		goFile("shim/x.go", "// This is it.\ntype T int"), "exported T has no comment"},
	{"package without comment", "declarations", map[string]string{"shim/x.go": header + "package shim\n"}, "package has no comment"},

	{"following links in a root file system", "calls",
		goFile("libcontainer/x.go", "import \"os\"\nfunc f() { os.MkdirAll(\"x\", 0o755) }"), "libcontainer calls os.MkdirAll"},
	{"raw call under another name", "calls",
		goFile("image/x.go", "import sys \"golang.org/x/sys/unix\"\nfunc f() { sys.Mknod(\"x\", 0, 0) }"), "image calls unix.Mknod"},
	{"creating without O_EXCL", "calls",
		goFile("shim/x.go", "import \"os\"\nfunc f() { os.OpenFile(\"x\", os.O_CREATE|os.O_WRONLY, 0) }"), "shim calls os.OpenFile"},
	{"library exits", "calls", goFile("internal/x/x.go", "import \"os\"\nfunc f() { os.Exit(1) }"), "calls os.Exit"},
	{"library prints", "calls", goFile("internal/x/x.go", "import \"fmt\"\nfunc f() { fmt.Println() }"), "calls fmt.Println"},
	{"library panics on input", "calls", goFile("internal/x/x.go", "func f() { panic(\"bad input\") }"), "panics without"},

	{"unknown top level", "layout", goFile("pkg/x/x.go", ""), "pkg/: is not in the layout"},
	{"missing licence", "layout", goFile("shim/x.go", ""), "LICENSE: is missing"},
	{"module without reason", "layout",
		map[string]string{"go.mod": "module berth\n\nrequire (\n\tgolang.org/x/sys v0.1.0\n\texample.org/b v1.0.0 // indirect\n)\n"},
		"golang.org/x/sys has no row"},
	{"reason without module", "layout", map[string]string{"ARCHITECTURE.md": "| `example.org/a` | none |\n"}, "names example.org/a, which go.mod does not"},
	{"hint without a paragraph", "hints", goFile("shim/x.go", `var err = errors.New("no (hint: try " + what + " or %s)")`), "the hint `try … or …` has no paragraph"},
	{"hint after a semicolon", "hints", goFile("shim/x.go", `var err = errors.New("no; hint: try again")`), "the hint `try again` has no paragraph"},
	{"hint in a table", "hints", goFile("shim/x.go", `var hints = []struct{ n int; text string }{{1, why}}`+"\nconst why = \"because\""), "the hint `because`"},
	{"hint that is returned", "hints", goFile("shim/x.go", `func advise() (err error, hint string) { return nil, "ask" }`), "the hint `ask`"},
	{"paragraph without a hint", "hints", map[string]string{troubleshooting: "- **`go on`**: there.\n"}, "for `go on`, which no error says"},

	{"map names what is gone", "layout", map[string]string{"ARCHITECTURE.md": "see `shim/gone.go`\n"}, "names shim/gone.go, which is not there"},
}

const header = "// SPDX-License-Identifier: Apache-2.0\n\n"

// goFile is a tree of one well-formed Go file with the given body.
func goFile(name, body string) map[string]string {
	pkg := path.Base(path.Dir(name))
	return map[string]string{name: header + "// Package " + pkg + " is a fixture.\npackage " + pkg + "\n" + body + "\n"}
}

func TestEachRuleCanFail(t *testing.T) {
	for _, c := range broken {
		t.Run(c.name, func(t *testing.T) {
			fixture, err := newTree(c.files)
			if err != nil {
				t.Fatal(err)
			}
			found := checks[c.check](fixture)
			for _, v := range found {
				if strings.Contains(v.String(), c.want) {
					return
				}
			}
			t.Errorf("found %v, want a violation with %q", found, c.want)
		})
	}
}

// allowed are trees that look like the broken ones and break nothing.
var allowed = []struct {
	name  string
	files map[string]string
}{
	{"lifecycle imports a subsystem", goFile("libcontainer/x.go", `import _ "berth/libcontainer/cgroup"`)},
	{"cgo for seccomp", goFile("libcontainer/seccomp/x.go", `import "C"`)},
	{"slog is not log", goFile("shim/x.go", `import _ "log/slog"`)},
	{"test prepares with a neighbour", goFile("libcontainer/hook/x_test.go", `import _ "berth/libcontainer/cgroup"`)},
	{"unsafe where it belongs", goFile("libcontainer/boot/x_unsafe.go", `import _ "unsafe"`)},
	{"unsafe in the test of it", goFile("libcontainer/boot/x_unsafe_test.go", `import _ "unsafe"`)},
	{"state root is ours", goFile("libcontainer/state/x.go", "import \"os\"\nfunc f() { os.RemoveAll(\"x\") }")},
	{"created exclusively", goFile("shim/x.go", "import \"os\"\nfunc f() { os.OpenFile(\"x\", os.O_CREATE|os.O_EXCL, 0) }")},
	{"panic about a bug", goFile("shim/x.go", "func f() { panic(\"BUG: no state\") }")},
	{"method called init", goFile("shim/x.go", "type t int\nfunc (t) init() {}")},
	{"init that keeps main on its thread", goFile("shim/x.go", "import \"runtime\"\nfunc init() { runtime.LockOSThread() }")},
	{"long function in a test", goFile("shim/x_test.go", "func f() {"+strings.Repeat("\n", maxFunction)+"}")},
}

func TestWhatLooksAlikeIsAllowed(t *testing.T) {
	for _, c := range allowed {
		t.Run(c.name, func(t *testing.T) {
			fixture, err := newTree(c.files)
			if err != nil {
				t.Fatal(err)
			}
			for name, check := range checks {
				if name != "layout" {
					show(t, check(fixture))
				}
			}
		})
	}
}

func TestChainIsShown(t *testing.T) {
	g := graph{
		"berth/specconv":           {"fmt", "berth/internal/a"},
		"berth/internal/a":         {"berth/internal/b", "berth/internal/c"},
		"berth/internal/b":         {"fmt"},
		"berth/internal/c":         {"berth/libcontainer/boot"},
		"berth/libcontainer/boot":  {"fmt"},
		"berth/libcontainer/other": {"fmt"},
	}
	got := fmt.Sprint(g.chain("berth/specconv", "berth/libcontainer/boot"))
	if want := "[berth/specconv berth/internal/a berth/internal/c berth/libcontainer/boot]"; got != want {
		t.Errorf("chain = %s, want %s", got, want)
	}
	found := checkReach(g)
	if len(found) == 0 || !strings.Contains(fmt.Sprint(found), "→ berth/internal/c\n\t  → berth/libcontainer/boot") {
		t.Errorf("found %v, want the chain through berth/internal/c", found)
	}
	if chain := g.chain("berth/internal/b", "berth/libcontainer"); chain != nil {
		t.Errorf("chain = %v, want none", chain)
	}
}
