// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// verdict of a case: passed, skipped or failed; empty if it did not run.
type verdict string

const (
	passed  verdict = "passed"
	skipped verdict = "skipped"
	failed  verdict = "failed"
)

type result struct {
	verdict verdict
	why     string // of a skip
}

// suiteRun is an engine's suite with one runtime.
type suiteRun struct {
	runtime, seconds string
	planned          int
	order            []string
	cases            map[string]result
}

type engine struct {
	name, version string
	runs          []suiteRun
	reasons       map[key]string
}

// key is a case with a runtime. The runtime "all" stands for each.
type key struct{ runtime, name string }

var tapLine = regexp.MustCompile(`^(not )?ok \d+ (.*?)(?: # skip ?(.*))?$`)

// parseTAP reads what bats prints with --formatter tap.
func parseTAP(text string) suiteRun {
	r := suiteRun{cases: map[string]result{}}
	for _, l := range strings.Split(text, "\n") {
		if n, ok := strings.CutPrefix(l, "1.."); ok {
			r.planned, _ = strconv.Atoi(n)
			continue
		}
		m := tapLine.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		got := result{passed, ""}
		switch {
		case m[1] != "":
			got.verdict = failed
		case strings.Contains(l, " # skip"):
			got = result{skipped, m[3]}
		}
		if _, twice := r.cases[m[2]]; !twice {
			r.order = append(r.order, m[2])
		}
		r.cases[m[2]] = got
	}
	return r
}

func (r suiteRun) count(v verdict) int {
	n := 0
	for _, c := range r.cases {
		if c.verdict == v {
			n++
		}
	}
	return n
}

// reason why a case is not passed with a runtime, empty if nobody wrote one.
func (e *engine) reason(runtime, name string, got result) string {
	for _, k := range []key{{runtime, name}, {"all", name}} {
		if why := e.reasons[k]; why != "" {
			return why
		}
	}
	return got.why
}

// verdict of a case with a runtime, empty if it did not run.
func (e *engine) verdict(runtime, name string) verdict {
	for _, r := range e.runs {
		if r.runtime == runtime {
			return r.cases[name].verdict
		}
	}
	return ""
}

// names of all cases, in the order of the first run that has them.
func (e *engine) names() []string {
	var list []string
	for _, r := range e.runs {
		for _, n := range r.order {
			if !slices.Contains(list, n) {
				list = append(list, n)
			}
		}
	}
	return list
}

// complaints are the failures and the skips that nobody gave a reason for, what
// only Berth fails, and suites that did not end.
func complaints(engines []*engine) []string {
	var list []string
	for _, e := range engines {
		for _, r := range e.runs {
			if r.planned == 0 || len(r.cases) < r.planned {
				list = append(list, fmt.Sprintf("%s with %s: %d cases planned, %d ran", e.name, r.runtime, r.planned, len(r.cases)))
			}
			for _, name := range r.order {
				c := r.cases[name]
				switch {
				case c.verdict != passed && e.reason(r.runtime, name, c) == "":
					list = append(list, fmt.Sprintf("%s with %s: %s: %s", e.name, r.runtime, c.verdict, name))
				case c.verdict == failed && strings.HasPrefix(r.runtime, "berth") && e.verdict("runc", name) == passed:
					list = append(list, fmt.Sprintf("%s with %s: failed, and passes with runc: %s", e.name, r.runtime, name))
				}
			}
		}
	}
	return list
}

// counts is the table of numbers, a line a run.
func counts(engines []*engine) string {
	var b strings.Builder
	b.WriteString("| engine | runtime | passed | skipped | failed | s |\n|---|---|--:|--:|--:|--:|\n")
	total := map[verdict]int{}
	for _, e := range engines {
		for _, r := range e.runs {
			fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %s |\n", e.name, r.runtime, r.count(passed), r.count(skipped), r.count(failed), r.seconds)
			if strings.HasPrefix(r.runtime, "berth") {
				for _, v := range []verdict{passed, skipped, failed} {
					total[v] += r.count(v)
				}
			}
		}
	}
	fmt.Fprintf(&b, "| all | berth, berth-shim | %d | %d | %d | |\n", total[passed], total[skipped], total[failed])
	return b.String()
}

// page is docs/engines.md, with a note about the run if there is one.
func page(engines []*engine, note string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Engines under test\n\nMade by `make test-engines` on %s; do not edit.\n\n", time.Now().Format(time.DateOnly))
	b.WriteString("The same cases run with Berth and with other runtimes below the same engine. *berth-shim*: the engine's containerd\n" +
		"has Berth's shim in the place of `containerd-shim-runc-v2`, and executes no runtime.\n\n")
	if note != "" {
		b.WriteString(note + "\n\n")
	}
	b.WriteString(counts(engines))
	b.WriteString("\n## Versions\n\n")
	for _, e := range engines {
		fmt.Fprintf(&b, "- %s: %s\n", e.name, e.version)
	}
	for _, e := range engines {
		fmt.Fprintf(&b, "\n## %s\n\n", e.name)
		b.WriteString(differences(e))
		b.WriteString(listing(e))
	}
	return b.String()
}

// differences are the cases that do not pass with every runtime, those with the
// same results and reasons in one line.
func differences(e *engine) string {
	type group struct {
		what  string
		names []string
	}
	var groups []group
	for _, name := range e.names() {
		what := difference(e, name)
		if what == "" {
			continue
		}
		i := slices.IndexFunc(groups, func(g group) bool { return g.what == what })
		if i < 0 {
			groups = append(groups, group{what: what})
			i = len(groups) - 1
		}
		groups[i].names = append(groups[i].names, name)
	}
	if len(groups) == 0 {
		return "Every case passes with each of them.\n\n"
	}
	sort.SliceStable(groups, func(i, j int) bool { return len(groups[i].names) > len(groups[j].names) })
	var b strings.Builder
	b.WriteString("Not passed with every runtime:\n\n")
	for _, g := range groups {
		fmt.Fprintf(&b, "- %s: %s\n", g.what, strings.Join(g.names, "; "))
	}
	b.WriteString("\n")
	return b.String()
}

// difference says with which runtimes a case did not pass, and why.
func difference(e *engine, name string) string {
	type kind struct{ text, runtimes string }
	var kinds []kind
	for _, r := range e.runs {
		c, ran := r.cases[name]
		if ran && c.verdict == passed {
			continue
		}
		text := "did not run"
		if ran {
			text = string(c.verdict)
		}
		if why := e.reason(r.runtime, name, c); why != "" {
			text += " (" + why + ")"
		}
		i := slices.IndexFunc(kinds, func(k kind) bool { return k.text == text })
		if i < 0 {
			kinds = append(kinds, kind{text, r.runtime})
		} else {
			kinds[i].runtimes += ", " + r.runtime
		}
	}
	var parts []string
	for _, k := range kinds {
		parts = append(parts, "**"+k.runtimes+"** "+k.text)
	}
	return strings.Join(parts, ", ")
}

// listing folds the names of all cases away.
func listing(e *engine) string {
	names := e.names()
	return fmt.Sprintf("<details><summary>The %d cases</summary>\n\n- %s\n\n</details>\n", len(names), strings.Join(names, "\n- "))
}
