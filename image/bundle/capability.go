// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"slices"
	"strings"
)

// allCaps are indexed by number, capabilities(7).
var allCaps = strings.Fields(`
	CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP
	CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER
	CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE
	CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL CAP_SETFCAP
	CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF
	CAP_CHECKPOINT_RESTORE`)

// dockerCaps are what root in a Docker container has.
var dockerCaps = strings.Fields(`
	CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP CAP_NET_BIND_SERVICE
	CAP_NET_RAW CAP_SYS_CHROOT CAP_MKNOD CAP_AUDIT_WRITE CAP_SETFCAP`)

// effectiveCaps changes the default set, or the full one if privileged. What is
// both added and dropped is dropped, except that a name wins over ALL.
func effectiveCaps(add, drop []string, privileged bool) ([]string, error) {
	add, addAll, err := parseCaps(add)
	if err != nil {
		return nil, err
	}
	drop, dropAll, err := parseCaps(drop)
	if err != nil {
		return nil, err
	}
	base := dockerCaps
	switch {
	case dropAll:
		base = nil
	case addAll || privileged:
		base = allCaps
	}
	caps := []string{}
	for _, c := range allCaps {
		if !slices.Contains(drop, c) && (slices.Contains(base, c) || slices.Contains(add, c)) {
			caps = append(caps, c)
		}
	}
	return caps, nil
}

func parseCaps(names []string) (caps []string, all bool, err error) {
	for _, name := range names {
		c := strings.ToUpper(name)
		if c == "ALL" {
			all = true
			continue
		}
		if !strings.HasPrefix(c, "CAP_") {
			c = "CAP_" + c
		}
		if !slices.Contains(allCaps, c) {
			return nil, false, fmt.Errorf("unknown capability %q", name)
		}
		caps = append(caps, c)
	}
	return caps, all, nil
}
