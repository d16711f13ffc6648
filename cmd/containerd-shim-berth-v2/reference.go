// SPDX-License-Identifier: Apache-2.0

//go:build reference

package main

import (
	"flag"
	"fmt"
	"os"

	"berth/internal/reference"
)

// With the tag reference, this program writes its manual page into the directory
// that it is given.
func main() {
	p := reference.Program{
		Section: 8,
		Command: reference.Command{
			Name: name, Summary: "supervise the containers of a containerd task or pod", Args: "[flags] [start|delete]", Description: about,
			Exit: []reference.Item{
				{Name: "0", Text: "It is done; serving, the last container is deleted."},
				{Name: "1", Text: "It failed; one line on stderr says why."},
			},
		},
		Files: []reference.Item{
			{Name: "/run/containerd/s", Text: "the sockets that shims serve on, unless containerd says another directory"},
		},
		SeeAlso: []string{"berth(8)", "berth-monitor(8)", "containerd(8)", "ctr(8)"},
	}
	new(command).flags().VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		p.Flags = append(p.Flags, reference.Flag{Names: []string{"-" + f.Name}, Value: value, Usage: usage})
	})
	if err := reference.Write(os.Args[1], p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const about = `
containerd, and Docker with it, starts this program for the runtime io.containerd.berth.v2; it must be in containerd's PATH. Nobody else needs to call it.

start makes a process that serves containerd's task protocol on a socket, and prints its address. All containers of a pod share one. It creates
containers in its own process, without executing berth, and outlives containerd: one that is started again finds its containers running.

delete cleans up after a process that was killed. Another OCI runtime's program can be named by the option BinaryName of the runtime.`
