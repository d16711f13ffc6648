// SPDX-License-Identifier: Apache-2.0

package openat2

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOpen(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := os.Symlink("/", dir.Name()+"/out"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{".": nil, "out": unix.EXDEV, "none": unix.ENOENT} {
		fd, err := Open(int(dir.Fd()), name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH})
		if !errors.Is(err, want) || (fd < 0) != (err != nil) {
			t.Errorf("%s: %d, %v; want %v", name, fd, err, want)
		}
		if err == nil {
			_ = unix.Close(fd) // only looked at
		}
	}
}
