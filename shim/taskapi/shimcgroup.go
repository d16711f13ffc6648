// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"berth/libcontainer/cgroup"
)

// shimCgroup opens the v2 cgroup that the shim is to start in, made if it is
// missing; nil where cgroups are v1.
func shimCgroup(path string) (*os.File, error) {
	f, err := cgroup.Probe()
	if err != nil || !f.Unified {
		return nil, err
	}
	dir, err := below(f.V2Mount, path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("ShimCgroup: %w", err)
	}
	return os.Open(dir)
}

// joinV1 moves the shim into the cgroup in every hierarchy of v1.
func joinV1(path string, pid int) error {
	f, err := cgroup.Probe()
	if err != nil {
		return err
	}
	for _, h := range f.Hierarchies {
		if slices.Contains(h.Controllers, "cpuset") {
			continue // it takes no processes before it is told its CPUs
		}
		dir, err := below(h.Mountpoint, path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("ShimCgroup: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			return fmt.Errorf("ShimCgroup: %w", err)
		}
	}
	return nil
}

func below(mount, path string) (string, error) {
	if slices.Contains(strings.Split(path, "/"), "..") {
		return "", errors.New("ShimCgroup: the path must not contain \"..\"")
	}
	return filepath.Join(mount, path), nil
}
