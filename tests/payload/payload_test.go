// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"berth/tests/rig"
)

func TestReportOutsideAContainer(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "payload")
	if err := rig.Build("./tests/payload", bin); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	cmd := exec.Command("/bin/sh", "-c", "ulimit -S -n 100; umask 0027; exec "+bin)
	cmd.Env = []string{"A=1", "PATH=/bin:/usr/bin"}
	cmd.Stdin = in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got Report
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if soft := got.Rlimits["NOFILE"][:4]; soft != "100:" {
		t.Errorf("NOFILE = %q, want the soft limit before Go raised it, 100", got.Rlimits["NOFILE"])
	}
	if got.Umask != "0027" {
		t.Errorf("umask = %q, want 0027", got.Umask)
	}
	if got.Env["A"] != "1" {
		t.Errorf("A = %q, want 1", got.Env["A"])
	}
	for fd, target := range got.FDs {
		if strings.Contains(target, "epoll") || strings.Contains(target, "cgroup") {
			t.Errorf("descriptor %s is %s, which Go opened", fd, target)
		}
	}
}

func TestExitCommand(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "payload")
	if err := rig.Build("./tests/payload", bin); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "exit", "42")
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 42 {
		t.Errorf("exit code = %d (%v), want 42", cmd.ProcessState.ExitCode(), err)
	}
}
