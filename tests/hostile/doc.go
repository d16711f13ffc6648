// SPDX-License-Identifier: Apache-2.0

// Package hostile gives Berth bad input: malformed and hostile config.json
// files, root file systems that cannot be read, ids that are paths, state roots
// that are full or read-only. Each must end in one line of error and an exit
// code that is not 0, with nothing left behind and no Go stack trace. It holds
// tests only; BERTH_TEST_RUNTIME=runc shows how a peer does.
package hostile
