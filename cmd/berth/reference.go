// SPDX-License-Identifier: Apache-2.0

//go:build reference

package main

import (
	"fmt"
	"os"

	"berth/cmd/berth/verbs"
	"berth/internal/reference"
)

// With the tag reference, this program writes its manual pages and completions
// into the directory that it is given.
func main() {
	if err := reference.Write(os.Args[1], verbs.Reference()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
