// SPDX-License-Identifier: Apache-2.0

// Package ociruntime has the two ways to run a container behind
// supervise.Runtime: Berth calls libcontainer in this process, Command executes
// the binary of any other OCI runtime. It also waits for processes, by pidfd.
package ociruntime
