// SPDX-License-Identifier: Apache-2.0

package specconv

import (
	"fmt"
	"slices"
	"strings"

	"berth/libcontainer/config"
)

// ipcSysctls are those that an ipc namespace has, ipc_namespaces(7).
var ipcSysctls = []string{
	"kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem",
	"kernel/shmall", "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced",
	"kernel/msg_next_id", "kernel/sem_next_id", "kernel/shm_next_id", "kernel/auto_msgmni",
}

// sysctls accepts what belongs to a namespace that the container has for
// itself; everything else would change the host.
func (c *converter) sysctls() error {
	list := c.spec.Linux.Sysctl
	keys := make([]string, 0, len(list))
	for key := range list {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		path, err := sysctlPath(key)
		if err != nil {
			return err
		}
		if err := c.allowSysctl(key, path); err != nil {
			return err
		}
		if slices.ContainsFunc(c.out.Sysctls, func(o config.Sysctl) bool { return o.Path == path }) {
			return fmt.Errorf("linux.sysctl: %q is given twice, with dots and with slashes", key)
		}
		c.out.Sysctls = append(c.out.Sysctls, config.Sysctl{Key: key, Path: path, Value: list[key]})
	}
	return nil
}

// sysctlPath turns a key into a path below /proc/sys. As in sysctl(8), the
// first separator says which one it is: in net.ipv4.conf.eth0/1.x the slash
// stands for a dot of the name.
func sysctlPath(key string) (string, error) {
	path := key
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
		path = strings.Map(func(r rune) rune {
			switch r {
			case '.':
				return '/'
			case '/':
				return '.'
			}
			return r
		}, key)
	}
	for _, part := range strings.Split(path, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "\n\x00") {
			return "", fmt.Errorf("linux.sysctl: invalid key %q", key)
		}
	}
	return path, nil
}

func (c *converter) allowSysctl(key, path string) error {
	need := func(t config.NamespaceType) error {
		if c.out.Namespaces.Has(t) {
			return nil
		}
		return fmt.Errorf("linux.sysctl: sysctl %q is not allowed in the host %s namespace; add a %s namespace", key, t, t)
	}
	switch {
	case strings.HasPrefix(path, "net/"):
		return need(config.NetworkNS)
	case strings.HasPrefix(path, "fs/mqueue/"), slices.Contains(ipcSysctls, path):
		return need(config.IPCNS)
	case strings.HasPrefix(path, "user/"):
		return need(config.UserNS)
	case path == "kernel/domainname":
		if c.spec.Domainname != "" {
			return fmt.Errorf("linux.sysctl: %q contradicts domainname", key)
		}
		return need(config.UTSNS)
	case path == "kernel/hostname":
		return fmt.Errorf("linux.sysctl: sysctl %q is not allowed; use hostname", key)
	}
	return fmt.Errorf("linux.sysctl: sysctl %q is not in a separate kernel namespace", key)
}
