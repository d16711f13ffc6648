// SPDX-License-Identifier: Apache-2.0

package options

import "strings"

// A container's word about itself. Its pid (MAINPID=), descriptors (FDSTORE=)
// and watchdog settings are the engine's business: sd_notify(3).
var (
	notifyLines    = []string{"READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1", "WATCHDOG=trigger"}
	notifyPrefixes = []string{"STATUS=", "ERRNO=", "BUSERROR=", "MONOTONIC_USEC="}
)

// FilterNotify keeps of a container's datagram the lines that may go to the
// host's notify socket, each with its newline, in their order; nil if none may.
func FilterNotify(datagram []byte) []byte {
	var kept []byte
	for line := range strings.SplitSeq(string(datagram), "\n") {
		if mayNotify(line) {
			kept = append(append(kept, line...), '\n')
		}
	}
	return kept
}

func mayNotify(line string) bool {
	for _, whole := range notifyLines {
		if line == whole {
			return true
		}
	}
	for _, prefix := range notifyPrefixes {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}
