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

// newWorkplace refuses a place that is taken. The caller makes the directory with
// make, when there is a record of the bundle: from then on GC finds what is left
// of it.
func newWorkplace(final string) (*workplace, error) {
	if err := vacant(final); err != nil {
		return nil, err
	}
	if removeLeftovers(final) {
		return nil, fmt.Errorf("another process is making %s", final)
	}
	return &workplace{final: final}, nil
}

// vacant is nil if there is nothing at a place, or an empty directory.
func vacant(place string) error {
	names, err := os.ReadDir(place)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && len(names) > 0 {
		return fmt.Errorf("%s is there already and not empty", place)
	}
	return err
}

// workplacePrefix is how the names of all workplaces of a bundle begin.
func workplacePrefix(final string) string { return "." + filepath.Base(final) + ".berth-" }

// removeLeftovers removes the workplaces of a bundle that have no owner any more,
// and says whether there is one that has.
func removeLeftovers(final string) (busy bool) {
	left, err := filepath.Glob(escapeGlob(filepath.Join(filepath.Dir(final), workplacePrefix(final))) + "*")
	if err != nil {
		return false // escapeGlob leaves nothing that could be wrong
	}
	for _, dir := range left {
		f, err := lockDirectory(dir)
		if err != nil { // somebody else's
			busy = busy || errors.Is(err, unix.EWOULDBLOCK)
			continue
		}
		_ = discard(dir) // the next one tries again
		_ = f.Close()    // read only
	}
	return busy
}

// lockDirectory opens a directory of ours and locks it, which fails with
// EWOULDBLOCK as long as another process does something with it. Nobody else can
// put something into its place then, unless the directory that it is in is
// somebody else's. Close unlocks it.
func lockDirectory(path string) (*os.File, error) {
	f, err := os.OpenFile(path, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(int(f.Fd()), &st); err == nil && int(st.Uid) != os.Geteuid() {
		err = unix.EPERM
	}
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		_ = f.Close() // read only
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// make makes the directory, for us alone until it is published.
func (w *workplace) make() error {
	temp, err := os.MkdirTemp(filepath.Dir(w.final), workplacePrefix(w.final)) // 0700
	if err != nil {
		return err
	}
	if w.lock, err = lockDirectory(temp); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	w.temp = temp
	return nil
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

// mkdirs makes directories of the bundle; the caller closes the last.
func (w *workplace) mkdirs(names ...string) (last *os.File, err error) {
	for _, name := range names {
		if last != nil {
			_ = last.Close() // only made
		}
		if last, err = w.mkdir(name, 0o755); err != nil {
			return nil, err
		}
	}
	return last, nil
}

// publish gives the bundle its name, in the place of an empty directory at most.
// It is locked until close.
func (w *workplace) publish() error {
	if err := unix.Rename(w.temp, w.final); err != nil {
		return fmt.Errorf("rename %s to %s: %w", w.temp, w.final, err)
	}
	w.temp = ""
	return nil
}

// close removes what was not published, and unlocks what was.
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

// discard removes a workplace, mounted or not.
func discard(dir string) error {
	if err := overlay.Unmount(filepath.Join(dir, rootfsName)); err != nil {
		return err
	}
	return removeTree(dir)
}

// removeBundle removes a bundle that the caller has locked. It loses its name
// first, so that nobody sees a part of it.
func removeBundle(dir string) error {
	if err := overlay.Unmount(filepath.Join(dir, rootfsName)); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), workplacePrefix(dir))
	if err != nil {
		return err
	}
	if err := unix.Rename(dir, temp); err != nil { // in the place of an empty directory
		return errors.Join(fmt.Errorf("rename %s to %s: %w", dir, temp, err), os.Remove(temp))
	}
	return removeTree(temp)
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

// ownIDs maps the ids that a user namespace has to themselves.
func ownIDs(maps []specs.LinuxIDMapping) []layer.IDMap {
	own := layerMaps(maps)
	for i := range own {
		own[i].Host = own[i].Container
	}
	return own
}

func (t *Tool) diffOptions(o bundle.Options) diff.Options {
	d := diff.Options{Warn: t.o.Warn}
	switch {
	case !t.ids.Initial(): // they are the container's already
	case o.Rootless:
		d.Rootless = true
	default:
		d.UIDs, d.GIDs = o.UIDMaps, o.GIDMaps
	}
	return d
}
