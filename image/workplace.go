// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/image/bundle"
	"berth/image/diff"
	"berth/image/layer"
	"berth/image/overlay"
	"berth/image/store"
)

// workplace is where a bundle is made, until it gets its name. It lies beside
// that, and what a killed process left of one is removed by the next.
type workplace struct {
	final string
	temp  string
	lock  *os.File // of temp, flock'ed: its owner is alive
}

// newWorkplace refuses a place that is taken.
func newWorkplace(final string) (*workplace, error) {
	names, err := os.ReadDir(final)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	case len(names) > 0:
		return nil, fmt.Errorf("%s is there already and not empty", final)
	}
	w := &workplace{final: final}
	w.removeLeftovers()
	return w, w.make()
}

// prefix is that of all workplaces of one bundle.
func (w *workplace) prefix() string { return "." + filepath.Base(w.final) + ".berth-" }

func (w *workplace) removeLeftovers() {
	left, err := filepath.Glob(escapeGlob(filepath.Join(filepath.Dir(w.final), w.prefix())) + "*")
	if err != nil {
		return // escapeGlob leaves nothing that could be wrong
	}
	for _, dir := range left {
		f, err := os.OpenFile(dir, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue // somebody else removes it
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = discard(dir) // the next one tries again
		}
		_ = f.Close() // read only
	}
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// make makes the directory, for us alone until it is published.
func (w *workplace) make() error {
	temp, err := os.MkdirTemp(filepath.Dir(w.final), w.prefix()) // 0700
	if err != nil {
		return err
	}
	w.temp = temp
	if w.lock, err = os.Open(temp); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := unix.Flock(int(w.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("flock %s: %w", temp, err)
	}
	return nil
}

// again begins anew.
func (w *workplace) again() error {
	w.close()
	return w.make()
}

func (w *workplace) path(name string) string { return filepath.Join(w.temp, name) }

// mkdir makes a directory of the bundle; the caller closes it.
func (w *workplace) mkdir(name string, mode uint32) (*os.File, error) {
	if err := unix.Mkdirat(int(w.lock.Fd()), name, mode); err != nil {
		return nil, fmt.Errorf("mkdir %s: %w", w.path(name), err)
	}
	dir, err := os.OpenFile(w.path(name), unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	// Whatever the umask is.
	return dir, os.NewSyscallError("fchmod", unix.Fchmod(int(dir.Fd()), mode))
}

// publish gives the bundle its name, in the place of an empty directory at most.
func (w *workplace) publish() error {
	if err := unix.Rename(w.temp, w.final); err != nil {
		return fmt.Errorf("rename %s to %s: %w", w.temp, w.final, err)
	}
	w.temp = ""
	return nil
}

// close removes what was not published.
func (w *workplace) close() {
	if w.temp != "" {
		_ = discard(w.temp) // the next one tries again
		w.temp = ""
	}
	if w.lock != nil {
		_ = w.lock.Close() // read only
		w.lock = nil
	}
}

// discard removes a bundle, mounted or not.
func discard(dir string) error {
	if err := overlay.Unmount(filepath.Join(dir, rootfsName)); err != nil {
		return err
	}
	return removeTree(dir)
}

// removeTree removes a directory with all that is below it, and no mounts.
func removeTree(path string) error {
	parent, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer parent.Close()
	return store.RemoveTree(parent, filepath.Base(path))
}

// isMountPoint says whether something is mounted at path; statx(2), Linux 5.8.
func isMountPoint(path string) (bool, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, 0, &st); err != nil {
		return false, fmt.Errorf("statx %s: %w", path, err)
	}
	return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
}

func layerMaps(maps []specs.LinuxIDMapping) []layer.IDMap {
	var out []layer.IDMap
	for _, m := range maps {
		out = append(out, layer.IDMap{Container: m.ContainerID, Host: m.HostID, Size: m.Size})
	}
	return out
}

func (t *Tool) diffOptions(o bundle.Options) diff.Options {
	d := diff.Options{Warn: t.o.Warn, Rootless: o.Rootless}
	if !o.Rootless {
		d.UIDs, d.GIDs = o.UIDMaps, o.GIDMaps
	}
	return d
}
