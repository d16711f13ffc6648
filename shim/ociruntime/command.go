// SPDX-License-Identifier: Apache-2.0

package ociruntime

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/shim/supervise"
)

// Command drives the binary of an OCI runtime by runc's command line.
type Command struct {
	binary string
	o      Options
}

var _ supervise.Runtime = (*Command)(nil)

// NewCommand returns the runtime of a container that need not exist.
func NewCommand(binary string, o Options) *Command { return &Command{binary, o} }

func (c *Command) logFile() string { return filepath.Join(c.o.Bundle, "log.json") }

// run executes a verb. Its error has the runtime's own words, from its log.
func (c *Command) run(w *supervise.Wiring, verb string, args ...string) ([]byte, error) {
	all := []string{"--root", c.o.Root, "--log", c.logFile(), "--log-format", "json"}
	if c.o.SystemdCgroup {
		all = append(all, "--systemd-cgroup")
	}
	all = append(append(all, verb), args...)
	cmd := exec.Command(c.binary, all...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if w != nil {
		// The files themselves: the container keeps them, so we must not wait
		// for their end.
		cmd.Stdout, cmd.Stderr = nil, nil
		if !w.Terminal {
			cmd.Stdin, cmd.Stdout, cmd.Stderr = w.Stdio[0], w.Stdio[1], w.Stdio[2]
		}
	}
	offset := fileSize(c.logFile())
	err := cmd.Run()
	if err == nil {
		return out.Bytes(), nil
	}
	words := lastError(c.logFile(), offset)
	if words == "" {
		words = strings.TrimSpace(errs.String())
	}
	if words == "" {
		words = err.Error()
	}
	return nil, c.class(verb, words)
}

// class recognises the errors that engines decide on.
func (c *Command) class(verb, words string) error {
	err := fmt.Errorf("%s %s: %s", filepath.Base(c.binary), verb, words)
	if verb == "create" || verb == "exec" {
		return err // what is not found there is a file
	}
	for _, text := range []string{"process already finished", "no such process", "does not exist", "container not running"} {
		if strings.Contains(strings.ToLower(words), text) {
			return fmt.Errorf("%w: %w", err, supervise.ErrNotFound)
		}
	}
	return err
}

func fileSize(path string) int64 {
	if st, err := os.Stat(path); err == nil {
		return st.Size()
	}
	return 0
}

// lastError is the last error that a runtime has logged since offset.
func lastError(path string, offset int64) string {
	data, err := os.ReadFile(path)
	if err != nil || int64(len(data)) < offset {
		return ""
	}
	last := ""
	for line := range bytes.Lines(data[offset:]) {
		var entry struct{ Level, Msg string }
		if json.Unmarshal(line, &entry) == nil && (entry.Level == "error" || entry.Level == "fatal") {
			last = strings.TrimSpace(entry.Msg)
		}
	}
	return last
}

// launch runs create or exec, which leave a process whose pid is in a file.
func (c *Command) launch(w supervise.Wiring, verb, pidFile string, args ...string) (supervise.Process, error) {
	args = append([]string{"--pid-file", pidFile}, args...)
	var console *ConsoleSocket
	if w.Terminal {
		var err error
		if console, err = ListenConsole(); err != nil {
			return nil, err
		}
		defer console.Close()
		args = append([]string{"--console-socket", console.Path}, args...)
	}
	if _, err := c.run(&w, verb, args...); err != nil {
		return nil, err
	}
	if console != nil {
		master, err := console.Receive()
		if err != nil {
			return nil, err
		}
		if err := w.Console(master); err != nil {
			return nil, err
		}
	}
	data, err := os.ReadFile(pidFile)
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pidFile, err)
	}
	return OpenChild(pid)
}

// Create makes the container of the bundle.
func (c *Command) Create(w supervise.Wiring) (supervise.Process, error) {
	args := []string{"--bundle", c.o.Bundle}
	if c.o.NoPivot {
		args = append(args, "--no-pivot")
	}
	if c.o.NoNewKeyring {
		args = append(args, "--no-new-keyring")
	}
	return c.launch(w, "create", filepath.Join(c.o.Bundle, "init.pid"), append(args, c.o.ID)...)
}

// Start lets init go.
func (c *Command) Start() error { return c.do("start", c.o.ID) }

func (c *Command) do(verb string, args ...string) error {
	_, err := c.run(nil, verb, args...)
	return err
}

// Exec starts a process.
func (c *Command) Exec(id string, spec *specs.Process, w supervise.Wiring) (supervise.Process, error) {
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp("", "berth-process-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	pidFile := filepath.Join(c.o.Bundle, filepath.Base(id)+".pid")
	defer os.Remove(pidFile)
	return c.launch(w, "exec", pidFile, "--process", f.Name(), "--detach", c.o.ID)
}

// Kill signals init or all.
func (c *Command) Kill(sig unix.Signal, all bool) error {
	args := []string{c.o.ID, strconv.Itoa(int(sig))}
	if all {
		args = append([]string{"--all"}, args...)
	}
	return c.do("kill", args...)
}

// Delete removes the container.
func (c *Command) Delete(force bool) error {
	args := []string{c.o.ID}
	if force {
		args = append([]string{"--force"}, args...)
	}
	if err := c.do("delete", args...); err != nil && !errors.Is(err, supervise.ErrNotFound) {
		return err
	}
	return nil
}

// Pause stops all processes.
func (c *Command) Pause() error { return c.do("pause", c.o.ID) }

// Resume lets them go on.
func (c *Command) Resume() error { return c.do("resume", c.o.ID) }

// Update changes limits.
func (c *Command) Update(r *specs.LinuxResources) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp("", "berth-resources-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return c.do("update", "--resources", f.Name(), c.o.ID)
}

// Pids are all in the container's cgroup.
func (c *Command) Pids() (pids []int, err error) {
	out, err := c.run(nil, "ps", "--format", "json", c.o.ID)
	if err != nil {
		return nil, err
	}
	return pids, json.Unmarshal(out, &pids)
}

// Checkpoint passes the options on.
func (c *Command) Checkpoint(o supervise.CheckpointOptions) error {
	args := []string{"--image-path", o.ImagePath, "--work-path", c.o.Bundle}
	if o.WorkPath != "" {
		args[3] = o.WorkPath
	}
	for _, f := range []struct {
		on   bool
		flag string
	}{
		{!o.Exit, "--leave-running"}, {o.OpenTCP, "--tcp-established"}, {o.ExternalUnixSockets, "--ext-unix-sk"},
		{o.Terminal, "--shell-job"}, {o.FileLocks, "--file-locks"},
	} {
		if f.on {
			args = append(args, f.flag)
		}
	}
	for _, ns := range o.EmptyNamespaces {
		args = append(args, "--empty-ns", ns)
	}
	if o.CgroupsMode != "" {
		args = append(args, "--manage-cgroups-mode", o.CgroupsMode)
	}
	if o.ParentPath != "" {
		args = append(args, "--parent-path", o.ParentPath)
	}
	return c.do("checkpoint", append(args, c.o.ID)...)
}
