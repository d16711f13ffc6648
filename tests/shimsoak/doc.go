// SPDX-License-Identifier: Apache-2.0

// Package shimsoak drives a built containerd-shim-berth-v2 as containerd does:
// it starts it by the action `start`, speaks ttrpc with it, takes its events,
// and calls the action `delete` when it was killed. It holds tests only:
//
//   - thousands of execs through one shim: memory, descriptors, threads and
//     goroutines are after the last what they were after the first tenth;
//   - the shim is killed in every state of its container: `delete` leaves
//     nothing, and says how the container ended.
//
// It needs root. The counts are flags, and $BERTH_SHIM is another binary:
//
//	go test ./tests/shimsoak -v -execs 10000 -kills 100
package shimsoak
