// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// unmountedError is any error with a bundle of berth-image whose overlay is not
// mounted, as after a reboot: nothing is found in the root file system then.
type unmountedError struct {
	error
	bundle string
}

func (e *unmountedError) Unwrap() error { return e.error }

// Hint says what to do about it.
func (e *unmountedError) Hint() string {
	return "the bundle's root file system is not mounted: berth-image mount " + e.bundle
}

// unmounted looks for the overlay's directories beside a rootfs that is no mount.
func (b *bundleFlags) unmounted(err error) error {
	bundle, failed := filepath.Abs(b.bundle)
	if failed != nil {
		return err
	}
	var above, root, other unix.Stat_t
	for name, st := range map[string]*unix.Stat_t{"": &above, "rootfs": &root, "upper": &other, "work": &other} {
		if unix.Lstat(filepath.Join(bundle, name), st) != nil {
			return err
		}
	}
	if root.Dev != above.Dev {
		return err
	}
	return &unmountedError{err, bundle}
}
