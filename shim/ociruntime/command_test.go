// SPDX-License-Identifier: Apache-2.0

package ociruntime

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"berth/shim/supervise"
)

// script is a runtime that says what it was called with, and fails.
func script(t *testing.T, body string) (*Command, string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "oci")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o700); err != nil {
		t.Fatal(err)
	}
	return NewCommand(path, Options{ID: "web", Bundle: dir, Root: "/r", SystemdCgroup: true}), dir
}

func TestErrorsAreTheRuntimesOwnWords(t *testing.T) {
	c, dir := script(t, `printf '{"level":"warning","msg":"no"}\nnot json\n{"level":"error","msg":"the reason"}\n' >>"$4"; echo usage >&2; exit 1`)
	if err := os.WriteFile(filepath.Join(dir, "log.json"), []byte(`{"level":"error","msg":"of long ago"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err == nil || err.Error() != "oci start: the reason" {
		t.Errorf("%v", err)
	}
	c, _ = script(t, `echo "only here" >&2; exit 1`)
	if err := c.Start(); err == nil || err.Error() != "oci start: only here" {
		t.Errorf("%v", err)
	}
}

func TestWhatIsGoneIsNotFound(t *testing.T) {
	c, _ := script(t, `echo 'container "web" does not exist' >&2; exit 1`)
	if err := c.Kill(9, true); !errors.Is(err, supervise.ErrNotFound) {
		t.Errorf("kill: %v", err)
	}
	if err := c.Delete(true); err != nil {
		t.Errorf("delete: %v", err)
	}
	if _, err := c.Create(supervise.Wiring{}); errors.Is(err, supervise.ErrNotFound) || err == nil {
		t.Errorf("create: %v", err)
	}
}

func TestCommandLines(t *testing.T) {
	c, dir := script(t, `echo "$@" >>"${0%/*}/calls"; echo '[3,4]'`)
	if err := c.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := c.Kill(15, true); err != nil {
		t.Fatal(err)
	}
	if pids, err := c.Pids(); err != nil || len(pids) != 2 {
		t.Errorf("%v, %v", pids, err)
	}
	if err := c.Checkpoint(supervise.CheckpointOptions{ImagePath: "/i", OpenTCP: true}); err != nil {
		t.Fatal(err)
	}
	global := "--root /r --log " + dir + "/log.json --log-format json --systemd-cgroup "
	want := global + "pause web\n" + global + "kill --all web 15\n" + global + "ps --format json web\n" +
		global + "checkpoint --image-path /i --work-path " + dir + " --leave-running --tcp-established web\n"
	if got, err := os.ReadFile(filepath.Join(dir, "calls")); err != nil || string(got) != want {
		t.Errorf("%s\nwant\n%s%v", got, want, err)
	}
}
