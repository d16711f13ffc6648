// SPDX-License-Identifier: Apache-2.0

// Package taskapi is containerd's shim v2 front end over package supervise: how
// a shim is started, found and cleaned up after (start.go, cleanup.go, info.go),
// the Task service over ttrpc in its versions 2 and 3, which differ in their
// names alone (service.go), and events (events.go).
//
// The contract is containerd's core/runtime/v2/README.md and, where that is
// silent, what containerd 1.6 to 2.3 do.
package taskapi
