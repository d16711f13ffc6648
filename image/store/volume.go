// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"regexp"
	"slices"
)

var volumeName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)

// Volume returns the directory of a named volume, and makes it if it is not
// there: mode 0755, for the users of a container; on the host, nobody else gets
// through its parent. GC never removes one.
func (s *Store) Volume(name string) (path string, err error) {
	if err := checkVolume(name); err != nil {
		return "", err
	}
	dir, err := s.mkdir(s.dirs[volumesDir], name, 0o755)
	if err != nil {
		return "", fmt.Errorf("volume %s: %w", name, hint(err))
	}
	_ = dir.Close() // only looked at
	return s.path + "/" + volumesDir + "/" + name, nil
}

// Volumes lists the names of the volumes.
func (s *Store) Volumes() ([]string, error) {
	names, err := list(s.dirs[volumesDir], ".")
	names = slices.DeleteFunc(names, func(name string) bool { return !volumeName.MatchString(name) })
	slices.Sort(names)
	return names, err
}

// RemoveVolume removes a volume with all that is in it. The error is ErrNotExist,
// or ErrInUse while a bundle that has not gone names it.
func (s *Store) RemoveVolume(name string) error {
	if err := checkVolume(name); err != nil {
		return err
	}
	names, err := s.Volumes()
	if err != nil {
		return err
	}
	if !slices.Contains(names, name) {
		return fmt.Errorf("volume %s: %w", name, ErrNotExist)
	}
	bundles, err := s.Bundles()
	if err != nil {
		return err
	}
	for _, b := range bundles {
		if slices.Contains(b.Volumes, name) && !b.isGone() {
			return fmt.Errorf("volume %s: %w, %q", name, ErrInUse, b.Path)
		}
	}
	return hint(discard(s.dirs[volumesDir], name))
}

func checkVolume(name string) error {
	if !volumeName.MatchString(name) {
		return fmt.Errorf("volume %.200q: a name has letters, digits, and _.- after the first", name)
	}
	return nil
}
