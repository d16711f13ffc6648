// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Runtime is one OCI runtime and the state root it is given.
type Runtime struct {
	Name string
	Path string
	Root string
}

// Find returns the runtime called name: berth is $BERTH or bin/berth of this
// module, others are looked up in PATH.
func Find(name, root string) (Runtime, error) {
	path := os.Getenv("BERTH")
	if name != "berth" {
		found, err := exec.LookPath(name)
		if err != nil {
			return Runtime{}, err
		}
		path = found
	} else if path == "" {
		module, err := ModuleDir()
		if err != nil {
			return Runtime{}, err
		}
		path = filepath.Join(module, "bin", "berth")
	}
	if _, err := os.Stat(path); err != nil {
		return Runtime{}, fmt.Errorf("%w (run: make build)", err)
	}
	if base := filepath.Base(name); base != name {
		name = base
	}
	return Runtime{Name: name, Path: path, Root: filepath.Join(root, name)}, nil
}

// Subject returns the runtime that a test is about: berth, or the one named by
// $BERTH_TEST_RUNTIME to see how a peer does in the same test.
func Subject(t testing.TB) Runtime {
	t.Helper()
	NeedRoot(t)
	name := os.Getenv("BERTH_TEST_RUNTIME")
	if name == "" {
		name = "berth"
	}
	r, err := Find(name, t.TempDir())
	if err != nil {
		Missing(t, name+": "+err.Error())
	}
	return r
}

// Command is a command line of the runtime with the state root filled in.
func (r Runtime) Command(args ...string) *exec.Cmd {
	return exec.Command(r.Path, append([]string{"--root", r.Root}, args...)...)
}

// Result is how one command of a runtime ended.
type Result struct {
	Stdout, Stderr string
	Code           int // -1: killed, or not started
	TimedOut       bool
}

// String is the result in one line, for messages.
func (r Result) String() string {
	return fmt.Sprintf("exit %d, stdout %q, stderr %q", r.Code, r.Stdout, r.Stderr)
}

// Do runs a command of the runtime to its end, at most for limit. Its standard
// streams are files, so that a container holding them open does not block.
func (r Runtime) Do(limit time.Duration, args ...string) (Result, error) {
	return Collect(r.Command(args...), limit)
}

// Collect runs cmd to its end, at most for limit.
func Collect(cmd *exec.Cmd, limit time.Duration) (Result, error) {
	return CollectStarted(cmd, limit, func(*os.Process) {})
}

// CollectStarted is Collect that calls started once the process is there.
func CollectStarted(cmd *exec.Cmd, limit time.Duration, started func(*os.Process)) (Result, error) {
	out, err := os.CreateTemp("", "berth-rig-out-")
	if err != nil {
		return Result{}, err
	}
	defer dispose(out)
	errs, err := os.CreateTemp("", "berth-rig-err-")
	if err != nil {
		return Result{}, err
	}
	defer dispose(errs)
	cmd.Stdout, cmd.Stderr = out, errs
	if err := cmd.Start(); err != nil {
		return Result{}, err
	}
	started(cmd.Process)
	res := Result{}
	timer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	err = cmd.Wait()
	res.TimedOut = !timer.Stop()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return Result{}, err
	}
	res.Code = cmd.ProcessState.ExitCode()
	res.Stdout, res.Stderr = content(out), content(errs)
	return res, nil
}

func content(f *os.File) string {
	var b bytes.Buffer
	if _, err := f.Seek(0, 0); err == nil {
		_, _ = b.ReadFrom(f) // what could be read is what is shown
	}
	return b.String()
}

func dispose(f *os.File) {
	_ = os.Remove(f.Name())
	_ = f.Close() // nothing of it is kept
}

// ModuleDir is the directory of go.mod, found upwards from the working directory.
func ModuleDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("no go.mod above %s", dir)
		}
	}
}

// Version is the first line of the runtime's --version.
func (r Runtime) Version() string {
	out, err := exec.Command(r.Path, "--version").Output()
	if err != nil {
		return "unknown (" + err.Error() + ")"
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return first
}

// NeedRoot ends the test unless it runs as root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Missing(t, "root")
	}
}

// Missing skips the test because the machine lacks what; with
// $BERTH_TEST_REQUIRE set, as in CI, that is a failure.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("BERTH_TEST_REQUIRE") != "" {
		t.Fatalf("missing: %s", what)
	}
	t.Skipf("missing: %s", what)
}
