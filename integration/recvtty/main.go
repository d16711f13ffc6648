// SPDX-License-Identifier: Apache-2.0

// Recvtty is the other end of every socket that a runtime talks to, for the
// bats suite: console, pidfd, seccomp agent, sd_notify. It also issues single
// system calls, so that it can be put into a root filesystem as a probe.
//
//	recvtty tty SOCKET [-send TEXT]    print payload and descriptors, then what the terminal says
//	recvtty pidfd SOCKET               print payload and the pid that the descriptor names
//	recvtty seccomp SOCKET ERRNO       print the state received, answer each call with ERRNO
//	recvtty sdnotify SOCKET            print datagrams until BARRIER=1 or three seconds passed
//	recvtty notify-send SOCKET TEXT    one datagram
//	recvtty syscall NR [ARG…]          print errno=N
package main

import (
	"fmt"
	"os"
)

// modes maps the first argument to what it does.
var modes = map[string]func(args []string) error{
	"tty":         receiveTTY,
	"pidfd":       receivePidfd,
	"seccomp":     serveSeccomp,
	"sdnotify":    serveNotify,
	"notify-send": sendNotify,
	"syscall":     rawSyscall,
}

func main() {
	if len(os.Args) < 3 || modes[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: recvtty tty|pidfd|seccomp|sdnotify SOCKET …, recvtty syscall NR [ARG…]")
		os.Exit(2)
	}
	if err := modes[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "recvtty: %v\n", err)
		os.Exit(1)
	}
}
