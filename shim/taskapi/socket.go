// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Where sockets are, and how long their paths may be: sun_path has 108 bytes,
// containerd allows 106.
const (
	socketDir     = "/run/containerd/s"
	maxSocketPath = 106
)

// groupAnnotations name the group whose containers share a shim; the first that
// is there counts.
var groupAnnotations = []string{"io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"}

// group returns the id that a shim is found by: the container's, or its group's.
func group(bundle, id string) (string, error) {
	data, err := os.ReadFile(filepath.Join(bundle, "config.json"))
	if err != nil {
		return "", err
	}
	var config struct{ Annotations map[string]string }
	if err := json.Unmarshal(data, &config); err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Join(bundle, "config.json"), err)
	}
	for _, name := range groupAnnotations {
		if group := config.Annotations[name]; group != "" {
			return group, nil
		}
	}
	return id, nil
}

// socketPath is where the shim of a group listens. The name tells nothing.
func socketPath(dir, containerd, namespace, group string) (string, error) {
	if dir == "" {
		dir = defaultSocketDir()
	}
	sum := sha256.Sum256([]byte(filepath.Join(containerd, namespace, group)))
	path := filepath.Join(dir, hex.EncodeToString(sum[:]))
	if len(path) > maxSocketPath {
		return "", fmt.Errorf("socket path %s is longer than %d bytes", path, maxSocketPath)
	}
	return path, nil
}

func defaultSocketDir() string {
	if os.Geteuid() == 0 {
		return socketDir
	}
	if run := os.Getenv("XDG_RUNTIME_DIR"); run != "" {
		return filepath.Join(run, "containerd", "s")
	}
	return fmt.Sprintf("/tmp/containerd-s-%d", os.Geteuid())
}

// errServed says that a shim listens there already.
var errServed = errors.New("a shim listens there already")

// listen makes the socket, for us alone. A socket that nobody serves is in the
// way no longer.
func listen(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	for range 2 {
		l, err := listenOnce(path)
		if !errors.Is(err, unix.EADDRINUSE) {
			return l, err
		}
		if served(path) {
			return nil, errServed
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("listen on %s: %w", path, unix.EADDRINUSE)
}

// served says that somebody listens at a socket.
func served(path string) bool {
	conn, err := net.DialTimeout("unix", path, 100*time.Millisecond)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

func listenOnce(path string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), path)
	// The mode of the socket's file is that of the descriptor: never open to others.
	err = unix.Fchmod(fd, 0o600)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}
	if err == nil {
		err = unix.Listen(fd, 128)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return f, nil
}

// address is what containerd is told.
func address(path string) string { return "unix://" + path }

func pathOf(address string) string { return strings.TrimPrefix(address, "unix://") }
