// SPDX-License-Identifier: Apache-2.0

// Package options is the text side of conmon's contract, as values: the command
// line that Podman and CRI-O give to a monitor, the command line that the
// monitor gives to a runtime, the messages on the sync pipe, the lines of the
// ctl and winsz fifos, and the lines of sd_notify that may leave a container.
// Everything is pure: it opens no file, and looks at the environment only
// through the function that Parse is given.
//
//	o, err := options.Parse(os.Args[1:], os.Getenv)
//	o = o.WithDefaults(cwd)
//	argv := options.RuntimeArgs(o, "")
//	message := options.Message{Key: o.MessageKey(), Value: pid}.Encode()
//
// Flags and texts are those of conmon 2.2.1, the rules for spelling them those
// of GLib's GOption; both were compared with Debian's conmon 2.1.6.
package options
