// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"

	"berth/tests/rig"
)

// parseReasons reads "program: reason" lines; a line that begins with a blank
// goes on with the reason above it.
func parseReasons(text string) (map[string]string, error) {
	reasons := map[string]string{}
	last := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, " ") && last != "":
			reasons[last] += " " + strings.TrimSpace(line)
		default:
			name, reason, ok := strings.Cut(line, ": ")
			if !ok {
				return nil, fmt.Errorf("reasons.txt: no reason in %q", line)
			}
			last, reasons[name] = name, reason
		}
	}
	return reasons, nil
}

func (o outcome) String() string {
	switch {
	case o.ok() && o.silent:
		return "pass"
	case o.ok() && o.pass == 0:
		return fmt.Sprintf("skip (%d)", o.skip)
	case o.ok() && o.skip > 0:
		return fmt.Sprintf("pass %d, skip %d", o.pass, o.skip)
	case o.ok():
		return fmt.Sprintf("pass %d", o.pass)
	case o.died == "" && o.fail == 0:
		return "FAIL"
	case o.died != "" && o.fail == 0:
		return fmt.Sprintf("DIED (pass %d)", o.pass)
	}
	return fmt.Sprintf("FAIL %d of %d", o.fail, o.fail+o.pass+o.skip)
}

// report prints the table and what is to be said about it; the result is the
// exit code.
func report(w io.Writer, runtimes []rig.Runtime, res *results, reasons map[string]string) int {
	fmt.Fprintf(w, "%-44s", "program")
	for _, r := range runtimes {
		fmt.Fprintf(w, "%-20s", r.Name)
	}
	fmt.Fprintln(w)
	total := map[string]int{}
	for _, program := range res.programs {
		fmt.Fprintf(w, "%-44s", program)
		for _, r := range runtimes {
			o := res.outcomes[program][r.Name]
			fmt.Fprintf(w, "%-20s", o)
			if o.ok() {
				total[r.Name]++
			}
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%-44s", fmt.Sprintf("passed of %d", len(res.programs)))
	for _, r := range runtimes {
		fmt.Fprintf(w, "%-20d", total[r.Name])
	}
	fmt.Fprintln(w)
	return judge(w, runtimes, res, reasons)
}

// judge explains what the first runtime fails and says whether it may.
func judge(w io.Writer, runtimes []rig.Runtime, res *results, reasons map[string]string) int {
	code := 0
	first := runtimes[0].Name
	for _, program := range res.programs {
		o := res.outcomes[program][first]
		if o.ok() {
			continue
		}
		var better []string
		for _, r := range runtimes[1:] {
			if res.outcomes[program][r.Name].ok() {
				better = append(better, r.Name)
			}
		}
		reason, explained := reasons[program]
		fmt.Fprintf(w, "\n%s fails %s", first, program)
		if len(better) > 0 {
			fmt.Fprintf(w, ", which %s passes", strings.Join(better, " and "))
			code = 1
		}
		fmt.Fprintln(w)
		if explained {
			fmt.Fprintf(w, "  why: %s\n", reason)
		} else {
			fmt.Fprintln(w, "  why: NOT EXPLAINED in reasons.txt")
			code = 1
		}
		if o.died != "" {
			fmt.Fprintf(w, "  ended: %s\n", o.died)
		}
		for i, f := range o.failures {
			if i == 6 {
				fmt.Fprintf(w, "  … and %d more\n", len(o.failures)-i)
				break
			}
			fmt.Fprintf(w, "  not ok: %s\n", f)
		}
	}
	return code
}
