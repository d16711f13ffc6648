// SPDX-License-Identifier: Apache-2.0

package conmon

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"berth/shim/conmon/options"
)

// callerPipe is a pipe on which the caller reads messages. It is used until it
// breaks.
type callerPipe struct{ fd int }

// openCallerPipe takes over a descriptor; -1 is a pipe that nobody reads.
func openCallerPipe(fd int) *callerPipe { return &callerPipe{fd} }

// tell writes a message as one packet.
func (p *callerPipe) tell(message options.Message) {
	if p.fd < 0 {
		return
	}
	for {
		_, err := unix.Write(p.fd, message.Encode())
		switch err {
		case nil:
			return
		case unix.EINTR:
		default:
			p.close() // the caller has gone
			return
		}
	}
}

func (p *callerPipe) close() {
	if p.fd >= 0 {
		_ = unix.Close(p.fd) // everything was written
		p.fd = -1
	}
}

// inherited are our descriptors that are not close-on-exec, but for the
// standard ones: none of those that we open ourselves.
func inherited() []int {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var fds []int
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil || fd < 3 {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			fds = append(fds, fd)
		}
	}
	return fds
}

// ownLog is the monitor's word about itself: to syslog if it was asked for, to
// stderr, which is nobody's after the first stage but with --log passthrough.
type ownLog struct{ o options.Options }

// severities are syslog(3)'s.
var severities = [...]int{options.LevelError: 3, options.LevelWarn: 4, options.LevelInfo: 6, options.LevelDebug: 7, options.LevelTrace: 7}

// userFacility is syslog(3)'s LOG_USER.
const userFacility = 1 << 3

// write logs one sentence. That nobody reads it is no error.
func (l ownLog) write(level options.Level, text string) {
	if level > l.o.LogLevel {
		return
	}
	letter := "ewidt"[level : level+1]
	if !passthrough(l.o) {
		fmt.Fprintf(os.Stderr, "[conmon:%s]: %s\n", letter, text)
	}
	if !l.o.Syslog {
		return
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd) // only written to
	id := l.o.ID[:min(len(l.o.ID), 20)]
	line := fmt.Sprintf("<%d>conmon[%d]: conmon %s <%s>: %s", userFacility|severities[level], os.Getpid(), id, letter, text)
	_ = unix.Sendto(fd, []byte(line), 0, &unix.SockaddrUnix{Name: "/dev/log"}) // best effort
}
