// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package seccomp

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestAgentGetsListenerAndState with short and long names of the socket.
func TestAgentGetsListenerAndState(t *testing.T) {
	for name, metadata := range map[string]string{"/agent": "opaque", "/" + strings.Repeat("a", 90): strings.Repeat("large ", 10000)} {
		dir := t.TempDir()
		t.Chdir(dir)
		server, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(server)
		if err := unix.Bind(server, &unix.SockaddrUnix{Name: "." + name}); err != nil {
			t.Fatal(err)
		}
		if err := unix.Listen(server, 1); err != nil {
			t.Fatal(err)
		}
		file, err := os.CreateTemp(dir, "listener")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		state := &specs.State{Version: specs.Version, ID: "web", Status: specs.StateCreating, Pid: 42, Bundle: "/b", Annotations: map[string]string{"k": "v"}}
		sent := make(chan error)
		go func() { sent <- SendListener(dir+name, metadata, state, int(file.Fd()), 42) }()
		conn, _, err := unix.Accept(server)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(conn)
		message, fds := receive(t, conn)
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		var got specs.ContainerProcessState
		if err := json.Unmarshal(message, &got); err != nil {
			t.Fatal(err)
		}
		want := specs.ContainerProcessState{Version: specs.Version, Fds: []string{"seccompFd"}, Pid: 42, Metadata: metadata, State: *state}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if len(fds) != 1 {
			t.Fatalf("got %d descriptors, want 1", len(fds))
		}
		var a, b unix.Stat_t
		if unix.Fstat(fds[0], &a) != nil || unix.Fstat(int(file.Fd()), &b) != nil || a.Ino != b.Ino {
			t.Error("got another file, or ours was closed")
		}
		_ = unix.Close(fds[0])
	}
}

// receive reads to the end of the stream; descriptors come with the first bytes.
func receive(t *testing.T, conn int) (message []byte, fds []int) {
	t.Helper()
	for {
		buf, oob := make([]byte, 4096), make([]byte, 256)
		n, oobn, _, _, err := unix.Recvmsg(conn, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return message, fds
		}
		controls, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range controls {
			rights, err := unix.ParseUnixRights(&c)
			if err != nil || message != nil {
				t.Fatalf("descriptors after %d bytes, %v", len(message), err)
			}
			fds = append(fds, rights...)
		}
		message = append(message, buf[:n]...)
	}
}

func TestMissingAgentIsAnError(t *testing.T) {
	err := SendListener(t.TempDir()+"/agent", "", &specs.State{}, 0, 1)
	if !errors.Is(err, unix.ENOENT) || !strings.HasPrefix(err.Error(), "linux.seccomp.listenerPath: ") {
		t.Errorf("error = %v, want ENOENT about linux.seccomp.listenerPath", err)
	}
	if err := SendListener("x", "", nil, 0, 1); err == nil {
		t.Error("sent no state")
	}
}
