// SPDX-License-Identifier: Apache-2.0

package specconv

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/*.golden")

func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name  string
		value any
	}{
		{"example", Example()},
		{"example-rootless", ExampleRootless(1000, 1000)},
		{"features", Features(FeatureFacts{
			Version: "1.2.3", Commit: "0123456", LibseccompVersion: "2.5.5",
			Actions: []string{"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"}, Operators: []string{"SCMP_CMP_EQ"},
			Archs:      []string{"SCMP_ARCH_X86_64"},
			KnownFlags: []string{"SECCOMP_FILTER_FLAG_LOG"}, SupportedFlags: []string{"SECCOMP_FILTER_FLAG_LOG"},
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := json.MarshalIndent(c.value, "", "\t")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			path := filepath.Join("testdata", c.name+".golden")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("differs from %s; if that is meant, run go test -update\n%s", path, got)
			}
		})
	}
}
