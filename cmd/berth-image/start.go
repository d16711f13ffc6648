// SPDX-License-Identifier: Apache-2.0

//go:build !reference

package main

import (
	"fmt"
	"os"

	"berth/image/layer"
	"berth/image/userns"
)

func main() {
	if status, ours := layer.Main(); ours {
		os.Exit(status)
	}
	args, err := userns.Main(os.Args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "berth-image: "+err.Error())
	}
	if args == nil {
		os.Exit(1)
	}
	os.Exit(run(args))
}
