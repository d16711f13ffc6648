// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Runtime is the OCI runtime of one container. Calls other than Start and
// Create may come at any time and concurrently.
type Runtime interface {
	// Create makes the container and returns its init, which waits for Start.
	Create(Wiring) (Process, error)
	Start() error
	// Exec starts a process from its spec.
	Exec(id string, spec *specs.Process, w Wiring) (Process, error)
	// Kill signals init, or with all every process. ErrNotFound says that init
	// has ended.
	Kill(sig unix.Signal, all bool) error
	// Delete removes a container that is stopped or, with force, any. One that
	// is not there is no error.
	Delete(force bool) error
	Pause() error
	Resume() error
	Update(resources *specs.LinuxResources) error
	// Pids are the pids of all its processes.
	Pids() ([]int, error)
	// Checkpoint is ErrNotImplemented where the runtime cannot.
	Checkpoint(CheckpointOptions) error
}

// Process is a child of ours, or became one as we are its subreaper.
type Process interface {
	Pid() int
	// Wait returns the exit code, or 128 and the signal's number. It is called
	// once, and reaps the process.
	Wait() (int, error)
	// Signal signals this process and no other that got its pid.
	Signal(sig unix.Signal) error
}

// Wiring is what a new process gets as its standard streams: three files, which
// stay the caller's, or a terminal whose master Console then owns.
type Wiring struct {
	Terminal bool
	Stdio    [3]*os.File
	Console  func(master *os.File) error
}

// CheckpointOptions are those of containerd's CheckpointOptions message.
type CheckpointOptions struct {
	Exit, OpenTCP, ExternalUnixSockets, Terminal, FileLocks bool
	EmptyNamespaces                                         []string
	CgroupsMode, ImagePath, WorkPath, ParentPath            string
}

// Streams are the streams of one process. Its methods do not block but Drain.
type Streams interface {
	Wiring() Wiring
	// Begun closes what only the process needs: it has it now, or failed.
	Begun()
	Resize(width, height uint16) error
	CloseStdin() error
	// Drain waits until all that the process wrote was read, at most until the
	// channel is closed.
	Drain(giveUp <-chan struct{})
	Close()
}
