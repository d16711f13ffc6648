// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"log/slog"
	"runtime"

	"golang.org/x/sys/unix"
)

// maxStacks is less than a pipe holds, in bytes: what the log does not take at
// once is lost.
const maxStacks = 32 << 10

// dumpStacks logs, each time that it is asked, how many goroutines there are and
// where they stand, as containerd's own shim does for SIGUSR1.
func dumpStacks(log *slog.Logger, asked <-chan unix.Signal) {
	for range asked {
		stacks := make([]byte, maxStacks)
		stacks = stacks[:runtime.Stack(stacks, true)]
		log.Info("goroutines", "count", runtime.NumGoroutine(), "stacks", string(stacks))
	}
}
