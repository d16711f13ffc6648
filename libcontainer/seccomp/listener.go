// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/internal/fdpass"
)

// SendListener connects to the seccomp agent at path, linux.seccomp.listenerPath,
// and sends it the listener fd with the container process state of pid, in one
// message. The caller keeps fd.
//
// runtime-spec config-linux.md#containerprocessstate: one state for each
// connection, which is closed after it.
func SendListener(path, metadata string, state *specs.State, fd, pid int) error {
	if state == nil {
		return errors.New("cannot hand over a seccomp listener: no container state")
	}
	message, err := json.Marshal(&specs.ContainerProcessState{
		Version:  specs.Version,
		Fds:      []string{specs.SeccompFdName},
		Pid:      pid,
		Metadata: metadata,
		State:    *state,
	})
	if err != nil {
		return fmt.Errorf("cannot encode the container process state: %w", err)
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot duplicate the seccomp listener: %w", err)
	}
	listener := os.NewFile(uintptr(dup), "seccomp listener")
	defer listener.Close()
	if err := fdpass.SendToSocket(path, message, listener); err != nil {
		return fmt.Errorf("linux.seccomp.listenerPath: cannot hand the listener to the agent: %w", err)
	}
	return nil
}
