// SPDX-License-Identifier: Apache-2.0

//go:build cgo

// Command berth-seccomp compiles a seccomp profile with libseccomp: one JSON
// question on stdin, one JSON answer on stdout. It is part of berth itself,
// which is built without cgo; see libcontainer/seccomp/compile_nocgo.go.
package main

import (
	"fmt"
	"os"

	"berth/libcontainer/seccomp"
)

func main() {
	if err := seccomp.Serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "berth-seccomp:", err)
		os.Exit(1)
	}
}
