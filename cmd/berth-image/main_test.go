// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/urfave/cli/v3"
)

func TestHelpHasEachFlagWithinTheWidth(t *testing.T) {
	root := command()
	for _, verb := range append([]*cli.Command{nil}, root.Commands...) {
		args, flags := []string{"berth-image", "--help"}, root.Flags
		if verb != nil {
			args, flags = []string{"berth-image", verb.Name, "--help"}, slices.Concat(flags, verb.Flags)
		}
		var out bytes.Buffer
		c := command()
		c.Writer = &out
		if err := c.Run(t.Context(), args); err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		for line := range strings.Lines(out.String()) {
			if utf8.RuneCountInString(line) > helpWidth+1 {
				t.Errorf("%q: %d columns: %s", args, utf8.RuneCountInString(line), line)
			}
		}
		for _, f := range flags {
			parts := strings.Split(f.(cli.DocGenerationFlag).GetUsage(), "`")
			if strings.TrimSpace(parts[0]+parts[len(parts)-1]) == "" {
				t.Errorf("%q: --%s has no description", args, f.Names()[0])
			}
			if hidden, ok := f.(cli.VisibleFlag); ok && hidden.IsVisible() && !strings.Contains(out.String(), "--"+f.Names()[0]) {
				t.Errorf("%q: --%s is missing", args, f.Names()[0])
			}
		}
	}
}

func TestWords(t *testing.T) {
	for in, want := range map[string][]string{
		"":                         {},
		"/bin/sh -c":               {"/bin/sh", "-c"},
		`["sh", "-c", "echo 'a'"]`: {"sh", "-c", "echo 'a'"},
		`sh -c 'echo a'`:           nil,
		`sh -c "echo a"`:           nil,
		`[sh]`:                     nil,
	} {
		got, err := words(in)
		if (err != nil) != (want == nil) || want != nil && !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v; want %q", in, got, err, want)
		}
	}
}
