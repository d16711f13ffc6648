// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// topFiles must be there, topDirs may be there and nothing beside them.
var (
	topFiles = []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "Dockerfile.test", "go.mod", "go.sum", ".ci/run"}
	topDirs  = []string{".ci", "cmd", "specconv", "libcontainer", "shim", "image", "internal", "tests", "integration", "docs", "examples", "packaging"}
)

// checkLayout looks at the top level, and at what ARCHITECTURE.md says of it.
func checkLayout(t *tree) []violation {
	var found []violation
	for _, name := range topFiles {
		if _, ok := t.text[name]; !ok {
			found = append(found, violation{name, "is missing", "people look for it there"})
		}
	}
	seen := map[string]bool{}
	for _, name := range t.all() {
		top, _, nested := strings.Cut(name, "/")
		if nested && !slices.Contains(topDirs, top) && !seen[top] {
			seen[top] = true
			found = append(found, violation{top + "/", "is not in the layout", "the top level is the map of the project: add it to ARCHITECTURE.md and internal/archtest/layout.go"})
		}
	}
	found = append(found, t.checkModules()...)
	return append(found, t.checkNamedPaths()...)
}

var (
	required   = regexp.MustCompile(`(?m)^(?:require)?\s+([a-z0-9.-]+\.[a-z]+/\S+) v\S+$`)
	modulesRow = regexp.MustCompile("(?m)^\\| `([a-z0-9.-]+\\.[a-z]+/[^` ]+)` \\|")
	codeSpan   = regexp.MustCompile("`([a-zA-Z0-9_./-]+)`")
)

// checkModules: each module that we require ourselves has its reason in the
// table of ARCHITECTURE.md, and each one there is required.
func (t *tree) checkModules() []violation {
	var found []violation
	direct := submatches(required, t.text["go.mod"])
	reasons := submatches(modulesRow, t.text["ARCHITECTURE.md"])
	for _, m := range direct {
		if !slices.Contains(reasons, m) {
			found = append(found, violation{"go.mod", fmt.Sprintf("%s has no row in ARCHITECTURE.md", m), "a dependency that nobody can give a reason for is one too many"})
		}
	}
	for _, m := range reasons {
		if !strings.Contains(t.text["go.mod"], m+" v") {
			found = append(found, violation{"ARCHITECTURE.md", fmt.Sprintf("names %s, which go.mod does not", m), "a page that names something gone misleads"})
		}
	}
	return found
}

// checkNamedPaths: what ARCHITECTURE.md names as a path of ours exists.
func (t *tree) checkNamedPaths() []violation {
	var found []violation
	for _, p := range submatches(codeSpan, t.text["ARCHITECTURE.md"]) {
		top, _, nested := strings.Cut(p, "/")
		if !nested || !slices.Contains(topDirs, top) || t.exists(path.Clean(p)) {
			continue
		}
		found = append(found, violation{"ARCHITECTURE.md", fmt.Sprintf("names %s, which is not there", p), "a page that names something gone misleads"})
	}
	return found
}

func (t *tree) exists(p string) bool {
	for name := range t.text {
		if below(name, p) {
			return true
		}
	}
	return false
}

func submatches(re *regexp.Regexp, text string) []string {
	var found []string
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}
