// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// shims returns the pids of our containerd's shims: those of the container id,
// or with "" all of them.
func (d *daemon) shims(id string) []int {
	var pids []int
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well formed
	for _, dir := range dirs {
		data, err := os.ReadFile(dir + "/cmdline")
		if err != nil {
			continue // it has ended
		}
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && isShim(data, d.file("c.sock"), id) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// isShim says that a command line is that of a shim of the containerd at
// address, and of the container id unless that is "".
func isShim(cmdline []byte, address, id string) bool {
	args := bytes.Split(cmdline, []byte{0})
	if !strings.HasPrefix(filepath.Base(string(args[0])), "containerd-shim-") {
		return false
	}
	found, ours := id == "", false
	for i := 1; i < len(args); i++ {
		switch value := string(args[i]); string(args[i-1]) {
		case "-id":
			found = found || value == id
		case "-address":
			ours = value == address
		}
	}
	return found && ours
}

// awaitNoShims waits until the shims of a container have ended, so that their
// end is in nobody else's measurement.
func (d *daemon) awaitNoShims(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		left := d.shims(id)
		if len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("shims %v of %q do not end: %w", left, id, ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// parent is the process that a process's end is told to: a container's shim.
func parent(pid int) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	values, err := kilobytes(data, "PPid")
	return values["PPid"], err
}

// usage is what a process has of memory, in kB.
type usage struct {
	pss       int // its share of every page that it has mapped
	anonymous int // pages that are no file's
}

// readUsage reads it from smaps_rollup; proc(5), Linux 4.14.
func readUsage(pid int) (usage, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return usage{}, err
	}
	values, err := kilobytes(data, "Pss", "Anonymous")
	return usage{values["Pss"], values["Anonymous"]}, err
}

// kilobytes reads the numbers of "Name:   number" and "Name:  number kB" lines.
// Every name must be there.
func kilobytes(text []byte, names ...string) (map[string]int, error) {
	all := map[string]int{}
	for line := range strings.Lines(string(text)) {
		name, rest, ok := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if !ok || len(fields) == 0 {
			continue
		}
		if n, err := strconv.Atoi(fields[0]); err == nil {
			all[name] = n
		}
	}
	values := map[string]int{}
	for _, name := range names {
		n, ok := all[name]
		if !ok {
			return nil, fmt.Errorf("no number %q in %.60q", name, text)
		}
		values[name] = n
	}
	return values, nil
}
