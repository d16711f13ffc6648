// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"

	"github.com/containerd/containerd/api/types"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"berth/libcontainer/seccomp"
	"berth/specconv"
)

// featuresURL is the type of the features document in an Any.
const featuresURL = "types.containerd.io/opencontainers/runtime-spec/1/features/Features"

// Info is the flag -info: what the runtime behind the options can do.
func Info(i *Invocation, name, version, commit string) error {
	data, err := io.ReadAll(io.LimitReader(i.Stdin, maxParams))
	if err != nil {
		return err
	}
	info := &types.RuntimeInfo{Name: name, Version: &types.RuntimeVersion{Version: version, Revision: commit}}
	var any anypb.Any
	if err := proto.Unmarshal(data, &any); err != nil {
		return fmt.Errorf("stdin: %w", err)
	}
	o, err := decodeOptions(&any)
	if err != nil {
		return err
	}
	if len(data) > 0 {
		info.Options = &any
	}
	features, err := readFeatures(o.BinaryName, version, commit)
	if err != nil {
		return err
	}
	info.Features = &anypb.Any{TypeUrl: featuresURL, Value: features}
	answer, err := proto.Marshal(info)
	if err != nil {
		return err
	}
	_, err = i.Stdout.Write(answer)
	return err
}

func readFeatures(binary, version, commit string) ([]byte, error) {
	if !isOurs(binary) {
		return exec.Command(binary, "features").Output()
	}
	s := seccomp.Support()
	return json.Marshal(specconv.Features(specconv.FeatureFacts{
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
