// SPDX-License-Identifier: Apache-2.0

// Package conmon is a supervisor behind conmon's command line, for Podman and
// CRI-O. The texts of that contract are in the package options.
//
// A monitor has two stages. The first checks the command line, waits until its
// caller has put it into a cgroup, and starts the second, which is a session of
// its own: nothing may be started before that. (program.go)
//
// The second makes what the process's streams lead to, has the runtime create
// the container or start the exec, tells the caller, and waits (monitor.go):
//
//	process ─ pipes or terminal ─ streams.go ─┬─ logs
//	                                          └─ attach ─ clients
//	ctl, winsz (fifos)  ─ control.go ─ reopen logs, resize the terminal
//	sd_notify           ─ notify.go  ─ the host's service manager
//
// When the process has ended, its output is logged to the last byte, then its
// exit is told (ending.go): files, message, exit command. A client that does
// not read holds up its own stream, and the end of the monitor, but neither the
// log nor that report.
//
// A runtime that is the berth installed beside the monitor is not executed: its
// command line is called in this process (launch.go).
package conmon
