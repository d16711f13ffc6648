// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
)

// module is the path of the module that is checked.
const module = "berth"

// violation is one place that breaks a rule, and why the rule is there.
type violation struct{ where, what, why string }

func (v violation) String() string { return fmt.Sprintf("%s: %s\n\twhy: %s", v.where, v.what, v.why) }

// tree is the source of the module: the text of its files by slash-separated
// path, and the Go files among them parsed.
type tree struct {
	text map[string]string
	set  *token.FileSet
	goes map[string]*ast.File
}

// newTree parses what is in text. A Go file that does not parse is an error.
func newTree(text map[string]string) (*tree, error) {
	t := &tree{text: text, set: token.NewFileSet(), goes: map[string]*ast.File{}}
	for name, src := range text {
		if !strings.HasSuffix(name, ".go") {
			continue
		}
		f, err := parser.ParseFile(t.set, name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		t.goes[name] = f
	}
	return t, nil
}

// readTree reads the tree below root, without hidden directories but .ci,
// without testdata and what `make` builds.
func readTree(root string) (*tree, error) {
	text := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			return skip(rel)
		}
		if !wanted(rel) || !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(name)
		text[rel] = string(data)
		return err
	})
	if err != nil {
		return nil, err
	}
	return newTree(text)
}

func skip(dir string) error {
	base := path.Base(dir)
	switch {
	case dir == "." || dir == ".ci":
		return nil
	case strings.HasPrefix(base, "."), strings.HasPrefix(base, "_"), base == "testdata", dir == "bin", dir == "out":
		return fs.SkipDir
	}
	return nil
}

// wanted says whether a rule looks into the file.
func wanted(name string) bool {
	switch path.Ext(name) {
	case ".go", ".s", ".c", ".h", ".sh", ".bash", ".bats", ".md", ".mod":
		return true
	}
	return !strings.Contains(name, "/") || name == ".ci/run"
}

// names returns the parsed files' names in order.
func (t *tree) names() []string {
	names := make([]string, 0, len(t.goes))
	for name := range t.goes {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// all returns the names of all files in order.
func (t *tree) all() []string {
	names := make([]string, 0, len(t.text))
	for name := range t.text {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// at is file:line of a node.
func (t *tree) at(n ast.Node) string {
	p := t.set.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// isTest says whether the file is only built into tests.
func isTest(name string) bool { return strings.HasSuffix(name, "_test.go") }

// below says whether the slash-separated path p is dir or lies below it.
func below(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }
