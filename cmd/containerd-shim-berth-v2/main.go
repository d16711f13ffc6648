// SPDX-License-Identifier: Apache-2.0

//go:build !reference

// Command containerd-shim-berth-v2 supervises the containers of one containerd
// task or pod: containerd's shim v2, in front of Berth or another OCI runtime.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
