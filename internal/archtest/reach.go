// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// graph is who imports whom, over all packages that the module is built from.
type graph map[string][]string

// reach says that a package must not depend on another one, through whatever
// packages. Both are import paths and cover what lies below them.
type reach struct{ from, to, why string }

var reaches = []reach{
	{"berth/cmd/berth", "net/http", "it costs start-up time in each verb, and a runtime speaks to nobody"},
	{"berth/cmd/berth", "crypto/tls", "it costs start-up time in each verb, and a runtime speaks to nobody"},
	{"berth/cmd/berth", "text/template", "it switches the linker's dead code elimination off"},
	{"berth/cmd/berth", "html/template", "it switches the linker's dead code elimination off"},
	{"berth/cmd/berth", "github.com/stretchr/testify", "a test library does not belong into a program"},
	{"berth/cmd/berth", "testing", "a test library does not belong into a program"},
	{"berth/cmd/berth", "berth/tests", "tests look at the code, never the other way"},
	{"berth/cmd/berth", "berth/image", "a runtime ends at the bundle, images are another program"},
	{"berth/libcontainer", "berth/specconv", "the lifecycle takes resolved values, so that any program can embed it"},
	{"berth/libcontainer", "github.com/urfave/cli", "a library does not parse command lines"},
	{"berth/libcontainer/plan", "os/exec", "planning is pure; a program is started by the lifecycle"},
	{"berth/libcontainer/boot", "encoding/json", "the boot image's maker knows bytes, so that it can be audited alone"},
	{"berth/libcontainer/config", "golang.org/x/sys", "config is plain values; what they mean to the kernel is decided by plan"},
	{"berth/specconv", "berth/libcontainer/boot", "parsing config.json must not be able to start anything"},
	{"berth/internal", "berth/libcontainer", "leaves know nothing of containers"},
	{"berth/image", "berth/libcontainer", "images end at a bundle"},
}

// listGraph asks the go command for the graph of the module in dir.
func listGraph(dir string) (graph, error) {
	cmd := exec.Command("go", "list", "-deps", "-tags", "netgo,osusergo,urfave_cli_no_template", "-json=ImportPath,Imports", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot list packages: %w\n%s", err, stderr.Bytes())
	}
	return readGraph(bytes.NewReader(out))
}

func readGraph(in io.Reader) (graph, error) {
	g := graph{}
	for dec := json.NewDecoder(in); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return g, nil
		case err != nil:
			return nil, fmt.Errorf("cannot read the list of packages: %w", err)
		}
		g[p.ImportPath] = p.Imports
	}
}

// checkReach finds the shortest chain for each pair that must not be connected.
func checkReach(g graph) []violation {
	var found []violation
	for _, r := range reaches {
		for from := range g {
			if !below(from, r.from) {
				continue
			}
			if chain := g.chain(from, r.to); chain != nil {
				found = append(found, violation{from, "depends on " + r.to + ":\n\t  " + strings.Join(chain, "\n\t  → "), r.why})
			}
		}
	}
	return found
}

// chain is a shortest way from a package to one that is to or lies below it.
func (g graph) chain(from, to string) []string {
	cameFrom := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if below(at, to) && at != from {
			var chain []string
			for ; at != ""; at = cameFrom[at] {
				chain = append([]string{at}, chain...)
			}
			return chain
		}
		for _, next := range g[at] {
			if _, seen := cameFrom[next]; !seen {
				cameFrom[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}
