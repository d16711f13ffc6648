// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The two structures of seccomp_unotify(2), as the kernel lays them out.
type notification struct {
	id                 uint64
	pid, flags         uint32
	nr                 int32
	arch               uint32
	instructionPointer uint64
	args               [6]uint64
}

type response struct {
	id    uint64
	val   int64
	err   int32
	flags uint32
}

// From linux/seccomp.h: SECCOMP_IOWR(0, struct seccomp_notif) and (1, …_resp).
const (
	ioctlRecv = 0xc0502100
	ioctlSend = 0xc0182101
)

func serveSeccomp(args []string) error {
	if len(args) != 2 {
		return errors.New("seccomp wants a socket and an errno")
	}
	errno, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	payload, fds, err := receiveOne(args[0])
	if err != nil {
		return err
	}
	fmt.Println(payload)
	if len(fds) != 1 {
		return fmt.Errorf("got %d descriptors, want 1", len(fds))
	}
	for {
		var req notification
		if err := ioctl(fds[0], ioctlRecv, unsafe.Pointer(&req)); err != nil {
			return nil // ENOENT: the last process with the filter has gone
		}
		fmt.Printf("nr=%d\n", req.nr)
		resp := response{id: req.id, err: -int32(errno)}
		if err := ioctl(fds[0], ioctlSend, unsafe.Pointer(&resp)); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
}

// ioctl passes p, which outlives the call: both structures are on the
// caller's stack or heap and reachable until it returns.
func ioctl(fd int, request uintptr, p unsafe.Pointer) error {
	for {
		pfd := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(pfd, 10_000); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if request == ioctlRecv && pfd[0].Revents&unix.POLLIN == 0 {
			return unix.ENOENT
		}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(p))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return errno
		}
		return nil
	}
}

func rawSyscall(args []string) error {
	var v [7]uintptr
	for i, a := range args {
		if i >= len(v) {
			return errors.New("a system call has six arguments at most")
		}
		n, err := strconv.ParseInt(a, 0, 64)
		if err != nil {
			return err
		}
		v[i] = uintptr(n)
	}
	_, _, errno := unix.Syscall6(v[0], v[1], v[2], v[3], v[4], v[5], v[6])
	fmt.Printf("errno=%d\n", int(errno))
	return nil
}
