// SPDX-License-Identifier: Apache-2.0

// Package sdnotify passes a service's READY=1 from inside a container to the
// service manager outside, sd_notify(3). The container gets a directory of its
// own with a socket in it, never the host's socket: of what it sends, only that
// it is ready goes on, with the pid that the host knows it by.
//
//	dir, err := sdnotify.Setup(stateDir)         // create: bind it at MountPoint
//	p, err := sdnotify.Listen(dir, host)         // start, before letting init go
//	err = p.Forward(init)                        // … and after
package sdnotify

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/pidfd"
)

const (
	// Dir is the directory's name in the container's state directory.
	Dir = "notify"
	// MountPoint is where the container sees the directory, read-only.
	MountPoint = "/run/notify"
	// Env is the variable for the container's process.
	Env = "NOTIFY_SOCKET=" + MountPoint + "/" + socketName

	socketName = "notify.sock"
	// barrierTime is how long the service manager may take to see the message.
	// If we left earlier it could not tell whose it was.
	barrierTime = 30 * time.Second
	maxMessage  = 64 << 10
)

// Setup makes the directory in stateDir and returns its path.
func Setup(stateDir string) (string, error) {
	dir := filepath.Join(stateDir, Dir)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("cannot make the directory for NOTIFY_SOCKET: %w", err)
	}
	// The container's user, whoever it is, must get through, whatever our umask.
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", fmt.Errorf("cannot make the directory for NOTIFY_SOCKET: %w", err)
	}
	return dir, nil
}

// Proxy forwards the messages of one container; Close it.
type Proxy struct {
	socket *os.File
	host   string
	// barrier is how long to wait for the service manager.
	barrier time.Duration
}

// Listen makes the socket in dir, the directory that Setup made. host is the value
// of our own NOTIFY_SOCKET: an absolute path or, with a leading '@', a name in
// the abstract namespace.
func Listen(dir, host string) (*Proxy, error) {
	if len(host) < 2 || host[0] != '/' && host[0] != '@' {
		return nil, fmt.Errorf("cannot use NOTIFY_SOCKET %q: neither an absolute path nor an abstract name", host)
	}
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open %q: %w", dir, err)
	}
	defer unix.Close(at)
	fd, err := listen(at)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", filepath.Join(dir, socketName), err)
	}
	return &Proxy{os.NewFile(uintptr(fd), socketName), host, barrierTime}, nil
}

func listen(dir int) (int, error) {
	// A start that was killed may have left its socket.
	if err := unix.Unlinkat(dir, socketName, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	// By descriptor, as the state directory's path may exceed sun_path.
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(dir) + "/" + socketName})
	if err == nil {
		err = unix.Fchmodat(dir, socketName, 0o777, 0)
	}
	if err != nil {
		_ = unix.Close(fd) // never used
		return -1, err
	}
	return fd, nil
}

// Close stops listening. The socket's name stays until the state is removed, so
// that later messages get ECONNREFUSED, which sd_notify callers ignore.
func (p *Proxy) Close() error { return p.socket.Close() }

// Forward waits until the container says READY=1, tells the service manager so
// with init as the main process, waits until it has taken note, and returns. It
// also returns, without error, when init ends first.
func (p *Proxy) Forward(init *pidfd.Handle) error {
	ready, err := p.waitReady(init)
	if err != nil || !ready {
		return err
	}
	if err := p.send("READY=1\nMAINPID=" + strconv.Itoa(init.PID()) + "\n"); err != nil {
		return fmt.Errorf("cannot notify %q: %w", p.host, err)
	}
	return nil
}

func (p *Proxy) waitReady(init *pidfd.Handle) (bool, error) {
	fd := int(p.socket.Fd())
	defer runtime.KeepAlive(p.socket)
	fds := []unix.PollFd{
		{Fd: int32(fd), Events: unix.POLLIN},
		{Fd: int32(init.File().Fd()), Events: unix.POLLIN},
	}
	buf := make([]byte, maxMessage)
	for {
		if _, err := unix.Poll(fds, -1); err != nil {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return false, fmt.Errorf("cannot wait for READY=1: %w", err)
		}
		// Messages first: what init said before it ended counts.
		for {
			// Files that come along are closed by the kernel: no room for them.
			n, _, _, _, err := unix.Recvmsg(fd, buf, nil, unix.MSG_DONTWAIT)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if errors.Is(err, unix.EAGAIN) {
				break
			}
			if err != nil {
				return false, fmt.Errorf("cannot receive READY=1: %w", err)
			}
			if saysReady(buf[:n]) {
				return true, nil
			}
		}
		if fds[1].Revents != 0 {
			return false, nil
		}
	}
}

func saysReady(message []byte) bool {
	for line := range strings.SplitSeq(string(message), "\n") {
		if line == "READY=1" {
			return true
		}
	}
	return false
}

// send sends message, and then a barrier: a pipe's write end, which the
// service manager closes when it has handled all that came before.
func (p *Proxy) send(message string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// Go's SockaddrUnix makes a name that begins with '@' an abstract one.
	to := &unix.SockaddrUnix{Name: p.host}
	if err := sendTo(fd, message, nil, to); err != nil {
		return err
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(pipe[0])
	err = sendTo(fd, "BARRIER=1", unix.UnixRights(pipe[1]), to)
	_ = unix.Close(pipe[1]) // theirs now
	if err != nil {
		return err
	}
	return p.waitBarrier(pipe[0])
}

func sendTo(fd int, message string, oob []byte, to unix.Sockaddr) error {
	for {
		err := unix.Sendmsg(fd, []byte(message), oob, to, unix.MSG_NOSIGNAL)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// waitBarrier returns when the pipe has no writer left. A service manager that
// is too busy is no reason to fail: it did get the message.
func (p *Proxy) waitBarrier(pipe int) error {
	deadline := time.Now().Add(p.barrier)
	for {
		left := max(time.Until(deadline), 0)
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(pipe)}}, int(left/time.Millisecond))
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
