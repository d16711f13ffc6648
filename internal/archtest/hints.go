// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// troubleshooting has a paragraph for each hint.
const troubleshooting = "docs/troubleshooting.md"

var (
	spokenHint     = regexp.MustCompile(`(?s)(?:\(|; |^)hint: (.+)$`)
	verb           = regexp.MustCompile(`%(?:\[\d+\])?[a-z]`)
	documentedHint = regexp.MustCompile("(?m)^- \\*\\*`(.+?)`\\*\\*")
)

// checkHints compares the hints of errors with the paragraphs about them. What a
// hint has from elsewhere is "…" there.
func checkHints(t *tree) []violation {
	var found []violation
	documented := submatches(documentedHint, t.text[troubleshooting])
	var spoken []string
	for _, name := range t.names() {
		if isTest(name) || below(name, "tests") || below(name, "internal") {
			continue
		}
		for where, text := range t.hints(t.goes[name]) {
			spoken = append(spoken, text)
			if !slices.Contains(documented, text) {
				found = append(found, violation{t.at(where), fmt.Sprintf("the hint `%s` has no paragraph in %s", text, troubleshooting),
					"whoever searches for the words of an error finds what it means"})
			}
		}
	}
	for _, text := range documented {
		if !slices.Contains(spoken, text) {
			found = append(found, violation{troubleshooting, fmt.Sprintf("has a paragraph for `%s`, which no error says", text), "a page that names something gone misleads"})
		}
	}
	return found
}

// hints finds them: texts that say "hint: ", and texts in what is called a hint: a
// table's last column, what a function returns, what a field is set to.
func (t *tree) hints(f *ast.File) map[ast.Node]string {
	constants := constantsOf(f)
	found := map[ast.Node]string{}
	say := func(e ast.Expr) {
		if text, ok := constants.text(e); ok && text != "" && text != "…" && !strings.Contains(text, "hint: ") {
			found[e] = text
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			for _, e := range hintResults(n) {
				say(e)
			}
		case *ast.ValueSpec:
			if isHint(n.Names[0].Name) {
				for _, e := range lastColumn(n) {
					say(e)
				}
			}
		case *ast.AssignStmt:
			if sel, ok := n.Lhs[0].(*ast.SelectorExpr); ok && isHint(sel.Sel.Name) {
				say(n.Rhs[0])
			}
		case ast.Expr:
			text, ok := constants.text(n)
			if !ok {
				return true
			}
			if m := spokenHint.FindStringSubmatch(text); m != nil && m[1] != "…" {
				hint := strings.TrimSuffix(m[1], ")")
				if hint != "…" {
					found[n] = hint
				}
			}
			return false
		}
		return true
	})
	return found
}

func isHint(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, "hint") || name == "hints"
}

// hintResults are the expressions that a function returns for a result called
// hint, or for its only result if the function is called that.
func hintResults(fn *ast.FuncDecl) []ast.Expr {
	at := -1
	if results := fn.Type.Results; results != nil {
		if isHint(fn.Name.Name) && len(results.List) == 1 {
			at = 0
		}
		for i, r := range results.List {
			if len(r.Names) == 1 && isHint(r.Names[0].Name) {
				at = i
			}
		}
	}
	if at < 0 || fn.Body == nil {
		return nil
	}
	var list []ast.Expr
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if r, ok := n.(*ast.ReturnStmt); ok && at < len(r.Results) {
			list = append(list, r.Results[at])
		}
		return true
	})
	return list
}

// lastColumn is that of a table of structs without field names.
func lastColumn(table *ast.ValueSpec) []ast.Expr {
	var list []ast.Expr
	for _, v := range table.Values {
		rows, ok := v.(*ast.CompositeLit)
		if !ok {
			continue
		}
		for _, r := range rows.Elts {
			if row, ok := r.(*ast.CompositeLit); ok && len(row.Elts) > 0 {
				list = append(list, row.Elts[len(row.Elts)-1])
			}
		}
	}
	return list
}

// constants are a file's texts by their names.
type constants map[string]string

func constantsOf(f *ast.File) constants {
	known := constants{}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			spec := s.(*ast.ValueSpec)
			for i, name := range spec.Names {
				if i < len(spec.Values) {
					if text, ok := known.text(spec.Values[i]); ok {
						known[name.Name] = text
					}
				}
			}
		}
	}
	return known
}

// text is a literal, a constant, or a sum of at least one; what it does not know
// is "…".
func (c constants) text(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return verb.ReplaceAllString(s, "…"), e.Kind == token.STRING && err == nil
	case *ast.Ident:
		s, ok := c[e.Name]
		return s, ok
	case *ast.ParenExpr:
		return c.text(e.X)
	case *ast.BinaryExpr:
		x, okX := c.text(e.X)
		y, okY := c.text(e.Y)
		if !okX {
			x = "…"
		}
		if !okY {
			y = "…"
		}
		return x + y, e.Op == token.ADD && (okX || okY)
	}
	return "…", false
}
