// SPDX-License-Identifier: Apache-2.0

//go:build reference

package verbs

import (
	"strings"

	"berth/internal/reference"
)

// Reference is the command line for manual pages and completions.
func Reference() reference.Program {
	p := reference.Program{
		Section: 8,
		Command: reference.Command{
			Name: "berth", Summary: "run containers from OCI bundles", Description: about,
			Flags: referenceFlags(newGlobal().flags()),
			Exit: []reference.Item{
				{Name: "0", Text: "It is done."},
				{Name: "1", Text: "It failed, or the command line is wrong. One line on stderr, and in the log of --log, says why."},
			},
		},
		Lists: map[string]string{"container-id": "list -q"}, Where: "--root",
		Files: []reference.Item{
			{Name: "/run/berth", Text: "the state of root's containers, a directory each; others are below $XDG_RUNTIME_DIR/berth"},
			{Name: "/run/berth/.seccomp", Text: "compiled seccomp filters, by the hash of their profile"},
			{Name: "config.json", Text: "what a container is, in its bundle; see the OCI runtime specification"},
		},
		Examples: examples,
		SeeAlso:  []string{"berth-image(1)", "berth-monitor(8)", "containerd-shim-berth-v2(8)", "runc(8)", "crun(1)", "cgroups(7)", "namespaces(7)"},
	}
	for _, v := range verbs {
		p.Commands = append(p.Commands, reference.Command{
			Name: v.name, Summary: v.summary, Args: v.usage, Description: descriptions[v.name],
			Flags: referenceFlags(v.new().flags()), Exit: statuses[v.name],
		})
	}
	return p
}

func referenceFlags(flags []flag) []reference.Flag {
	var list []reference.Flag
	for _, f := range flags {
		if f.hidden {
			continue
		}
		names := make([]string, len(f.names))
		for i, n := range f.names {
			names[i] = "-" + strings.Repeat("-", min(len(n)-1, 1)) + n
		}
		list = append(list, reference.Flag{Names: names, Value: f.value, Usage: f.usage})
	}
	return list
}

const about = `
berth is an OCI runtime: it makes containers of bundles, which are directories with a config.json and a root file system. Docker, containerd,
Podman, Buildah and CRI-O call it in the place of runc or crun, whose command lines it takes; people can as well.

What is different: berth compiles the container. create turns config.json and facts about the running kernel into a flat list of system calls,
writes these with an interpreter of a few hundred bytes as an ELF executable into a sealed memory file, and starts that in the new
namespaces. No other code runs on the container's side, so the runtime's own binary is never within a container's reach, setting up costs
about twelve kilobytes of the container's memory limit, and what will be done can be looked at before it is done: berth plan prints it. An error
names the field of config.json, the system call and its arguments, and where there is a usual cause a hint.

A container is made by create and waits; start lets its process run; delete removes what is left of it. run is all of them. As an ordinary
user, containers are rootless: config.json then has a user namespace (berth spec --rootless).`

const examples = `
mkdir -p web/rootfs/bin && cp /bin/busybox web/rootfs/bin/sh
berth spec --bundle web
berth plan --bundle web | less
berth run --bundle web web1`

// descriptions are for verbs of which the summary does not say all.
var descriptions = map[string]string{
	"create": `Reads config.json, makes namespaces, cgroups and mounts, and looks up the program to execute. Its process then waits for start: a program that
is not there, or has no loader, is an error already here. Standard input, output and error of the container's process are those of
berth create, unless the config asks for a terminal: then --console-socket gets its master.`,
	"start": `The process executes its program. createRuntime hooks ran before, with create; poststart hooks run now.`,
	"run": `In the foreground, signals are passed on, and the container is deleted when its process ends. With --detach, berth ends when the process
runs, and somebody else deletes the container.`,
	"exec": `The process joins the container's namespaces and cgroups and has its capabilities, seccomp filter and labels, unless the flags or the
process.json of --process say otherwise. Flags end at the container's id.`,
	"kill":   `The signal is a name, with or without SIG, or a number; 0 only asks whether there is a process.`,
	"delete": `Removes the cgroups, the state, and mounts that were made on the host. With --force a running container is killed first, and what a killed berth has left half-made is cleaned up.`,
	"pause":  `By the freezer of cgroup v1 or v2. exec refuses a paused container without --ignore-paused.`,
	"update": `With --dry-run it prints, file by file, what would be written. Limits that are not named stay.`,
	"events": `One line of JSON for each --interval and for each out-of-memory kill, until the container ends. With --stats it is one line of statistics, at once.`,
	"ps":     `The processes are those of the container's cgroup; what follows the id goes to ps(1).`,
	"plan": `Prints the system calls in their order, each with the field of config.json that it is for, and the steps that the parent does between
them. Nothing is made. The plan is for this kernel: what it lacks is an error here as it would be with create.`,
	"spec": `The file is config.json in --bundle; one that exists is not replaced.`,
}

// statuses are those beside 0 and 1.
var statuses = map[string][]reference.Item{
	"run":  {{Name: "the process's", Text: "without --detach; 128 and the signal's number if one ended it"}},
	"exec": {{Name: "the process's", Text: "without --detach; 128 and the signal's number if one ended it; 255 if it could not be started"}},
}
