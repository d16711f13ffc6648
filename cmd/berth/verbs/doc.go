// SPDX-License-Identifier: Apache-2.0

// Package verbs is berth's command line: one file per verb, with its flags and
// one call of libcontainer. What a verb does to a container is written there,
// not here.
//
// It is a package so that berth-monitor can execute a command line of berth's
// without executing berth.
package verbs

import (
	"os"
	"strings"
)

// Run executes a command line, which begins with the program's name, and
// returns the exit status. stdio are the standard files of the command, and of
// the container's process unless it has a terminal; they stay the caller's.
// Everything else of this process counts as it would for a process of its own:
// environment, working directory, descriptors that are not close-on-exec.
func Run(argv []string, stdio [3]*os.File) int {
	inv, ok := quickly(argv)
	var usage error
	if !ok {
		inv, usage = thoroughly(argv, stdio)
	}
	log, err := openLog(inv.global, stdio[2])
	switch {
	case err != nil:
		return stderrOnly(stdio[2]).fail(err, 1)
	case usage != nil:
		return log.fail(usage, 1)
	case inv.global.version:
		printVersion(stdio[1], argv[0])
		return 0
	case inv.verb == nil: // help was printed
		return 0
	}
	defer log.close()
	if err := inv.check(argv[0]); err != nil {
		return log.fail(err, 1)
	}
	log.debug("berth " + version + ": " + strings.Join(argv[1:], " "))
	status, err := inv.command.run(&env{global: inv.global, log: log, stdio: stdio}, inv.args)
	if err != nil {
		return log.fail(err, max(status, 1))
	}
	return status
}

// env is what a verb gets beside its own flags and arguments.
type env struct {
	global *global
	log    *logger
	stdio  [3]*os.File
}
