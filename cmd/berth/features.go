// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"

	"berth/specconv"
)

// featuresCommand is `features`. Engines run it when they start, without a
// state root and perhaps not as root.
type featuresCommand struct{}

func (*featuresCommand) flags() []flag { return nil }

func (*featuresCommand) run(*env, []string) (int, error) {
	return 0, printJSON(os.Stdout, "    ", specconv.Features(version, commit))
}
