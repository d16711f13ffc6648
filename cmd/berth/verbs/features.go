// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"berth/libcontainer/seccomp"
	"berth/specconv"
)

// featuresCommand is `features`. Engines run it when they start, without a
// state root and perhaps not as root.
type featuresCommand struct{}

func (*featuresCommand) flags() []flag { return nil }

func (*featuresCommand) run(e *env, _ []string) (int, error) {
	s := seccomp.Support()
	return 0, printJSON(e.stdio[1], "    ", specconv.Features(specconv.FeatureFacts{
		Version: version, Commit: commit, LibseccompVersion: s.Version,
		Actions: words(s.Actions), Operators: words(s.Operators), Archs: words(s.Archs),
		KnownFlags: words(s.KnownFlags), SupportedFlags: words(s.SupportedFlags),
	}))
}

func words[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = string(w)
	}
	return out
}
