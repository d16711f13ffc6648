// SPDX-License-Identifier: Apache-2.0

package oom

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// v1 is an eventfd that the kernel counts up; cgroup-v1/memory.rst "OOM
// Control". It does so once more when the cgroup is removed.
type v1 struct{ dir int }

func watchV1(path string) (*os.File, source, error) {
	dir, err := openDir(path)
	if err != nil {
		return nil, nil, err
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		if err = register(dir, event); err == nil {
			return os.NewFile(uintptr(event), "oom eventfd"), &v1{dir}, nil
		}
		_ = unix.Close(event) // never used
	}
	_ = unix.Close(dir) // never used
	return nil, nil, err
}

// register asks the kernel to count events in dir up in event.
func register(dir, event int) error {
	control, err := openAt(dir, "memory.oom_control", unix.O_RDONLY)
	switch {
	case gone(err):
		return missing(dir)
	case err != nil:
		return err
	}
	defer unix.Close(control) // the kernel keeps the cgroup, not the file
	events, err := openAt(dir, "cgroup.event_control", unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(events) // written with one call, or refused
	for {
		_, err := unix.Write(events, fmt.Appendf(nil, "%d %d", event, control))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("cgroup.event_control: %w", err)
		}
		return nil
	}
}

func (v *v1) see(data []byte, _ bool) (n uint64, end bool, err error) {
	if len(data) == 8 {
		n = binary.NativeEndian.Uint64(data)
	}
	if unix.Faccessat(v.dir, "cgroup.procs", unix.F_OK, 0) == nil {
		return n, false, nil
	}
	if n > 0 {
		n-- // the removal's own
	}
	return n, true, nil
}

func (v *v1) close() { _ = unix.Close(v.dir) }
