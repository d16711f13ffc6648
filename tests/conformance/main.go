// SPDX-License-Identifier: Apache-2.0

// Command conformance runs the OCI's own validation programs (the module
// github.com/opencontainers/runtime-tools) on berth, crun and runc and prints
// one table. It fails if berth fails a program that a peer passes, or one that
// reasons.txt does not explain. It needs root, and the network the first time;
// the programs are built once, in the user's cache directory.
//
//	go run ./tests/conformance                        all of them
//	go run ./tests/conformance -only 'linux_cgroups'  those that match
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"berth/tests/rig"
)

//go:embed reasons.txt
var reasonsText string

type options struct {
	runtimes []string
	only     *regexp.Regexp
	workers  int
	limit    time.Duration
	logs     string
}

func main() {
	var o options
	list := flag.String("runtimes", "berth,crun,runc", "runtimes; the first is the one that has to pass")
	only := flag.String("only", "", "regular expression that chooses programs")
	flag.IntVar(&o.workers, "j", 2, "programs that run at the same time")
	flag.DurationVar(&o.limit, "limit", time.Minute, "time for one program")
	flag.StringVar(&o.logs, "logs", "", "directory that keeps each program's output")
	flag.Parse()
	o.runtimes = strings.Split(*list, ",")
	code, err := conform(o, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		code = 1
	}
	os.Exit(code)
}

func conform(o options, only string) (int, error) {
	var err error
	if o.only, err = regexp.Compile(only); err != nil {
		return 1, err
	}
	if os.Geteuid() != 0 {
		return 1, fmt.Errorf("must be run as root")
	}
	reasons, err := parseReasons(reasonsText)
	if err != nil {
		return 1, err
	}
	suite, err := build()
	if err != nil {
		return 1, err
	}
	inside, code, err := rig.Enter()
	if err != nil || !inside {
		return code, err
	}
	defer rig.Leave()
	dir, err := os.MkdirTemp("", "berth-conformance-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	// A container's user namespace must be able to reach the bundles.
	if err := os.Chmod(dir, 0o755); err != nil {
		return 1, err
	}
	defer rig.Forget("cgrouptest", "testdir")() // the programs' own, fixed paths
	var runtimes []rig.Runtime
	for _, name := range o.runtimes {
		r, err := rig.Find(name, filepath.Join(dir, "roots"))
		if err != nil {
			return 1, fmt.Errorf("%s: %w", name, err)
		}
		runtimes = append(runtimes, r)
	}
	results := suite.run(o, runtimes, dir)
	return report(os.Stdout, runtimes, results, reasons), nil
}
