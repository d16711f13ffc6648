// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"fmt"
	"io"
	"path/filepath"
	"runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/seccomp"
)

// version and commit are set by the linker, see the Makefile.
var (
	version = "0.0.0-dev"
	commit  = "unknown"
)

// printVersion prints runc's five lines. Called as runc it says runc: go-runc
// wants the first line to begin with that; moby takes the word after "version".
func printVersion(w io.Writer, argv0 string) {
	name := filepath.Base(argv0)
	if name != "runc" {
		name = "berth"
	}
	fmt.Fprintf(w, "%s version %s\ncommit: %s\nspec: %s\ngo: %s\nlibseccomp: %s\n",
		name, version, commit, specs.Version, runtime.Version(), seccomp.Version())
}
