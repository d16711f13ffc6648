// SPDX-License-Identifier: Apache-2.0

// Command report makes the events of `go test -json` on its standard input
// readable: a line for each package, the whole output of what failed, each
// reason for a skip once. With -counts FILE it appends a line "PASSED FAILED
// SKIPPED" to FILE, counting tests and not the groups that hold them.
//
//	go test -json ./... | report -counts counts.txt
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

func main() {
	counts := flag.String("counts", "", "append the counts to this `file`")
	flag.Parse()
	r := newReport(os.Stdout)
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
	r.skips()
	if *counts == "" {
		return
	}
	if err := r.append(*counts); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

// event is what `go doc test2json` describes, the fields that are used.
type event struct {
	Action      string
	Package     string
	Test        string
	Output      string
	FailedBuild string
}

// key names a test within all packages.
type key struct{ pkg, test string }

// report gathers results until they can be shown.
type report struct {
	out     io.Writer
	output  map[key][]string // of tests that still run
	outcome map[key]string   // pass, fail, skip
	group   map[key]bool     // has subtests
	reasons map[string]int
}

func newReport(out io.Writer) *report {
	return &report{out, map[key][]string{}, map[key]string{}, map[key]bool{}, map[string]int{}}
}

// read takes all events; a line that is none is passed on as it is.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Action == "" {
			fmt.Fprintln(r.out, lines.Text())
			continue
		}
		r.take(e)
	}
	return lines.Err()
}

func (r *report) take(e event) {
	k := key{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "run":
		for at := strings.LastIndexByte(e.Test, '/'); at > 0; at = strings.LastIndexByte(e.Test[:at], '/') {
			r.group[key{e.Package, e.Test[:at]}] = true
		}
	case "output":
		r.output[k] = append(r.output[k], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e)
		} else {
			r.endTest(k, e.Action)
		}
		delete(r.output, k)
	}
}

func (r *report) endTest(k key, outcome string) {
	r.outcome[k] = outcome
	switch {
	case outcome == "fail" && !r.group[k]:
		fmt.Fprintf(r.out, "--- FAIL: %s %s\n", k.pkg, k.test)
		fallthrough
	case outcome == "fail":
		for _, line := range r.output[k] {
			if !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(strings.TrimSpace(line), "--- FAIL") {
				fmt.Fprint(r.out, line)
			}
		}
	case outcome == "skip":
		r.reasons[reason(r.output[k])]++
	}
}

// endPackage shows the package's own lines: its verdict, and everything if it
// failed, for a panic or a timeout is told there.
func (r *report) endPackage(e event) {
	for _, line := range r.output[key{e.Package, ""}] {
		verdict := strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "FAIL\t")
		if verdict || e.Action == "fail" && line != "FAIL\n" {
			fmt.Fprint(r.out, line)
		}
	}
	if e.Action != "fail" {
		return
	}
	if e.FailedBuild != "" {
		r.outcome[key{e.Package, "build"}] = "fail"
	}
	// What was running when the package died never ended.
	for k, lines := range r.output {
		if k.pkg == e.Package && k.test != "" {
			r.outcome[k] = "fail"
			fmt.Fprintf(r.out, "--- FAIL: %s %s did not end\n%s", k.pkg, k.test, strings.Join(lines, ""))
			delete(r.output, k)
		}
	}
}

// reason is what a test said when it skipped: its last line that is not go
// test's own, without the place in the source.
func reason(lines []string) string {
	for i := len(lines) - 1; i >= 0; i-- {
		line := strings.TrimSpace(lines[i])
		if line == "" || strings.HasPrefix(line, "---") || strings.HasPrefix(line, "===") {
			continue
		}
		if _, text, ok := strings.Cut(line, ": "); ok {
			return text
		}
		return line
	}
	return "no reason given"
}

func (r *report) skips() {
	reasons := make([]string, 0, len(r.reasons))
	for text := range r.reasons {
		reasons = append(reasons, text)
	}
	sort.Strings(reasons)
	for _, text := range reasons {
		fmt.Fprintf(r.out, "skipped: %s (%d)\n", text, r.reasons[text])
	}
}

func (r *report) append(path string) error {
	n := map[string]int{}
	for k, outcome := range r.outcome {
		if !r.group[k] {
			n[outcome]++
		}
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	fmt.Fprintln(f, n["pass"], n["fail"], n["skip"])
	return f.Close()
}
