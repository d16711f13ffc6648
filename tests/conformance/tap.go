// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"strings"
)

var tapLine = regexp.MustCompile(`^(not )?ok\b\s*\d*\s*(.*)$`)

// parseTAP counts the lines of the Test Anything Protocol. Indented lines are
// diagnostics, in which a program quotes the output of another.
func parseTAP(text string) outcome {
	var o outcome
	complaint := ""
	for line := range strings.Lines(text) {
		if _, words, ok := strings.Cut(line, `"error": `); ok && complaint == "" {
			complaint = strings.TrimSpace(words)
		}
		m := tapLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		directive := strings.ToUpper(m[2])
		switch {
		case strings.Contains(directive, "# SKIP"), strings.Contains(directive, "# TODO"):
			o.skip++
		case m[1] != "":
			o.fail++
			o.failures = append(o.failures, strings.TrimPrefix(m[2], "- "))
		default:
			o.pass++
		}
	}
	// Some programs print a result only as a diagnostic of a failure.
	if o.pass+o.fail+o.skip == 0 {
		o.silent = complaint == ""
		if !o.silent {
			o.failures = append(o.failures, complaint)
		}
	}
	return o
}
