// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"berth/image/network"
	"berth/image/store"
)

// GC removes what nothing uses, and what killed Unpacks and Runs have left, a
// container included that nobody waits for any more, and its network.
func (t *Tool) GC(ctx context.Context, o store.GCOptions) (store.Report, error) {
	o.Before = func(bundles []store.Bundle) {
		t.sweepRuns()
		if t.ids.Initial() { // a user has no networks
			if err := network.Sweep(ctx, ""); err != nil {
				t.o.Warn(err.Error())
			}
		}
		for _, b := range bundles {
			removeLeftovers(b.Path)
		}
	}
	return t.store.GC(ctx, o)
}

// sweepRuns ends the Runs that were killed. What cannot be ended stays.
func (t *Tool) sweepRuns() {
	if err := eachKilledRun(t.store.Path(), "", endRun); err != nil {
		t.o.Warn(err.Error())
	}
}

// EndRuns ends the containers of Runs that were killed, or only that with an ID,
// for a user with a store at root: they alone may do so, and not from a user
// namespace of theirs, which is not the container's. GC, and Run with the same
// ID, remove what is left.
func EndRuns(root, id string) error { return eachKilledRun(root, id, endContainer) }

// eachKilledRun calls for the bundles of Runs that were killed, or only for that
// with an ID. They are locked meanwhile.
func eachKilledRun(root, id string, call func(dir string) error) error {
	dirs, err := filepath.Glob(escapeGlob(filepath.Join(root, runDir)) + "/*")
	if err != nil {
		return nil // escapeGlob leaves nothing that could be wrong
	}
	var failed error
	for _, dir := range dirs {
		name := filepath.Base(dir)
		if id != "" && name != id || strings.HasPrefix(name, ".") {
			continue // the latter is a workplace, which its record leads to
		}
		lock, err := lockDirectory(dir)
		if err == nil {
			err = call(dir)
			_ = lock.Close() // read only
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, os.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}
