// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Trace says what to look for after a container is gone.
type Trace struct {
	Runtime Runtime
	ID      string
	// Bundle is the bundle directory; no mount may be at or below it.
	Bundle string
	// Marker is a string in the environment of the container's processes.
	Marker string
}

// Leftovers polls for at most limit until nothing of the container is left and
// returns what still is: processes, cgroups, mounts, state directories.
func (tr Trace) Leftovers(limit time.Duration) []string {
	for end := time.Now().Add(limit); ; time.Sleep(2 * time.Millisecond) {
		Reap()
		left := tr.look()
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

// Clean ends and removes what Leftovers found, for the next container's sake.
func (tr Trace) Clean() {
	for _, pid := range children() {
		_ = unix.Kill(pid, unix.SIGKILL)    // ended already
		_, _ = unix.Wait4(pid, nil, 0, nil) // reaped already
	}
	for _, dir := range CgroupDirs(tr.ID) {
		removeTree(dir)
	}
	_ = os.RemoveAll(filepath.Join(tr.Runtime.Root, tr.ID)) // its mounts keep it
}

func (tr Trace) look() []string {
	var left []string
	for _, pid := range children() {
		left = append(left, "child process "+describe(pid))
	}
	for _, pid := range marked(tr.Marker) {
		left = append(left, "process "+describe(pid))
	}
	for _, dir := range CgroupDirs(tr.ID) {
		left = append(left, "cgroup "+dir)
	}
	for _, line := range mountsBelow(tr.Bundle, filepath.Join(tr.Runtime.Root, tr.ID)) {
		left = append(left, "mount "+line)
	}
	if _, err := os.Lstat(filepath.Join(tr.Runtime.Root, tr.ID)); err == nil {
		left = append(left, "state directory "+tr.ID)
	}
	return left
}

// CgroupDirs returns every directory called id (or holding id in its name, as
// in scopes) in every mounted hierarchy.
func CgroupDirs(id string) []string {
	all, err := hierarchies()
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for _, h := range all {
		_ = filepath.WalkDir(h.point, func(path string, d fs.DirEntry, err error) error {
			if err != nil { // another test removed it meanwhile
				return nil
			}
			if d.IsDir() && strings.Contains(d.Name(), id) {
				found = append(found, path)
				return fs.SkipDir
			}
			return nil
		})
	}
	return found
}

func mountsBelow(dirs ...string) []string {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		for _, dir := range dirs {
			if len(fields) > 4 && (fields[4] == dir || strings.HasPrefix(fields[4], dir+"/")) {
				found = append(found, fields[4])
			}
		}
	}
	return found
}

// marked returns the processes with marker in their environment.
func marked(marker string) []int {
	if marker == "" {
		return nil
	}
	var found []int
	names, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil || !bytes.Contains(data, []byte(marker)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err == nil && pid != os.Getpid() {
			found = append(found, pid)
		}
	}
	return found
}

// children are the processes that have this one as parent: as it is a
// subreaper, every orphan of a runtime is among them, marked or not.
func children() []int {
	var found []int
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		data, _ := os.ReadFile(list) // the thread may have ended
		for word := range strings.FieldsSeq(string(data)) {
			if pid, err := strconv.Atoi(word); err == nil {
				found = append(found, pid)
			}
		}
	}
	return found
}

// Reap waits for every ended child. Call it only while no exec.Cmd runs.
func Reap() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if pid <= 0 || err != nil {
			return
		}
	}
}

// Adopted reaps, until stop is closed, the ended children that no exec.Cmd of
// this process owns, as an engine that is a subreaper does; own says which are.
func Adopted(stop <-chan struct{}, own func(pid int) bool) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Millisecond):
		}
		for _, pid := range children() {
			if !own(pid) {
				_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) // still running, or gone: next time
			}
		}
	}
}

func describe(pid int) string {
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	state := "?"
	if _, after, ok := strings.Cut(string(stat), ") "); ok {
		state = after[:1]
	}
	return fmt.Sprintf("%d (%s, state %s)", pid, strings.TrimSpace(string(comm)), state)
}
