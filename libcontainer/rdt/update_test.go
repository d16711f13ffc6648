// SPDX-License-Identifier: Apache-2.0

package rdt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUpdateCanBeUndone(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "schemata")
	if err := os.WriteFile(file, []byte("L3:0=f\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	undo, err := Update(&Group{Path: dir}, []string{"L3:0=3"})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(file); !strings.Contains(string(got), "L3:0=3") {
		t.Errorf("after update: %q", got)
	}
	undo()
	if got, _ := os.ReadFile(file); !strings.Contains(string(got), "L3:0=f") {
		t.Errorf("after undo: %q", got)
	}
	if _, err := Check(nil, "L3:0=3"); err == nil {
		t.Error("a container without a group")
	}
}
