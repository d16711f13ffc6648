// SPDX-License-Identifier: Apache-2.0

//go:build reference

package main

import (
	"fmt"
	"os"

	"berth/internal/reference"
	"berth/shim/conmon/options"
)

// With the tag reference, this program writes its manual page into the directory
// that it is given.
func main() {
	p := reference.Program{
		Section: 8,
		Command: reference.Command{
			Name: "berth-monitor", Summary: "supervise a container for Podman or CRI-O", Args: "--cid ID --cuuid UUID --runtime PATH --log-path LOG [option...]",
			Description: about, Flags: options.Reference(),
			Exit: []reference.Item{
				{Name: "0", Text: "The container was supervised to its end, or a process that does so has been started."},
				{Name: "1", Text: "The command line is wrong, or the container could not be created. The reason goes to stderr and to the pipe _OCI_SYNCPIPE."},
			},
		},
		Files: []reference.Item{
			{Name: "attach, ctl, winsz", Text: "in the bundle: the socket of attached clients, and the fifos for log rotation and terminal sizes"},
			{Name: "exit-dir/ID", Text: "the exit status, when the container has ended"},
		},
		SeeAlso: []string{"berth(8)", "conmon(8)", "podman(1)", "crio(8)"},
	}
	if err := reference.Write(os.Args[1], p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const about = `
berth-monitor takes the place of conmon: its options, pipes, log formats and attach socket are those of conmon 2.2. Podman is told of it by --conmon or
conmon_path in containers.conf(5), CRI-O by monitor_path of a runtime.

It creates one container or exec with the runtime that it is given, keeps its output and terminal, writes its logs, and reports how it ended. If
the runtime is the berth in its own directory, it calls that in its own process instead of executing it; any other runtime is executed.`
