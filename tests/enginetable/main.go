// SPDX-License-Identifier: Apache-2.0

// Command enginetable compares what the engines' suites gave with Berth and
// with other runtimes. It reads a directory of results
//
//	ENGINE.RUNTIME.tap      what bats printed, in TAP
//	ENGINE.RUNTIME.seconds  how long it took
//	ENGINE.version          what the engine calls itself
//
// and the reasons for known differences, ENGINE/reasons.txt with lines
// "RUNTIME<TAB>case<TAB>reason". It prints a table, and with -docs writes it. It
// fails when a case fails, or a difference has no reason.
//
//	go run ./tests/enginetable -results DIR -reasons integration/engines
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	results := flag.String("results", "", "`directory` of TAP files")
	reasons := flag.String("reasons", "integration/engines", "`directory` with a reasons.txt for each engine")
	docs := flag.String("docs", "", "`file` to write, as Markdown")
	note := flag.String("note", "", "a `sentence` about the run, for the file")
	flag.Parse()
	ok, err := run(*results, *reasons, *docs, *note)
	if err != nil {
		fmt.Fprintln(os.Stderr, "enginetable:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func run(results, reasons, docs, note string) (ok bool, err error) {
	engines, err := load(results, reasons)
	if err != nil {
		return false, err
	}
	if len(engines) == 0 {
		return false, fmt.Errorf("no results in %s", results)
	}
	fmt.Print(counts(engines))
	faults := complaints(engines)
	for _, f := range faults {
		fmt.Println(f)
	}
	if docs == "" {
		return len(faults) == 0, nil
	}
	return len(faults) == 0, os.WriteFile(docs, []byte(page(engines, note)), 0o644)
}

// load reads every ENGINE.RUNTIME.tap of a directory.
func load(results, reasons string) ([]*engine, error) {
	paths, err := filepath.Glob(filepath.Join(results, "*.tap"))
	if err != nil {
		return nil, err
	}
	var list []*engine
	for _, path := range paths { // sorted, so an engine's are together
		name, runtime, ok := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".tap"), ".")
		if !ok {
			return nil, fmt.Errorf("%s: not ENGINE.RUNTIME.tap", path)
		}
		if len(list) == 0 || list[len(list)-1].name != name {
			e := &engine{name: name, version: line(filepath.Join(results, name+".version"))}
			if e.reasons, err = readReasons(filepath.Join(reasons, name, "reasons.txt")); err != nil {
				return nil, err
			}
			list = append(list, e)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		r := parseTAP(string(data))
		r.runtime, r.seconds = runtime, line(strings.TrimSuffix(path, ".tap")+".seconds")
		e := list[len(list)-1]
		e.runs = append(e.runs, r)
	}
	return list, nil
}

// line is the first line of a file, empty if there is none.
func line(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(data), "\n")
	return first
}

// readReasons: no file is no reasons.
func readReasons(path string) (map[key]string, error) {
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := map[key]string{}
	for i, text := range strings.Split(string(data), "\n") {
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		fields := strings.SplitN(text, "\t", 3)
		if len(fields) != 3 || fields[2] == "" {
			return nil, fmt.Errorf("%s:%d: not RUNTIME<TAB>case<TAB>reason", path, i+1)
		}
		found[key{fields[0], fields[1]}] = fields[2]
	}
	return found, nil
}
