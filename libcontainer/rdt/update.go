// SPDX-License-Identifier: Apache-2.0

package rdt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Check returns the lines that Update is to write, those that are not "". A
// container without a group of its own has none to change.
func Check(g *Group, lines ...string) ([]string, error) {
	var list []string
	for _, line := range lines {
		switch {
		case line == "":
			continue
		case g == nil:
			return nil, errors.New("linux.intelRdt: the container is in no resctrl group, so it has no schema to change")
		case strings.Contains(line, "\n"):
			return nil, fmt.Errorf("linux.intelRdt: line %q has a newline", line)
		}
		list = append(list, line)
	}
	return list, nil
}

// Update writes the lines, or when the kernel refuses one, what was there. undo
// writes that too, for whoever fails later; it is never nil.
func Update(g *Group, lines []string) (undo func(), err error) {
	undo = func() {}
	if len(lines) == 0 {
		return undo, nil
	}
	old, err := os.ReadFile(filepath.Join(g.Path, "schemata"))
	if err != nil {
		return undo, fmt.Errorf("linux.intelRdt: %w", err)
	}
	undo = func() {
		for was := range strings.Lines(string(old)) {
			_ = write(g.Path, "schemata", strings.TrimSpace(was)) // the first error is the one to tell
		}
	}
	for _, line := range lines {
		if err := write(g.Path, "schemata", line); err != nil {
			undo()
			return func() {}, fmt.Errorf("linux.intelRdt: schema %q: %w", line, err)
		}
	}
	return undo, nil
}
