// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
)

// hostile are the packages whose paths may lead into a root file system that
// somebody else wrote and may be changing right now.
var hostile = []string{"specconv", "libcontainer", "shim", "image"}

// rawCalls follow symbolic links on the way, by design. Below a root file
// system everything goes through internal/inroot or the boot image instead.
var rawCalls = map[string][]string{
	"os": {"Create", "Mkdir", "MkdirAll", "RemoveAll", "WriteFile", "Symlink", "Link", "Rename", "Chmod", "Chown", "Lchown", "Truncate", "Chtimes"},
	"golang.org/x/sys/unix": {"Creat", "Mkdir", "Mknod", "Mkfifo", "Symlink", "Link", "Rename", "Unlink", "Rmdir", "Chmod", "Chown", "Lchown",
		"Truncate", "Mount", "Setxattr", "Chroot"},
	"syscall": {"Creat", "Mkdir", "Mknod", "Mkfifo", "Symlink", "Link", "Rename", "Unlink", "Rmdir", "Chmod", "Chown", "Lchown", "Truncate", "Mount", "Chroot"},
}

// allowance lets a file or directory make raw calls on paths that no container
// can touch.
type allowance struct {
	place string
	calls []string
	why   string
}

var allowances = []allowance{
	{"libcontainer/create.go", []string{"unix.Mkfifo"}, "exec.fifo in the state root, which is ours alone"},
	{"libcontainer/start.go", []string{"unix.Unlink"}, "exec.fifo in the state root, which is ours alone"},
	{"libcontainer/state", []string{"os.MkdirAll", "os.Mkdir", "os.RemoveAll", "os.Rename", "os.Chmod", "unix.Mkfifo", "unix.Rmdir", "unix.Unlink"},
		"the state root is ours alone, mode 0700"},
	{"libcontainer/cgroup", []string{"unix.Mkdir", "unix.Rmdir"},
		"cgroupfs holds no symbolic links below a hierarchy's root, and nobody can make one there"},
	{"image/layer/child.go", []string{"unix.Chroot"}, "the applier's own root becomes the directory it works on, by descriptor"},
	{"image/overlay/overlay.go", []string{"unix.Mount"}, "an overlay at a descriptor of the bundle's rootfs, which is empty"},
	{"image/network/lease.go", []string{"os.MkdirAll"}, "below /run, root's alone"},
	{"image/network/namespace.go", []string{"os.MkdirAll", "unix.Mount"}, "names in /run/netns, as ip-netns(8) makes them"},
	{"image/userns/run.go", []string{"unix.Mount"}, "changes propagation at the root of a namespace of our own, and mounts nothing"},
	{"image/run.go", []string{"os.MkdirAll"}, "a directory of the store, which is ours alone"},
	{"image/workplace.go", []string{"unix.Rename"}, "a bundle gets its name, beside that: a place that the user gave"},
	{"shim/conmon", []string{"unix.Unlink", "unix.Mkfifo", "os.Mkdir"}, "names in the bundle that the engine gives us, made before the container is"},
	{"shim/conmon/program.go", []string{"os.WriteFile"}, "/proc/self"},
	{"shim/ociruntime/console.go", []string{"os.RemoveAll"}, "a directory that it has just made for itself, mode 0700"},
	{"shim/stdio/sinks.go", []string{"os.MkdirAll", "os.OpenFile"}, "a log file where the engine says; no container has a part in its path"},
	{"shim/taskapi/idmap.go", []string{"os.Mkdir"}, "beside rootfs of the bundle, as in mount.go"},
	{"shim/taskapi/mount.go", []string{"os.Mkdir", "unix.Mount"}, "rootfs of the bundle, before there is a container: its directory is the engine's"},
	{"shim/taskapi/shimcgroup.go", []string{"os.MkdirAll", "os.WriteFile"}, "cgroupfs, see libcontainer/cgroup"},
	{"shim/taskapi/socket.go", []string{"os.MkdirAll"}, "the directory of sockets, below /run"},
	{"shim/taskapi/start.go", []string{"os.WriteFile"}, "/proc/self"},
}

const rawWhy = "a path in a root file system may lead anywhere when it is followed; " +
	"use internal/inroot or an operation of the boot image, or add the place to internal/archtest/calls.go with its reason"

// checkCalls finds raw file calls in packages that meet root file systems, and
// libraries that print, exit or panic.
func checkCalls(t *tree) []violation {
	var found []violation
	for _, name := range t.names() {
		if isTest(name) {
			continue
		}
		f := t.goes[name]
		imported := importNames(f)
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if v, bad := t.rawCall(name, call, imported); bad {
				found = append(found, v)
			}
			if v, bad := t.rudeCall(f, call, imported); bad {
				found = append(found, v)
			}
			return true
		})
	}
	return found
}

// importNames maps the names that a file knows packages by to their paths.
func importNames(f *ast.File) map[string]string {
	known := map[string]string{}
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		known[name] = p
	}
	return known
}

// callee is the import path and function name of a call of another package's
// function.
func callee(call *ast.CallExpr, imported map[string]string) (pkg, name string) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	id, ok := sel.X.(*ast.Ident)
	if !ok {
		return "", ""
	}
	return imported[id.Name], sel.Sel.Name
}

func (t *tree) rawCall(file string, call *ast.CallExpr, imported map[string]string) (violation, bool) {
	dir := path.Dir(file)
	pkg, name := callee(call, imported)
	creates := name == "OpenFile" && pkg == "os" && len(call.Args) == 3 && mentions(call.Args[1], "O_CREATE") && !mentions(call.Args[1], "O_EXCL")
	if !coversAny(hostile, dir) || !creates && !slices.Contains(rawCalls[pkg], name) {
		return violation{}, false
	}
	what := path.Base(pkg) + "." + name
	for _, a := range allowances {
		if below(file, a.place) && slices.Contains(a.calls, what) {
			return violation{}, false
		}
	}
	return violation{t.at(call), fmt.Sprintf("%s calls %s", dir, what), rawWhy}, true
}

// mentions says whether an expression names something.
func mentions(e ast.Expr, name string) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && id.Name == name {
			found = true
		}
		return !found
	})
	return found
}

// rudeCall finds what only a main package may do.
func (t *tree) rudeCall(f *ast.File, call *ast.CallExpr, imported map[string]string) (violation, bool) {
	if f.Name.Name == "main" {
		return violation{}, false
	}
	pkg, name := callee(call, imported)
	switch {
	case pkg == "os" && name == "Exit":
		return violation{t.at(call), "calls os.Exit", "a library leaves it to its caller whether the program ends"}, true
	case pkg == "fmt" && strings.HasPrefix(name, "Print"):
		return violation{t.at(call), "calls fmt." + name, "engines parse our output: only a verb writes to it"}, true
	}
	if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" && !saysBug(call) {
		return violation{t.at(call), `panics without "BUG:"`, "a panic is for a mistake of ours; input never causes one"}, true
	}
	return violation{}, false
}

// saysBug: some string literal in the call begins with BUG:.
func saysBug(call *ast.CallExpr) bool {
	found := false
	for _, arg := range call.Args {
		ast.Inspect(arg, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok {
				text, err := strconv.Unquote(lit.Value)
				found = found || err == nil && strings.HasPrefix(text, "BUG:")
			}
			return true
		})
	}
	return found
}
