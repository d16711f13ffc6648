// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"os"
	"time"

	"berth/internal/flatjson"
	"berth/libcontainer/config"
)

// Status is the state of a container as the runtime spec names it.
type Status string

// The states of a container; Paused is derived from the freezer.
const (
	Creating Status = "creating"
	Created  Status = "created"
	Running  Status = "running"
	Paused   Status = "paused"
	Stopped  Status = "stopped"
)

// CreateOptions say how to create a container from its config.
type CreateOptions struct {
	Root   string // state root, absolute; made if missing
	ID     string
	Config *config.Container

	// Stdio are the process's standard descriptors when it has no terminal.
	// The caller keeps them.
	Stdio [3]*os.File
	// ConsoleSocket is the path of an AF_UNIX socket that gets the pty master.
	ConsoleSocket string
	// Console gets the pty master instead (foreground run); it then owns it.
	Console func(master *os.File) error
	// PidfdSocket is the path of an AF_UNIX socket that gets init's pidfd.
	PidfdSocket string
	// PidFile is written with init's pid, decimal without newline, once the
	// container is created.
	PidFile string
	// PreserveFDs is the number of descriptors from 3 on to pass, after ListenFDs.
	PreserveFDs int
	// ListenFDs is the number of socket-activation descriptors (from 3 on).
	ListenFDs int
	// NotifySocket is the host's $NOTIFY_SOCKET, "" for none.
	NotifySocket string
	NoNewKeyring bool
	// Start starts the process at once (run): no fifo, no wait.
	Start bool
	// Warn gets one line for each thing that is ignored or degraded; may be nil.
	Warn func(msg string)
}

// ExecOptions say what to start in a running container, and how.
type ExecOptions struct {
	Process *config.Process

	Stdio         [3]*os.File
	ConsoleSocket string
	Console       func(master *os.File) error
	PidfdSocket   string
	PidFile       string
	PreserveFDs   int
	ListenFDs     int
	NoNewKeyring  bool
	// Cgroups are values of --cgroup: "[ctrl[,ctrl]:]path" below the container's.
	Cgroups      []string
	IgnorePaused bool
	Warn         func(msg string)
}

// State is what `berth state` prints, runtime-spec runtime.md#state plus
// runc's fields.
type State struct {
	OCIVersion  string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Pid         int               `json:"pid"`
	Status      Status            `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Owner       string            `json:"owner"`
}

// JSON returns the state indented, as `state` prints it.
func (s *State) JSON(indent string) ([]byte, error) {
	return flatjson.Append(nil, []flatjson.Field{
		{Name: "ociVersion", Value: &s.OCIVersion, Empty: flatjson.Always},
		{Name: "id", Value: &s.ID, Empty: flatjson.Always},
		{Name: "pid", Value: &s.Pid, Empty: flatjson.Always},
		{Name: "status", Value: (*string)(&s.Status), Empty: flatjson.Always},
		{Name: "bundle", Value: &s.Bundle, Empty: flatjson.Always},
		{Name: "rootfs", Value: &s.Rootfs, Empty: flatjson.Always},
		{Name: "created", Value: &s.Created, Empty: flatjson.Always},
		{Name: "annotations", Value: &s.Annotations},
		{Name: "owner", Value: &s.Owner, Empty: flatjson.Always},
	}, indent)
}
