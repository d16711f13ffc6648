// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"errors"
	"os"
	"testing"

	"berth/libcontainer/cgroup/stats"
)

func TestContainerWithoutCgroupIsNotPaused(t *testing.T) {
	c, dir, _ := fakeContainer(t)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := c.Pause(); !errors.Is(err, stats.ErrNone) || err.Error() != "container web: there is no cgroup" {
		t.Errorf("got %v, want %v", err, stats.ErrNone)
	}
}
