// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path"
	"slices"
	"strconv"
	"strings"
)

const (
	maxFile     = 500
	maxFunction = 100
	spdx        = "SPDX-License-Identifier: Apache-2.0"
)

// Vague names say nothing about what a package or file provides.
var (
	vague        = []string{"util", "utils", "common", "helper", "helpers", "misc"}
	vaguePackage = []string{"base", "types", "shared", "lib"}
)

// checkFiles looks at names, lengths and first lines.
func checkFiles(t *tree) []violation {
	var found []violation
	add := func(where, what, why string) { found = append(found, violation{where, what, why}) }
	for _, name := range t.all() {
		if needsLicence(name) && !strings.Contains(head(t.text[name], 2), spdx) {
			add(name+":1", "has no "+spdx+" line", "each file says itself under which licence it is")
		}
		f, ok := t.goes[name]
		if !ok {
			continue
		}
		for _, part := range append(strings.Split(strings.TrimSuffix(name, ".go"), "/"), f.Name.Name) {
			if slices.Contains(vague, strings.TrimSuffix(part, "_test")) {
				add(name, fmt.Sprintf("is called %q", part), "a name says what is provided; a grab bag grows without end")
			}
		}
		if slices.Contains(vaguePackage, f.Name.Name) {
			add(name, fmt.Sprintf("is in a package called %q", f.Name.Name), "a package is named for what it provides")
		}
		if n := strings.Count(t.text[name], "\n"); n > maxFile && !isTest(name) {
			add(name, fmt.Sprintf("has %d lines, more than %d", n, maxFile), "a file is one noun of the domain; split it by what its parts are about")
		}
	}
	return found
}

// needsLicence: everything that is written by hand and can carry a comment.
func needsLicence(name string) bool {
	switch path.Ext(name) {
	case ".go", ".s", ".c", ".h", ".sh", ".bash", ".bats":
		return true
	}
	return name == "Makefile" || name == ".ci/run" || name == "Dockerfile.test"
}

// head is the beginning of a text.
func head(text string, lines int) string {
	first := strings.SplitN(text, "\n", lines+1)
	return strings.Join(first[:min(lines, len(first))], "\n")
}

// checkDeclarations looks at functions, package comments, unsafe and linkname.
func checkDeclarations(t *tree) []violation {
	var found []violation
	documented := map[string]bool{}
	first := map[string]string{}
	for _, name := range t.names() {
		f := t.goes[name]
		found = append(found, t.checkUnsafe(name, f)...)
		if isTest(name) {
			continue
		}
		dir := path.Dir(name)
		documented[dir] = documented[dir] || f.Doc != nil
		if first[dir] == "" {
			first[dir] = name
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				found = append(found, t.checkFunction(fn)...)
			}
		}
		found = append(found, t.checkExported(f)...)
	}
	for dir, name := range first {
		if !documented[dir] {
			found = append(found, violation{name, "package has no comment", "a package says what it is and what it is not"})
		}
	}
	return found
}

func (t *tree) checkUnsafe(name string, f *ast.File) []violation {
	var found []violation
	for _, spec := range f.Imports {
		stem := strings.TrimSuffix(strings.TrimSuffix(name, ".go"), "_test")
		for _, arch := range []string{"_amd64", "_arm64", "_linux"} {
			stem = strings.TrimSuffix(stem, arch)
		}
		if p, _ := strconv.Unquote(spec.Path.Value); p == "unsafe" && !strings.HasSuffix(stem, "_unsafe") {
			found = append(found, violation{t.at(spec), "imports unsafe", "unsafe is for *_unsafe.go, where a reviewer looks for it, each use with its proof"})
		}
	}
	for _, group := range f.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//go:linkname ") {
				found = append(found, violation{t.at(c), "uses linkname", "what another package does not export may change without notice"})
			}
		}
	}
	return found
}

func (t *tree) checkFunction(fn *ast.FuncDecl) []violation {
	var found []violation
	if fn.Recv == nil && fn.Name.Name == "init" && !locksThread(fn) {
		found = append(found, violation{t.at(fn), "has an init function", "it runs in each start of the program, in an order that nobody sees"})
	}
	lines := t.set.Position(fn.End()).Line - t.set.Position(fn.Pos()).Line + 1
	if lines > maxFunction {
		found = append(found, violation{t.at(fn), fmt.Sprintf("%s has %d lines, more than %d", fn.Name.Name, lines, maxFunction),
			"the long function is the one that nobody dares to change"})
	}
	return found
}

// locksThread says whether a function does nothing but keep its goroutine on its
// thread: there is no other way to keep main on the main thread.
func locksThread(fn *ast.FuncDecl) bool {
	if len(fn.Body.List) != 1 {
		return false
	}
	statement, ok := fn.Body.List[0].(*ast.ExprStmt)
	return ok && types.ExprString(statement.X) == "runtime.LockOSThread()"
}

// checkExported: exported functions and types say what they are.
func (t *tree) checkExported(f *ast.File) []violation {
	var found []violation
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Recv == nil && !names(d.Doc, d.Name) {
				found = append(found, undocumented(t, d.Name))
			}
		case *ast.GenDecl:
			if d.Tok != token.TYPE {
				continue
			}
			for _, s := range d.Specs {
				spec := s.(*ast.TypeSpec)
				if spec.Name.IsExported() && !names(spec.Doc, spec.Name) && !names(d.Doc, spec.Name) && spec.Comment == nil && !grouped(d) {
					found = append(found, undocumented(t, spec.Name))
				}
			}
		}
	}
	return found
}

// grouped: several types in one declaration share its comment.
func grouped(d *ast.GenDecl) bool { return d.Lparen.IsValid() && d.Doc != nil }

// names says whether the comment begins with the name it is about.
func names(doc *ast.CommentGroup, id *ast.Ident) bool {
	if doc == nil {
		return false
	}
	words := strings.Fields(doc.Text())
	at := 0
	if len(words) > 1 && slices.Contains([]string{"A", "An", "The"}, words[0]) {
		at = 1
	}
	if len(words) <= at {
		return false
	}
	rest, ok := strings.CutPrefix(words[at], id.Name)
	return ok && (rest == "" || !token.IsIdentifier(rest))
}

func undocumented(t *tree, id *ast.Ident) violation {
	return violation{t.at(id), "exported " + id.Name + " has no comment that begins with its name", "the reader of a package sees its exported names first"}
}
