// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func lines(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n"), nil
}

// cgroups lists the directories of all hierarchies.
func cgroups() ([]string, error) {
	var found []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() { // one that has just gone is no error
			found = append(found, path)
		}
		return nil
	})
	return found, err
}

// processes lists those that are called as our payload is, or as the image.
func processes() ([]string, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, f := range dirs {
		if data, err := os.ReadFile(f); err == nil && string(data) == "sleep\x001000\x00" {
			found = append(found, filepath.Dir(f))
		}
	}
	return found, nil
}

// keyrings lists the session keyrings that are called like containers.
func keyrings() ([]string, error) {
	all, err := lines("/proc/keys")
	if os.IsNotExist(err) {
		return nil, nil
	}
	var found []string
	for _, line := range all {
		if strings.Contains(line, "_ses.") {
			found = append(found, strings.Fields(line)[0])
		}
	}
	// A keyring goes a moment after its last process: some may be there.
	if len(found) > 100 {
		return []string{fmt.Sprintf("more than 100 session keyrings, %d", len(found))}, err
	}
	return nil, err
}

func units() ([]string, error) {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return nil, nil
	}
	out, err := exec.Command("systemctl", "list-units", "--all", "--plain", "--no-legend").Output()
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 0 {
			found = append(found, f[0])
		}
	}
	return found, nil
}

func names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	var found []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			found = append(found, e.Name())
		}
	}
	return found, err
}
