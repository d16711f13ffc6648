// SPDX-License-Identifier: Apache-2.0

package options

import "time"

// Options is a monitor's command line after Parse. Strings and slices not given
// are empty, limits not given are 0. Paths are as the caller spelled them.
type Options struct {
	// Help and Version ask for Usage and Version instead of anything else; with
	// either, nothing was checked and the other fields mean nothing.
	Help, Version bool
	// Warnings are sentences about flags that were accepted and do nothing.
	Warnings []string

	// APIVersion is 0 for the legacy protocol and 1 for the present one. A number
	// given to --api-version counts for nothing: the flag is a boolean.
	APIVersion int

	ID   string // --cid, never empty
	UUID string // --cuuid, names the socket directory; may be empty in a legacy exec
	Name string // --name, for logs

	Bundle           string   // --bundle; WithDefaults fills it, except for exec
	Runtime          string   // --runtime; the caller has yet to check that it is executable
	RuntimeArgs      []string // --runtime-arg: before the runtime's sub-command
	RuntimeOpts      []string // --runtime-opt and --restore-arg: after it
	SystemdCgroup    bool
	NoPivot          bool
	NoNewKeyring     bool
	Restore          string // --restore, the image directory; "" creates
	Exec             bool
	ExecAttach       bool
	ExecProcessSpec  string // --exec-process-spec, a JSON file; never empty with Exec
	ReplaceListenPID bool

	PIDFile        string // --container-pidfile; WithDefaults fills it
	MonitorPIDFile string // --conmon-pidfile
	ExitDir        string
	PersistDir     string
	ExitCommand    string
	ExitArgs       []string      // --exit-command-arg
	ExitDelay      time.Duration // whole seconds, before ExitCommand
	Timeout        time.Duration // whole seconds, 0 for none
	Sync           bool          // fork once less

	Terminal       bool
	Stdin          bool
	LeaveStdinOpen bool
	SocketDir      string // --socket-dir-path, DefaultSocketDir if not given
	FullAttach     bool   // the attach socket is used in the bundle itself
	NotifySocket   string // --sdnotify-socket, the host's

	Logs             []Log    // --log-path in order, at least one
	LogSizeMax       int64    // bytes a file, 0 for no limit
	LogGlobalSizeMax int64    // bytes in total, 0 for no limit
	LogRotate        bool     // keep LogMaxFiles old files rather than truncate
	LogMaxFiles      int      // at least 1
	LogAllowDirs     []string // --log-allowlist-dir
	LogTag           string   // journald and none only
	LogLabels        []string // KEY=VALUE, with KEY of A-Z, 0-9, _; journald and none only
	NoPartialMessage bool     // --no-container-partial-message
	NoSyncLog        bool
	LogLevel         Level // of the monitor's own log
	Syslog           bool

	// SyncPipe, StartPipe and AttachPipe are the numbers in _OCI_SYNCPIPE,
	// _OCI_STARTPIPE and _OCI_ATTACHPIPE, -1 if not set. The descriptors belong to
	// the caller, who has yet to see whether they are open and make them
	// close-on-exec. AttachPipe is looked at with ExecAttach only.
	SyncPipe, StartPipe, AttachPipe int
}

// DefaultSocketDir is where conmon puts the links to attach sockets.
const DefaultSocketDir = "/var/run/crio"

// Level is how much the monitor says about itself.
type Level int

// The levels of --log-level; fatal and panic are names of LevelError.
const (
	LevelError Level = iota
	LevelWarn
	LevelInfo
	LevelDebug
	LevelTrace
)

var levels = map[string]Level{
	"error": LevelError, "fatal": LevelError, "panic": LevelError,
	"warn": LevelWarn, "warning": LevelWarn,
	"info": LevelInfo, "debug": LevelDebug, "trace": LevelTrace,
}

// Driver is a log driver under its first name: off and null are None.
type Driver string

// The drivers of --log-path.
const (
	K8sFile     Driver = "k8s-file"
	JSONFile    Driver = "json-file" // not conmon's: the lines of Docker's driver
	Journald    Driver = "journald"
	Passthrough Driver = "passthrough"
	None        Driver = "none"
)

// Log is one place for the container's output. Path is empty except for K8sFile
// and JSONFile.
type Log struct {
	Driver Driver
	Path   string
}

// WithDefaults fills in what conmon takes from its working directory, which has
// to be absolute: the bundle (not for exec, where a bundle asks for an attach
// socket) and the container's pid file.
func (o Options) WithDefaults(cwd string) Options {
	if o.Bundle == "" && !o.Exec {
		o.Bundle = cwd
	}
	if o.PIDFile == "" {
		o.PIDFile = cwd + "/pidfile-" + o.ID
	}
	return o
}
