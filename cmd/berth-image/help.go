// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v3"
)

// The columns of a help text: where descriptions begin, and where lines end.
const (
	helpColumn = 34
	helpWidth  = 100
)

// printHelp is in the place of the library's, whose lines are as long as they
// get.
func printHelp(w io.Writer, _ string, data any, _ map[string]any) {
	c, ok := data.(*cli.Command)
	if !ok {
		return
	}
	var b strings.Builder
	options, arguments := "[options]", c.ArgsUsage
	if len(c.VisibleCommands()) > 0 {
		options, arguments = "[global options]", "COMMAND [options] [ARGUMENT...]"
	}
	fmt.Fprintf(&b, "%s: %s\n\nusage: %s %s %s\n", c.FullName(), c.Usage, c.FullName(), options, arguments)
	if c.Description != "" {
		b.WriteString("\n" + strings.Join(fold(c.Description, helpWidth), "\n") + "\n")
	}
	section(&b, "commands", c.VisibleCommands(), func(c *cli.Command) (string, string) {
		return strings.Join(c.Names(), ", "), c.Usage
	})
	section(&b, "options", c.VisibleFlags(), describeFlag)
	if c.Root() != c {
		section(&b, "global options", c.VisiblePersistentFlags(), describeFlag)
	}
	_, _ = io.WriteString(w, b.String()) // there is nobody to tell
}

// section lists things with what they are.
func section[T any](b *strings.Builder, title string, list []T, describe func(T) (left, right string)) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n", title)
	for _, x := range list {
		left, right := describe(x)
		left = "  " + left
		lines := fold(right, helpWidth-helpColumn)
		if utf8.RuneCountInString(left) > helpColumn-2 {
			lines = append([]string{""}, lines...)
		}
		for _, line := range lines {
			text := fmt.Sprintf("%-*s%s", helpColumn, left, line)
			b.WriteString(strings.TrimRight(text, " ") + "\n")
			left = ""
		}
	}
}

// describeFlag gives the names of a flag with the word in backquotes of its
// description, as urfave/cli has it, and the description.
func describeFlag(f cli.Flag) (left, right string) {
	var names []string
	for _, n := range f.Names() {
		names = append(names, "-"+strings.Repeat("-", min(len(n)-1, 1))+n)
	}
	left = strings.Join(names, ", ")
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return left, ""
	}
	right = strings.ReplaceAll(d.GetUsage(), "`", "")
	if d.TakesValue() {
		word := "N"
		if parts := strings.SplitN(d.GetUsage(), "`", 3); len(parts) == 3 {
			word = parts[1]
		}
		left += " " + word
	}
	if m, ok := f.(cli.DocGenerationMultiValueFlag); ok && m.IsMultiValueFlag() {
		left += " …"
	}
	none := []string{"", "0", "[]"}
	if v := strings.Trim(d.GetValue(), `"`); d.TakesValue() && !slices.Contains(none, v) && !strings.Contains(right, "default") {
		right += " (default: " + v + ")"
	}
	if vars := d.GetEnvVars(); len(vars) > 0 {
		right += " [$" + strings.Join(vars, ", $") + "]"
	}
	return left, right
}

// fold breaks text between words.
func fold(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}
