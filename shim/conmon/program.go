// SPDX-License-Identifier: Apache-2.0

package conmon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/internal/atomicfile"
	"berth/internal/selfpipe"
	"berth/shim/conmon/options"
	"berth/shim/logs"
)

// Program is a monitor yet to run.
type Program struct {
	Argv            []string
	Version, Commit string
	// Berth executes a command line of berth's in this process, with these
	// standard files, and returns its exit status.
	Berth func(argv []string, stdio [3]*os.File) int
}

// stageVar tells the second stage that it is that, and our caller's OOM score.
// With execStage the program sets LISTEN_PID and executes its arguments.
const (
	stageVar  = "_BERTH_MONITOR_OOM_SCORE"
	execStage = "_BERTH_MONITOR_EXEC"
)

// Podman 4 moves the main thread alone into a cgroup v1: that one must start, or
// become, the second stage. So main, and Main, stay on it till then.
func init() { runtime.LockOSThread() }

// Main runs the program and returns its exit status. It is called by main
// itself, not by another goroutine.
func Main(p Program) int {
	if os.Getenv(execStage) != "" {
		return execListener(p.Argv[1:])
	}
	o, err := options.Parse(p.Argv[1:], os.Getenv)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	case o.Help:
		fmt.Fprint(os.Stdout, options.Usage())
		return 0
	case o.Version:
		fmt.Fprint(os.Stdout, options.Version(p.Version, p.Commit))
		return 0
	}
	cwd, err := os.Getwd()
	if err != nil {
		return refuse(err)
	}
	o = o.WithDefaults(cwd)
	for _, fd := range []int{o.SyncPipe, o.StartPipe, o.AttachPipe} {
		if fd >= 0 {
			unix.CloseOnExec(fd)
		}
	}
	if score, second := os.LookupEnv(stageVar); second {
		// Neither is the runtime's business, nor the exit command's.
		_ = os.Unsetenv(stageVar)     // cannot fail
		_ = os.Unsetenv("GOMAXPROCS") // cannot fail
		return p.supervise(o, score)
	}
	return p.first(o)
}

// refuse is an error before there is a second stage.
func refuse(err error) int {
	fmt.Fprintln(os.Stderr, "[conmon:e]: "+err.Error())
	return 1
}

// first is the first stage.
func (p Program) first(o options.Options) int {
	if err := unix.Access(o.Runtime, unix.X_OK); err != nil {
		return refuse(fmt.Errorf("Runtime path %s is not valid %w", o.Runtime, err)) // conmon's words
	}
	// The second stage opens them, when nobody sees its stderr.
	set, err := openLogs(o, func(string) {})
	if err == nil {
		err = set.Close()
	}
	if err != nil {
		return refuse(err)
	}
	score := protect()
	if err := awaitCaller(o.StartPipe); err != nil {
		return refuse(fmt.Errorf("start-pipe read failed: %w", err))
	}
	self, env, err := secondStage(o, score)
	if err != nil {
		return refuse(err)
	}
	if o.Sync {
		if err := writePID(o.MonitorPIDFile, os.Getpid()); err != nil {
			return refuse(err)
		}
		_, _ = unix.Setsid() // fails for the leader of a process group, which is as good
		return refuse(fmt.Errorf("cannot execute %s: %w", self, unix.Exec(self, p.Argv, env)))
	}
	pid, err := forkExec(self, p.Argv, env, [3]uintptr{0, 1, 2})
	if err == nil {
		err = writePID(o.MonitorPIDFile, pid)
	}
	if err != nil {
		return refuse(err)
	}
	return 0
}

// awaitCaller waits for one message on the start pipe: the caller moves us into
// a cgroup before it sends that. A pipe that is closed says nothing more.
func awaitCaller(fd int) error {
	if fd < 0 {
		return nil
	}
	var message [8192]byte
	for {
		_, err := unix.Read(fd, message[:])
		if err != unix.EINTR {
			return err
		}
	}
}

// secondStage is what to execute as that, with which environment. It gets all of
// our descriptors that are not close-on-exec under their numbers, and the
// caller's pipes.
func secondStage(o options.Options, score string) (self string, env []string, err error) {
	self, err = os.Executable()
	if err != nil {
		return "", nil, err
	}
	for _, fd := range []int{o.SyncPipe, o.StartPipe, o.AttachPipe} {
		if fd >= 0 {
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
				return "", nil, fmt.Errorf("descriptor %d: %w", fd, err)
			}
		}
	}
	// One thread of Go code is enough, and each has memory of its own.
	env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "GOMAXPROCS=") })
	return self, append(env, "GOMAXPROCS=1", stageVar+"="+score), nil
}

func writePID(path string, pid int) error {
	if path == "" {
		return nil
	}
	return atomicfile.Write(path, []byte(strconv.Itoa(pid)), 0o644)
}

// protect has the OOM killer spare us, if it may, and returns what it thought
// of us before; "" for what cannot be known.
func protect() string {
	before, err := os.ReadFile(oomScore)
	if err != nil {
		return ""
	}
	setOOMScore("-1000")
	return strings.TrimSpace(string(before))
}

const oomScore = "/proc/self/oom_score_adj"

// setOOMScore is best effort: an ordinary user may not lower it.
func setOOMScore(score string) {
	if score != "" {
		_ = os.WriteFile(oomScore, []byte(score), 0)
	}
}

// openLogs opens the logs that o asks for.
func openLogs(o options.Options, warn func(string)) (*logs.Set, error) {
	targets := make([]logs.Target, len(o.Logs))
	for i, l := range o.Logs {
		targets[i] = logs.Target{Driver: logs.Driver(l.Driver), Path: l.Path}
	}
	return logs.Open(targets, logs.Options{
		CID: o.ID, Name: o.Name, Tag: o.LogTag, Labels: o.LogLabels,
		SizeMax: o.LogSizeMax, GlobalSizeMax: o.LogGlobalSizeMax, Rotate: o.LogRotate, MaxFiles: o.LogMaxFiles,
		AllowlistDirs: o.LogAllowDirs, NoPartial: o.NoPartialMessage, NoSync: o.NoSyncLog, Warn: warn,
	})
}

// passthrough says that the process gets our standard files.
func passthrough(o options.Options) bool {
	for _, l := range o.Logs {
		if l.Driver == options.Passthrough {
			return true
		}
	}
	return false
}

// supervise is the second stage.
func (p Program) supervise(o options.Options, score string) int {
	runtime.UnlockOSThread() // any thread will do now
	m := newMonitor(o, score, p.launcher(o))
	// Caught, not ignored: what is ignored would be ignored in the container.
	err := selfpipe.Notify(m.signals, unix.SIGPIPE, unix.SIGHUP, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT)
	if err = errors.Join(err, detach(o)); err != nil {
		return m.fail(err)
	}
	return m.run()
}

// detach lets go of the caller's files, adopts orphans, and keeps the heap small.
func detach(o options.Options) error {
	if !passthrough(o) {
		null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(null)
		for fd := range 3 {
			if err := unix.Dup3(null, fd, 0); err != nil {
				return os.NewSyscallError("dup3", err)
			}
		}
	}
	_ = unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0)
	return os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
}

// isOwnBerth says whether path is the berth that was installed with us: the
// file of that name in our directory. Its version is ours then.
func isOwnBerth(path string) bool {
	self, err := os.Executable()
	if err != nil {
		return false
	}
	var ours, theirs unix.Stat_t
	return unix.Stat(filepath.Join(filepath.Dir(self), "berth"), &ours) == nil && unix.Stat(path, &theirs) == nil &&
		ours.Dev == theirs.Dev && ours.Ino == theirs.Ino
}
