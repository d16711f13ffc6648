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
		if err := network.Sweep(ctx, ""); err != nil {
			t.o.Warn(err.Error())
		}
		for _, b := range bundles {
			removeLeftovers(b.Path)
		}
	}
	return t.store.GC(ctx, o)
}

// sweepRuns ends the Runs that were killed. What cannot be ended stays.
func (t *Tool) sweepRuns() {
	dirs, err := filepath.Glob(escapeGlob(filepath.Join(t.store.Path(), runDir)) + "/*")
	if err != nil {
		return // escapeGlob leaves nothing that could be wrong
	}
	for _, dir := range dirs {
		if strings.HasPrefix(filepath.Base(dir), ".") {
			continue // a workplace, which its record leads to
		}
		lock, err := lockDirectory(dir)
		if err == nil {
			err = endRun(dir)
			_ = lock.Close() // read only
		}
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, os.ErrNotExist) {
			t.o.Warn(err.Error())
		}
	}
}
