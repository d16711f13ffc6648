// SPDX-License-Identifier: Apache-2.0

package image

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/internal/inroot"
)

// The exit statuses of shells and engines for a program that did not start.
const (
	StatusNotExecutable = 126
	StatusNotFound      = 127
)

// lookProgram says why the program of a bundle will not start, by the exit
// status that says so, or 0: it may. Only the runtime knows, which has the same
// status for all failures; what is mounted later is not looked at.
func lookProgram(dir string) int {
	var spec specs.Spec
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil || json.Unmarshal(data, &spec) != nil || spec.Process == nil || len(spec.Process.Args) == 0 {
		return 0
	}
	root, err := inroot.Open(filepath.Join(dir, rootfsName))
	if err != nil {
		return 0
	}
	defer root.Close() // read only
	var mounts []string
	for _, m := range spec.Mounts {
		at, _, err := root.Resolve(m.Destination)
		if err != nil {
			return 0
		}
		mounts = append(mounts, at)
	}
	status := StatusNotFound
	for _, name := range candidates(spec.Process) {
		real, there, err := root.Resolve(name)
		switch {
		case err != nil || slices.ContainsFunc(mounts, func(at string) bool { return isBelow(real, at) }):
			return 0
		case !there:
			continue
		}
		st, err := root.Stat(real)
		if err != nil || st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&0o111 != 0 {
			return 0
		}
		status = StatusNotExecutable
	}
	return status
}

// candidates are the paths that execvpe(3) tries for a process. What ".." means
// in them depends on links, so that they are not cleaned.
func candidates(p *specs.Process) []string {
	name := p.Args[0]
	if strings.Contains(name, "/") {
		if !path.IsAbs(name) {
			name = p.Cwd + "/" + name
		}
		return []string{name}
	}
	var list []string
	for _, e := range p.Env {
		if dirs, ok := strings.CutPrefix(e, "PATH="); ok {
			for dir := range strings.SplitSeq(dirs, ":") {
				if !path.IsAbs(dir) {
					dir = p.Cwd + "/" + dir
				}
				list = append(list, dir+"/"+name)
			}
		}
	}
	return list
}

func isBelow(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}
