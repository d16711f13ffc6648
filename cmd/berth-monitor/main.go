// SPDX-License-Identifier: Apache-2.0

//go:build !reference

// As in berth: nobody needs what these would find out.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
//go:debug decoratemappings=0

// Command berth-monitor supervises one container for Podman or CRI-O, behind
// conmon's command line: its output, its attach socket, and how it ends.
package main

import (
	"os"

	"berth/cmd/berth/verbs"
	"berth/shim/conmon"
)

// Set by the linker.
var (
	version = "unknown"
	commit  = "unknown"
)

func main() {
	os.Exit(conmon.Main(conmon.Program{Argv: os.Args, Version: version, Commit: commit, Berth: verbs.Run}))
}
