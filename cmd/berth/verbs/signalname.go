// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The real-time signals as C libraries number them; the two below belong to
// their thread implementations. signal(7)
const rtMin, rtMax = 34, 64

// signalAliases are names beside those of package unix.
var signalAliases = map[string]unix.Signal{
	"CLD": unix.SIGCHLD, "IOT": unix.SIGABRT, "POLL": unix.SIGIO, "UNUSED": unix.SIGSYS,
}

// parseSignal reads a signal's number, or its name with or without SIG in any
// case. 0 is no signal and only asks whether there is a process.
func parseSignal(s string) (unix.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 0 || n > rtMax || s[0] == '+' {
			return 0, fmt.Errorf("unknown signal %q", s)
		}
		return unix.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if sig := unix.SignalNum("SIG" + name); sig != 0 {
		return sig, nil
	}
	if sig, ok := signalAliases[name]; ok {
		return sig, nil
	}
	if sig, ok := realTime(name); ok {
		return sig, nil
	}
	return 0, fmt.Errorf("unknown signal %q", s)
}

// realTime reads RTMIN, RTMIN+n, RTMAX and RTMAX-n.
func realTime(name string) (unix.Signal, bool) {
	base, sign := rtMin, "+"
	offset, ok := strings.CutPrefix(name, "RTMIN")
	if !ok {
		base, sign = rtMax, "-"
		if offset, ok = strings.CutPrefix(name, "RTMAX"); !ok {
			return 0, false
		}
	}
	if offset == "" {
		return unix.Signal(base), true
	}
	digits, signed := strings.CutPrefix(offset, sign)
	n, err := strconv.ParseUint(digits, 10, 8)
	if !signed || err != nil || n > rtMax-rtMin {
		return 0, false
	}
	if sign == "-" {
		return unix.Signal(base - int(n)), true
	}
	return unix.Signal(base + int(n)), true
}
