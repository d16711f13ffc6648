// SPDX-License-Identifier: Apache-2.0

//go:build !reference

// The Go runtime would keep the files of our CPU limit open, read them again and
// again, and name its memory mappings: for nobody, in a program that is gone in
// milliseconds. (It reads mountinfo once, whatever these say.)
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
//go:debug decoratemappings=0

// Command berth runs containers from OCI bundles. Its command line is runc's,
// with crun's additions where engines use them:
//
//	berth run --bundle /tmp/web web
package main

import (
	"os"

	"berth/cmd/berth/verbs"
)

func main() {
	growStack(false)
	os.Exit(verbs.Run(os.Args, [3]*os.File{os.Stdin, os.Stdout, os.Stderr}))
}
