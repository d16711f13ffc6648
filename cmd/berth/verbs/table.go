// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"fmt"
	"path/filepath"

	"berth/libcontainer"
)

// command is a verb's options: its flags set the fields, run uses them. The
// status that run returns is the exit status; with an error, 0 stands for 1.
type command interface {
	flags() []flag
	run(e *env, args []string) (status int, err error)
}

// verb is one row of the table of verbs.
type verb struct {
	name    string
	usage   string
	summary string
	// min and max are how many arguments the verb takes; max -1: any number.
	min, max int
	// stop is the number of arguments after which flags are not ours any more;
	// 0: they may stand anywhere.
	stop int
	new  func() command
}

// verbs are in the order in which help lists them.
var verbs = []verb{
	{"create", "<container-id>", "create a container; its process waits for start", 1, 1, 0, func() command { return &createCommand{} }},
	{"start", "<container-id>", "let a created container's process run", 1, 1, 0, func() command { return &startCommand{} }},
	{"run", "<container-id>", "create and start a container", 1, 1, 0, func() command { return &runCommand{} }},
	{"exec", "<container-id> <program> [argument...], or -p process.json <container-id>", "run another process in a container", 1, -1, 1, func() command { return &execCommand{} }},
	{"state", "<container-id>", "print the state of a container as JSON", 1, 1, 0, func() command { return &stateCommand{} }},
	{"kill", "<container-id> [signal]", "send a signal, SIGTERM by default, to a container's init", 1, 2, 0, func() command { return &killCommand{} }},
	{"delete", "<container-id>", "remove a stopped or created container", 1, 1, 0, func() command { return &deleteCommand{} }},
	{"pause", "<container-id>", "stop all processes of a container", 1, 1, 0, func() command { return &freezeCommand{(*libcontainer.Container).Pause} }},
	{"resume", "<container-id>", "let the processes of a paused container go on", 1, 1, 0, func() command { return &freezeCommand{(*libcontainer.Container).Resume} }},
	{"update", "<container-id>", "change a container's resource limits", 1, 1, 0, func() command { return &updateCommand{} }},
	{"events", "<container-id>", "print a container's statistics and out-of-memory kills as JSON", 1, 1, 0, newEvents},
	{"list", "", "list containers", 0, 0, 0, func() command { return &listCommand{} }},
	{"ps", "<container-id> [ps options]", "list the processes of a container", 1, -1, 1, func() command { return &psCommand{} }},
	{"top", "[container-id...]", "show what containers use, live", 0, -1, 0, newTop},
	{"plan", "[container-id]", "print what create would do, without doing it", 0, 1, 0, func() command { return &planCommand{} }},
	{"spec", "", "write an example config.json", 0, 0, 0, func() command { return &specCommand{} }},
	{"features", "", "print what this runtime supports as JSON", 0, 0, 0, func() command { return &featuresCommand{} }},
}

func findVerb(name string) *verb {
	for i := range verbs {
		if verbs[i].name == name {
			return &verbs[i]
		}
	}
	return nil
}

// invocation is a command line that was understood.
type invocation struct {
	global  *global
	verb    *verb
	command command
	args    []string
}

// check counts the arguments; scripts match runc's words.
func (inv *invocation) check(argv0 string) error {
	v, n := inv.verb, len(inv.args)
	quantity, limit := "", 0
	switch {
	case v.min == v.max && n != v.min:
		quantity, limit = "exactly", v.min
	case n < v.min:
		quantity, limit = "a minimum of", v.min
	case v.max >= 0 && n > v.max:
		quantity, limit = "a maximum of", v.max
	default:
		return nil
	}
	name := filepath.Base(argv0)
	return fmt.Errorf("%s: %q requires %s %d argument(s); usage: %s %s [flags] %s", name, v.name, quantity, limit, name, v.name, v.usage)
}
