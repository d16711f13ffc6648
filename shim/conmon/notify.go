// SPDX-License-Identifier: Apache-2.0

package conmon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"berth/shim/conmon/options"
)

// notifyProxy has a socket in the bundle, which the engine binds into the
// container, and passes on what may leave it: sd_notify(3).
type notifyProxy struct {
	in  *os.File
	out int
}

// listenNotify makes notify/notify.sock in the bundle. host is the path of the
// service manager's socket or, with a leading @, its abstract name.
func listenNotify(bundle, host string) (*notifyProxy, error) {
	dir := filepath.Join(bundle, "notify")
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	defer unix.Close(fd)
	if err := unix.Unlinkat(fd, "notify.sock", 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("cannot replace %s/notify.sock: %w", dir, err)
	}
	in, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	// By descriptor, as a bundle's path may exceed the 108 bytes of sun_path.
	// Whoever the process in the container is may write to it.
	umask := unix.Umask(0)
	err = unix.Fchmod(in, 0o777)
	if err == nil {
		err = unix.Bind(in, &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(fd) + "/notify.sock"})
	}
	unix.Umask(umask)
	p := &notifyProxy{out: -1}
	if err == nil {
		p.out, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	}
	if err == nil {
		err = unix.Connect(p.out, &unix.SockaddrUnix{Name: host})
	}
	if err != nil {
		_ = unix.Close(in) // never used
		if p.out >= 0 {
			_ = unix.Close(p.out) // never used
		}
		return nil, fmt.Errorf("sd_notify proxy for %s: %w", host, err)
	}
	p.in = os.NewFile(uintptr(in), "notify.sock")
	return p, nil
}

// forward passes messages on until close.
func (p *notifyProxy) forward(warn func(error)) {
	defer unix.Close(p.out) // only written to
	var buf [8192]byte
	for {
		n, err := p.in.Read(buf[:])
		if errors.Is(err, io.EOF) {
			continue // an empty message
		}
		if err != nil {
			return
		}
		if text := options.FilterNotify(buf[:n]); text != nil {
			if _, err := unix.Write(p.out, text); err != nil {
				warn(fmt.Errorf("cannot notify the service manager: %w", err))
			}
		}
	}
}

func (p *notifyProxy) close() { _ = p.in.Close() }
