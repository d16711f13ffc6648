// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// endpoint is a socket behind which a manager can be reached.
type endpoint struct {
	socket string // a path, or "@name" for an abstract socket
	// direct is systemd's own socket, without a bus: there is neither Hello
	// nor a match, and all signals come.
	direct bool
}

// endpoints returns the sockets to try in turn. For the system manager they are
// those that systemctl and runc try: the bus, then systemd's own for root. For
// the user's it is systemd's own first, as for systemctl: a bus that is started
// by being connected to does not have systemd on it yet, and hosts without
// dbus-user-session have none. Then the session's, and the one at the path that
// systemd gives it.
func endpoints(user bool, env func(string) string, uid int) ([]endpoint, error) {
	if !user {
		bus := []endpoint{{socket: "/run/dbus/system_bus_socket"}}
		if address := env("DBUS_SYSTEM_BUS_ADDRESS"); address != "" {
			var err error
			if bus, err = parseAddress(address); err != nil {
				return nil, fmt.Errorf("DBUS_SYSTEM_BUS_ADDRESS: %w", err)
			}
		}
		return append(bus, endpoint{socket: "/run/systemd/private", direct: true}), nil
	}
	run := "/run/user/" + strconv.Itoa(uid)
	if dir := env("XDG_RUNTIME_DIR"); dir != "" {
		run = dir
	}
	all := []endpoint{{socket: filepath.Join(run, "systemd/private"), direct: true}}
	if address := env("DBUS_SESSION_BUS_ADDRESS"); address != "" {
		bus, err := parseAddress(address)
		if err != nil {
			return nil, fmt.Errorf("DBUS_SESSION_BUS_ADDRESS: %w", err)
		}
		all = append(all, bus...)
	}
	return append(all, endpoint{socket: filepath.Join(run, "bus")}), nil
}

// parseAddress takes the unix sockets from a D-Bus server address, as in the
// D-Bus specification, "Server Addresses": "unix:path=/a,guid=b;unix:abstract=c".
func parseAddress(address string) ([]endpoint, error) {
	var found []endpoint
	for one := range strings.SplitSeq(address, ";") {
		transport, keys, _ := strings.Cut(one, ":")
		if transport != "unix" {
			continue
		}
		for pair := range strings.SplitSeq(keys, ",") {
			key, value, _ := strings.Cut(pair, "=")
			socket, err := dbus.UnescapeBusAddressValue(value)
			switch {
			case err != nil:
				return nil, fmt.Errorf("cannot parse %q: %w", one, err)
			case socket == "":
			case key == "path":
				found = append(found, endpoint{socket: socket})
			case key == "abstract":
				found = append(found, endpoint{socket: "@" + socket})
			}
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%q names no unix socket", address)
	}
	return found, nil
}

// outerUID is the uid as the parent user namespace has it; uidMap is the text
// of /proc/self/uid_map, user_namespaces(7). Below rootless podman we are 0, and
// the user's directory is named for the uid outside.
func outerUID(uidMap string, uid int) int {
	for line := range strings.Lines(uidMap) {
		var inside, outside, count int
		if n, _ := fmt.Sscan(line, &inside, &outside, &count); n == 3 && uid >= inside && uid-inside < count {
			return outside + uid - inside
		}
	}
	return uid
}

// connectSlice is how long connect blocks before it looks at its context.
const connectSlice = 250 * time.Millisecond

// connect opens a socket. It blocks in the kernel while the backlog of the bus
// is full, as when hundreds of containers start at once: a socket that does not
// block would get EAGAIN and no event to wait for, and runc then sleeps.
func connect(ctx context.Context, socket string) (*net.UnixConn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), socket)
	defer f.Close() // net.FileConn has its own descriptor
	wait := unix.NsecToTimeval(connectSlice.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &wait); err != nil {
		return nil, fmt.Errorf("cannot set a timeout: %w", err)
	}
	for {
		err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket})
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("cannot connect to %s: %w", socket, err)
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("cannot connect to %s: %w", socket, context.Cause(ctx))
		}
	}
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("cannot use the connection to %s: %w", socket, err)
	}
	return c.(*net.UnixConn), nil
}
