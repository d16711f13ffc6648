// SPDX-License-Identifier: Apache-2.0

// Package openat2 is openat2(2), Linux 5.6, with the retries that it asks for.
//
//	fd, err := openat2.Open(dir, "etc/passwd", &unix.OpenHow{
//		Flags: unix.O_RDONLY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT,
//	})
package openat2

import (
	"errors"

	"golang.org/x/sys/unix"
)

// maxRetries bounds EAGAIN: some rename or mount on the machine raced with the
// look-up, and an attacker can cause that for ever.
const maxRetries = 128

// Open opens name below the descriptor dir. The new one is the caller's; the
// error is an errno, and the descriptor -1 then.
func Open(dir int, name string, how *unix.OpenHow) (int, error) {
	for try := 0; ; try++ {
		fd, err := unix.Openat2(dir, name, how)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) && try < maxRetries {
			continue
		}
		return fd, err
	}
}
