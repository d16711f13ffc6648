// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// inherited are the descriptors from 3 on that our caller wants passed on.
type inherited struct {
	listen int    // of sd_listen_fds(3)
	names  string // their $LISTEN_FDNAMES
}

// inheritedFDs reads the protocol of sd_listen_fds(3) and checks that all
// descriptors are there. Ours are close-on-exec, those we inherit are not.
func inheritedFDs(preserve int) (inherited, error) {
	var in inherited
	if os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
		n, err := strconv.ParseUint(os.Getenv("LISTEN_FDS"), 10, 16)
		if err != nil {
			return in, fmt.Errorf("LISTEN_FDS: %w", err)
		}
		in = inherited{int(n), os.Getenv("LISTEN_FDNAMES")}
	}
	for i := range in.listen + preserve {
		flags, err := unix.FcntlInt(uintptr(3+i), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC != 0 {
			err = unix.EBADF
		}
		if err != nil {
			return in, fmt.Errorf("please check that preserved-fd %d (of %d) is present: %w", i, in.listen+preserve, err)
		}
	}
	return in, nil
}

// env tells the container's process about its sockets.
func (in inherited) env(list []string) []string {
	if in.listen == 0 {
		return list
	}
	list = setenv(list, "LISTEN_FDS", strconv.Itoa(in.listen))
	list = setenv(list, "LISTEN_PID", "1")
	if in.names != "" {
		list = setenv(list, "LISTEN_FDNAMES", in.names)
	}
	return list
}

// setenv returns list with the variable set, once.
func setenv(list []string, name, value string) []string {
	entry := name + "=" + value
	for i, v := range list {
		if strings.HasPrefix(v, name+"=") {
			list[i] = entry
			return list
		}
	}
	return append(list, entry)
}
