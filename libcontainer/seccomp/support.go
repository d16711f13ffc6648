// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package seccomp

import (
	"fmt"

	libseccomp "github.com/seccomp/libseccomp-golang"
)

// Support says what Compile can do here. An architecture that libseccomp is too
// old for is left out.
func Support() Features {
	f := Features{Version: Version()}
	for _, a := range actions {
		f.Actions = append(f.Actions, a.name)
	}
	for _, o := range operators {
		f.Operators = append(f.Operators, o.name)
	}
	for _, a := range archs {
		// A lookup fails for its architecture before it fails for its name.
		if _, err := libseccomp.GetSyscallFromNameByArch("read", a.lib); err == nil {
			f.Archs = append(f.Archs, a.name)
		}
	}
	for _, known := range flags {
		f.KnownFlags = append(f.KnownFlags, known.name)
		if hasFlag(known.bit) {
			f.SupportedFlags = append(f.SupportedFlags, known.name)
		}
	}
	return f
}

// Version is libseccomp's, e.g. "2.5.4", and costs nothing: the binding asked for
// it when the program started.
func Version() string {
	major, minor, micro := libseccomp.GetLibraryVersion()
	return fmt.Sprintf("%d.%d.%d", major, minor, micro)
}
