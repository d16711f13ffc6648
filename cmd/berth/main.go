// SPDX-License-Identifier: Apache-2.0

// At its start the Go runtime would read mountinfo and our cgroup for a CPU
// limit, and name its memory mappings: for nobody, in a program that is gone
// in milliseconds. Mounts can be thousands.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
//go:debug decoratemappings=0

// Command berth runs containers from OCI bundles. Its command line is runc's,
// with crun's additions where engines use them:
//
//	berth run --bundle /tmp/web web
//
// There is one file per verb: its flags, and one call of libcontainer. What a
// verb does to a container is written there, not here.
package main

import (
	"os"
	"strings"
)

func main() { os.Exit(run(os.Args)) }

// run executes a command line and returns the exit status.
func run(argv []string) int {
	inv, ok := quickly(argv)
	var usage error
	if !ok {
		inv, usage = thoroughly(argv)
	}
	log, err := openLog(inv.global)
	switch {
	case err != nil:
		return stderrOnly().fail(err, 1)
	case usage != nil:
		return log.fail(usage, 1)
	case inv.global.version:
		printVersion(os.Stdout, argv[0])
		return 0
	case inv.verb == nil: // help was printed
		return 0
	}
	if err := inv.check(argv[0]); err != nil {
		return log.fail(err, 1)
	}
	log.debug("berth " + version + ": " + strings.Join(argv[1:], " "))
	status, err := inv.command.run(&env{global: inv.global, log: log}, inv.args)
	if err != nil {
		return log.fail(err, max(status, 1))
	}
	return status
}

// env is what a verb gets beside its own flags and arguments.
type env struct {
	global *global
	log    *logger
}
