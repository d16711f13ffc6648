// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"
	"strings"
	"time"
)

// Compatible is the conmon whose contract this is. CRI-O reads it as semver and
// sends --sync from 2.0.19, --log-global-size-max from 2.1.2 on.
const Compatible = "2.2.1"

// Version is the text for --version, with a newline at its end: conmon's two
// lines, then ours. own is our version, commit may be empty.
func Version(own, commit string) string {
	if commit == "" {
		commit = "unknown"
	}
	return fmt.Sprintf("conmon version %s\ncommit: %s\nberth version %s\n", Compatible, commit, own)
}

// command is the command line before it is checked.
type command struct {
	Options
	api            bool
	logs           []string
	level          string
	seccompSocket  string
	seccompPlugins string
}

// entry is a row of conmon's table. What into points at is the kind of argument:
// *bool has none, *string keeps the last, *[]string all, *int an int32, *int64
// an int64, and *time.Duration an int32 of seconds.
type entry struct {
	long  string
	short byte // 0 for none
	into  any
	help  string // "" hides it from Usage
}

func (c *command) flags() []entry {
	return []entry{
		{"api-version", 0, &c.api, "Conmon API version to use"},
		{"bundle", 'b', &c.Bundle, "Location of the OCI Bundle path"},
		{"cid", 'c', &c.ID, "Identification of Container"},
		{"conmon-pidfile", 'P', &c.MonitorPIDFile, "PID file for the conmon process"},
		{"container-pidfile", 'p', &c.PIDFile, "PID file for the initial pid inside of container"},
		{"cuuid", 'u', &c.UUID, "Container UUID"},
		{"exec", 'e', &c.Exec, "Exec a command into a running container"},
		{"exec-attach", 0, &c.ExecAttach, "Attach to an exec session"},
		{"exec-process-spec", 0, &c.ExecProcessSpec, "Path to the process spec for execution"},
		{"exit-command", 0, &c.ExitCommand, "Path to the program to execute when the container terminates its execution"},
		{"exit-command-arg", 0, &c.ExitArgs, "Additional arg to pass to the exit command.  Can be specified multiple times"},
		{"exit-delay", 0, &c.ExitDelay, "Delay before invoking the exit command (in seconds)"},
		{"exit-dir", 0, &c.ExitDir, "Path to the directory where exit files are written"},
		{"full-attach", 0, &c.FullAttach, "Don't truncate the path to the attach socket. This option causes conmon to ignore --socket-dir-path"},
		{"leave-stdin-open", 0, &c.LeaveStdinOpen, "Leave stdin open when attached client disconnects"},
		{"log-allowlist-dir", 0, &c.LogAllowDirs, "Directory below which log files may be. Can be specified multiple times"},
		{"log-global-size-max", 0, &c.LogGlobalSizeMax, "Maximum size of all log files"},
		{"log-label", 0, &c.LogLabels, "Additional label KEY=VALUE for logs (journald). Can be specified multiple times"},
		{"log-level", 0, &c.level, "Print debug logs based on log level"},
		{"log-max-files", 0, &c.LogMaxFiles, "Number of rotated log files to keep (with --log-rotate)"},
		{"log-path", 'l', &c.logs, "Log file path"},
		{"log-rotate", 0, &c.LogRotate, "Rotate log files at --log-size-max instead of truncating them"},
		{"log-size-max", 0, &c.LogSizeMax, "Maximum size of log file"},
		{"log-tag", 0, &c.LogTag, "Additional tag to use for logging"},
		{"name", 'n', &c.Name, "Container name"},
		{"no-container-partial-message", 0, &c.NoPartialMessage, "Do not set CONTAINER_PARTIAL_MESSAGE on partial lines (journald)"},
		{"no-new-keyring", 0, &c.NoNewKeyring, "Do not create a new session keyring for the container"},
		{"no-pivot", 0, &c.NoPivot, "Do not use pivot_root"},
		{"no-sync-log", 0, &c.NoSyncLog, "Do not manually call sync on logs after container shutdown"},
		{"persist-dir", '0', &c.PersistDir, "Persistent directory for a container that can be used for storing container data"},
		{"pidfile", 0, &c.PIDFile, ""},
		{"replace-listen-pid", 0, &c.ReplaceListenPID, "Replace listen pid if set for oci-runtime pid"},
		{"restore", 0, &c.Restore, "Restore a container from a checkpoint"},
		{"restore-arg", 0, &c.RuntimeOpts, ""},
		{"runtime", 'r', &c.Runtime, "Path to store runtime data for the container"},
		{"runtime-arg", 0, &c.RuntimeArgs, "Additional arg to pass to the runtime. Can be specified multiple times"},
		{"runtime-opt", 0, &c.RuntimeOpts, "Additional opts to pass to the restore or exec command. Can be specified multiple times"},
		{"sdnotify-socket", 0, &c.NotifySocket, "Path to the host's sd-notify socket to relay messages to"},
		{"seccomp-notify-plugins", 0, &c.seccompPlugins, "Accepted and ignored"},
		{"seccomp-notify-socket", 0, &c.seccompSocket, "Accepted and ignored"},
		{"socket-dir-path", 0, &c.SocketDir, "Location of container attach sockets"},
		{"stdin", 'i', &c.Stdin, "Open up a pipe to pass stdin to the container"},
		{"sync", 0, &c.Sync, "Keep the main conmon process as its child by only forking once"},
		{"syslog", 0, &c.Syslog, "Log to syslog (use with cgroupfs cgroup manager)"},
		{"systemd-cgroup", 's', &c.SystemdCgroup, "Enable systemd cgroup manager, rather then use the cgroupfs directly"},
		{"terminal", 't', &c.Terminal, "Allocate a pseudo-TTY. The default is false"},
		{"timeout", 'T', &c.Timeout, "Kill container after specified timeout in seconds."},
		{"version", 0, &c.Options.Version, "Print the version and exit"},
	}
}

// takesValue says whether an argument follows the flag.
func (f entry) takesValue() bool {
	_, toggle := f.into.(*bool)
	return !toggle
}

// set stores a value; spelled is the flag as the user wrote it.
func (f entry) set(spelled, value string, l locale) error {
	switch into := f.into.(type) {
	case *bool:
		*into = true // even for --flag=false
		return nil
	case *string:
		*into = value
		return l.check(value)
	case *[]string:
		*into = append(*into, value)
		return l.check(value)
	case *int:
		n, err := parseInt(spelled, value, 32)
		*into = int(n)
		return err
	case *int64:
		n, err := parseInt(spelled, value, 64)
		*into = max(n, 0)
		return err
	case *time.Duration:
		n, err := parseInt(spelled, value, 32)
		*into = time.Duration(max(n, 0)) * time.Second
		return err
	}
	panic("BUG: flag --" + f.long + " has no kind")
}

// Usage is the text for --help: every flag that is not hidden, in GOption's form.
func Usage() string {
	var b strings.Builder
	b.WriteString("Usage:\n  berth-monitor [OPTION…] - Berth's container monitor, with conmon's options\n\nHelp Options:\n")
	line := func(short byte, long, help string) {
		spelled := "--" + long
		if short != 0 {
			spelled = "-" + string(short) + ", " + spelled
		}
		fmt.Fprintf(&b, "  %-32s %s\n", spelled, help)
	}
	line('h', "help", "Show help options")
	b.WriteString("\nApplication Options:\n")
	for _, f := range new(command).flags() {
		if f.help != "" {
			line(f.short, f.long, f.help)
		}
	}
	return b.String()
}
