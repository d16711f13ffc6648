// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestStopRefusesWhatIsNoRoom: a mistyped directory is not emptied.
func TestStopRefusesWhatIsNoRoom(t *testing.T) {
	scripts, err := filepath.Glob("../../integration/engines/*/start.sh")
	if err != nil || len(scripts) == 0 {
		t.Fatal(scripts, err)
	}
	for _, script := range scripts {
		dir := filepath.Join(t.TempDir(), "be-mine")
		file := filepath.Join(dir, "kept")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(script, "stop", dir).CombinedOutput()
		if _, gone := os.Stat(file); err == nil || gone != nil || !strings.Contains(string(out), "is no room") {
			t.Errorf("%s stop: %v, %q, %v", script, err, out, gone)
		}
	}
}
