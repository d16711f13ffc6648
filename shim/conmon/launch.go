// SPDX-License-Identifier: Apache-2.0

package conmon

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"berth/shim/conmon/options"
)

// launcher executes a runtime's command line with these standard files, and
// returns its exit status. What the runtime has to say about a failure is on
// its stderr.
type launcher func(argv []string, stdio [3]*os.File) (status int, err error)

// launcher calls the berth that came with us, and executes any other.
func (p Program) launcher(o options.Options) launcher {
	if p.Berth == nil || !isOwnBerth(o.Runtime) {
		return executeRuntime(o.ReplaceListenPID)
	}
	return func(argv []string, stdio [3]*os.File) (int, error) {
		if o.ReplaceListenPID && os.Getenv("LISTEN_PID") != "" {
			if err := os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid())); err != nil {
				return 0, err
			}
		}
		return p.Berth(argv, stdio), nil
	}
}

// executeRuntime starts the runtime with everything that we inherited, and has
// the kernel kill it if we die before it has ended.
func executeRuntime(replaceListenPID bool) launcher {
	return func(argv []string, stdio [3]*os.File) (int, error) {
		path, env := argv[0], os.Environ()
		if replaceListenPID && os.Getenv("LISTEN_PID") != "" {
			self, err := os.Executable()
			if err != nil {
				return 0, err
			}
			path, argv, env = self, append([]string{os.Args[0]}, argv...), append(env, execStage+"=1")
		}
		cmd := &exec.Cmd{
			Path: path, Args: argv, Env: env,
			Stdin: stdio[0], Stdout: stdio[1], Stderr: stdio[2],
			SysProcAttr: &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL},
		}
		runtime.LockOSThread() // the death of which would count as ours
		defer runtime.UnlockOSThread()
		err := cmd.Run()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exitStatus(exit.Sys().(syscall.WaitStatus)), nil
		}
		return 0, err
	}
}

func exitStatus(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// execListener becomes the runtime, once $LISTEN_PID is the pid that it will
// have: sd_listen_fds(3).
func execListener(argv []string) int {
	_ = os.Unsetenv(execStage) // cannot fail
	err := os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	if err == nil {
		err = unix.Exec(argv[0], argv, os.Environ())
	}
	fmt.Fprintf(os.Stderr, "cannot execute %s: %v\n", argv[0], err)
	return 1
}

// forkExec starts a program in a session of its own, with these standard files.
func forkExec(path string, argv, env []string, stdio [3]uintptr) (pid int, err error) {
	pid, err = syscall.ForkExec(path, argv, &syscall.ProcAttr{
		Env: env, Files: stdio[:], Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, fmt.Errorf("cannot start %s: %w", path, err)
	}
	return pid, nil
}
