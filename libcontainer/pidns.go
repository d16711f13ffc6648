// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"fmt"
	"strconv"
	"strings"

	"berth/internal/procfs"
)

// innerPid is a process's pid in its own pid namespace: the last number of
// NSpid in /proc/PID/status, proc_pid_status(5).
func innerPid(pid int) (int, error) {
	data, err := procfs.Read(strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(rest)
			if len(fields) > 0 {
				return strconv.Atoi(fields[len(fields)-1])
			}
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no NSpid", pid)
}
