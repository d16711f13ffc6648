// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

func TestEndpoints(t *testing.T) {
	for _, c := range []struct {
		user bool
		env  map[string]string
		want string
	}{
		{false, nil, "[{/run/dbus/system_bus_socket false} {/run/systemd/private true}]"},
		{false, map[string]string{"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/a%20b,guid=1;tcp:host=a;unix:abstract=/c", "XDG_RUNTIME_DIR": "/x"},
			"[{/a b false} {@/c false} {/run/systemd/private true}]"},
		{false, map[string]string{"DBUS_SYSTEM_BUS_ADDRESS": "tcp:host=a"}, `DBUS_SYSTEM_BUS_ADDRESS: "tcp:host=a" names no unix socket`},
		{true, nil, "[{/run/user/1000/systemd/private true} {/run/user/1000/bus false}]"},
		{true, map[string]string{"XDG_RUNTIME_DIR": "/x"}, "[{/x/systemd/private true} {/x/bus false}]"},
		{true, map[string]string{"XDG_RUNTIME_DIR": "/x", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/s", "DBUS_SYSTEM_BUS_ADDRESS": "no"},
			"[{/x/systemd/private true} {/s false} {/x/bus false}]"},
		{true, map[string]string{"DBUS_SESSION_BUS_ADDRESS": "unix:path=%zz"}, `DBUS_SESSION_BUS_ADDRESS: cannot parse "unix:path=%zz": invalid URL escape "%zz"`},
		{true, map[string]string{"DBUS_SESSION_BUS_ADDRESS": "disabled:"}, `DBUS_SESSION_BUS_ADDRESS: "disabled:" names no unix socket`},
	} {
		all, err := endpoints(c.user, func(name string) string { return c.env[name] }, 1000)
		got := fmt.Sprint(all)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestOuterUID(t *testing.T) {
	const initial = "         0          0 4294967295\n"
	const podman = "         0       1000          1\n         1     100000      65536\n"
	for _, c := range []struct {
		text      string
		uid, want int
	}{{initial, 0, 0}, {initial, 1000, 1000}, {podman, 0, 1000}, {podman, 5, 100004}, {podman, 70000, 70000}, {"", 7, 7}} {
		if got := outerUID(c.text, c.uid); got != c.want {
			t.Errorf("outerUID(%q, %d) = %d, want %d", c.text, c.uid, got, c.want)
		}
	}
}

func TestParseVersion(t *testing.T) {
	for s, want := range map[string]int{"219": 219, "v245.4-1.fc32": 245, "257.7-1": 257, "258~rc1-1": 258, "241-7~deb10u8": 241} {
		if got, err := parseVersion(s); got != want || err != nil {
			t.Errorf("parseVersion(%q) = %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "v", "main", "0", "99999999999999999999"} {
		if got, err := parseVersion(s); err == nil || err.Error() != fmt.Sprintf("it has no number: %q", s) {
			t.Errorf("parseVersion(%q) = %d, %v", s, got, err)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "bus")
	_, err := connectTo(t.Context(), []endpoint{{socket: missing}}, true)
	want := "cannot connect to the user's systemd (a rootless container needs dbus-user-session and a login session, or loginctl enable-linger): " +
		"cannot connect to " + missing + ": no such file or directory"
	if !errors.Is(err, unix.ENOENT) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// silence listens and never answers.
func silence(t *testing.T) (*net.UnixListener, string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "bus")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, socket
}

func TestBusNeverAuthenticates(t *testing.T) {
	_, socket := silence(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := connectTo(ctx, []endpoint{{socket: socket}}, false); err == nil || !strings.Contains(err.Error(), "cannot authenticate at "+socket+": ") {
		t.Errorf("got %v", err)
	}
}

// fill connects until the backlog of a listener is full.
func fill(t *testing.T, socket string) {
	t.Helper()
	for range 10 {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: socket})
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the backlog is never full")
}

func TestFullBacklog(t *testing.T) {
	l, socket := silence(t)
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if cerr := raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), 0) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	fill(t, socket)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := connect(ctx, socket); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	go func() {
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	}()
	c, err := connect(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// private plays systemd's own socket: a server without a bus, for one client.
func private(t *testing.T, l *net.UnixListener) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	in := bufio.NewReader(c)
	if b, err := in.ReadByte(); err != nil || b != 0 {
		return fmt.Errorf("no NUL byte: %v, %w", b, err)
	}
	// As sd-bus answers; it takes the uid from the socket.
	for _, step := range [][2]string{{"AUTH", "REJECTED EXTERNAL ANONYMOUS"}, {"AUTH EXTERNAL", "DATA"}, {"DATA", "OK 0123456789abcdef0123456789abcdef"},
		{"NEGOTIATE_UNIX_FD", "AGREE_UNIX_FD"}, {"BEGIN", ""}} {
		line, err := in.ReadString('\n')
		if err != nil || strings.TrimSpace(line) != step[0] {
			return fmt.Errorf("got %q, %v, want %q", line, err, step[0])
		}
		if step[1] != "" {
			fmt.Fprintf(c, "%s\r\n", step[1])
		}
	}
	m, err := dbus.DecodeMessage(in)
	if err != nil {
		return err
	}
	if got := m.Headers[dbus.FieldMember].Value(); got != "StopUnit" {
		return fmt.Errorf("the first call is %v", got) // Hello and AddMatch are the bus's
	}
	const job = dbus.ObjectPath("/org/freedesktop/systemd1/job/1")
	send := func(kind dbus.Type, headers map[dbus.HeaderField]dbus.Variant, body ...any) error {
		headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
		return (&dbus.Message{Type: kind, Headers: headers, Body: body}).EncodeTo(c, binary.LittleEndian)
	}
	err = send(dbus.TypeMethodReply, map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(m.Serial())}, job)
	if err != nil {
		return err
	}
	err = send(dbus.TypeSignal, map[dbus.HeaderField]dbus.Variant{dbus.FieldPath: dbus.MakeVariant(managerPath),
		dbus.FieldInterface: dbus.MakeVariant(managerName), dbus.FieldMember: dbus.MakeVariant("JobRemoved")}, uint32(1), job, scope.Name, "done")
	if err != nil {
		return err
	}
	m, err = dbus.DecodeMessage(in)
	if err != nil || m.Headers[dbus.FieldMember].Value() != "ResetFailedUnit" {
		return fmt.Errorf("the second call is %v, %w", m, err)
	}
	return send(dbus.TypeError, map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(m.Serial()),
		dbus.FieldErrorName: dbus.MakeVariant(nameNoSuchUnit)}, "not loaded")
}

func TestPrivateSocket(t *testing.T) {
	l, socket := silence(t)
	served := make(chan error, 1)
	go func() { served <- private(t, l) }()
	missing := endpoint{socket: filepath.Join(t.TempDir(), "bus")}
	b, err := connectTo(t.Context(), []endpoint{missing, {socket: socket, direct: true}}, false)
	if err != nil {
		t.Fatal(err, <-served)
	}
	defer b.Close()
	if err := b.Stop(t.Context(), scope); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
