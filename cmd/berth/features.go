// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"

	"berth/libcontainer/seccomp"
	"berth/specconv"
)

// featuresCommand is `features`. Engines run it when they start, without a
// state root and perhaps not as root.
type featuresCommand struct{}

func (*featuresCommand) flags() []flag { return nil }

func (*featuresCommand) run(*env, []string) (int, error) {
	return 0, printJSON(os.Stdout, "    ", specconv.Features(featureFacts()))
}

// featureFacts are what the build and libseccomp know.
func featureFacts() specconv.FeatureFacts {
	s := seccomp.Support()
	return specconv.FeatureFacts{
		Version: version, Commit: commit, LibseccompVersion: s.Version,
		Actions: words(s.Actions), Operators: words(s.Operators), Archs: words(s.Archs),
		KnownFlags: words(s.KnownFlags), SupportedFlags: words(s.SupportedFlags),
	}
}

// words turns the spec's string types into strings.
func words[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = string(w)
	}
	return out
}
