// SPDX-License-Identifier: Apache-2.0

// Package hook runs the hooks of the runtime's namespaces: prestart,
// createRuntime, poststart and poststop. Those of the container's namespaces
// are part of the boot image.
//
//	err := hook.Run("hooks.prestart[0]", h, stateJSON)
package hook

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"berth/libcontainer/config"
)

// maxOutput is how much of the end of a hook's output an error holds.
const maxOutput = 4 << 10

// Error says which hook failed, how, and what it printed last.
type Error struct {
	Name   string // "hooks.prestart[0]"
	Path   string
	Err    error
	Output string // the end of stdout and stderr, as printed
}

// Error returns "hooks.prestart[0] /bin/h: exit status 3: what it printed" in
// one line.
func (e *Error) Error() string {
	text := e.Name + " " + e.Path + ": " + e.Err.Error()
	if out := OneLine(e.Output); out != "" {
		text += ": " + out
	}
	return text
}

// Unwrap returns the cause: a TimeoutError, an ExitError, or that of a hook
// that could not be started.
func (e *Error) Unwrap() error { return e.Err }

// TimeoutError is the time in seconds that a hook had and did not use well.
type TimeoutError struct{ Seconds int }

// Error has the words that people know from runc.
func (e *TimeoutError) Error() string {
	return fmt.Sprintf("hook ran past specified timeout of %.1fs", float64(e.Seconds))
}

// ExitError is the end of a hook that was not success.
type ExitError struct{ State *os.ProcessState }

// Error returns "exit status 3" or "signal: killed".
func (e *ExitError) Error() string { return e.State.String() }

// Run runs one hook and waits for it to end, which must be with status 0. The
// hook gets state on stdin, h.Args as its whole argv (the path alone if there
// are none), and h.Env as its environment; a nil one means ours, as in runc.
// It is the leader of a process group, which is killed when h.Timeout is over.
// What it leaves behind in the background is not waited for: that loses its
// stdout and stderr. name is for the error, which is an *Error.
func Run(name string, h config.Hook, state []byte) error {
	r := runner{hook: h}
	defer r.close()
	err := r.run(state)
	if err != nil {
		return &Error{Name: name, Path: h.Path, Err: err, Output: string(r.output)}
	}
	return nil
}

// RunAll runs the hooks of one point, e.g. "poststart", until one fails.
func RunAll(point string, hooks []config.Hook, state []byte) error {
	for i, h := range hooks {
		if err := Run(fmt.Sprintf("hooks.%s[%d]", point, i), h, state); err != nil {
			return err
		}
	}
	return nil
}

type runner struct {
	hook   config.Hook
	proc   *os.Process
	pidfd  int // valid once proc is set
	pipe   *os.File
	output []byte
}

func (r *runner) run(state []byte) error {
	if err := r.start(state); err != nil {
		return err
	}
	timedOut, err := r.await()
	if timedOut || err != nil {
		// The leader is not reaped yet, so the group's number is still its own.
		_ = unix.Kill(-r.proc.Pid, unix.SIGKILL) // ESRCH: it has just ended
	}
	end, werr := r.proc.Wait()
	r.drain()
	switch {
	case timedOut:
		return &TimeoutError{r.hook.Timeout}
	case err != nil:
		return err
	case werr != nil:
		return fmt.Errorf("cannot wait for it: %w", werr)
	case !end.Success():
		return &ExitError{end}
	}
	return nil
}

func (r *runner) start(state []byte) error {
	stdin, err := input(state)
	if err != nil {
		return fmt.Errorf("cannot pass the state: %w", err)
	}
	defer stdin.Close()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return fmt.Errorf("cannot make a pipe: %w", err)
	}
	out := os.NewFile(uintptr(fds[1]), "hook's output")
	defer out.Close()
	r.pipe = os.NewFile(uintptr(fds[0]), "hook's output")
	args := r.hook.Args
	if len(args) == 0 {
		args = []string{r.hook.Path}
	}
	r.pidfd = -1
	r.proc, err = os.StartProcess(r.hook.Path, args, &os.ProcAttr{
		Env:   r.hook.Env,
		Files: []*os.File{stdin, out, out},
		Sys:   &syscall.SysProcAttr{Setpgid: true, PidFD: &r.pidfd},
	})
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err // Error names the path
	}
	return err
}

// input returns what the hook reads its state from: a pipe that holds all of
// it, so that nobody has to feed a hook that does not read, or a file in
// memory if it does not fit. Pipes of users with many of them are small, pipe(7).
func input(state []byte) (*os.File, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	n, err := unix.Write(fds[1], state)
	_ = unix.Close(fds[1]) // the write has told
	if err == nil && n == len(state) {
		// The reading end is a description of its own; hooks expect it to block.
		if err = unix.SetNonblock(fds[0], false); err == nil {
			return os.NewFile(uintptr(fds[0]), "state"), nil
		}
	}
	_ = unix.Close(fds[0]) // never used
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		return nil, err
	}
	fd, err := unix.MemfdCreate("state", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "state")
	if _, err = f.Write(state); err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		_ = f.Close() // never used
		return nil, err
	}
	return f, nil
}

// await collects output until the hook has ended or its time is over.
func (r *runner) await() (timedOut bool, err error) {
	limit := time.Duration(r.hook.Timeout) * time.Second
	deadline := time.Now().Add(limit)
	fds := []unix.PollFd{
		{Fd: int32(r.pidfd), Events: unix.POLLIN},
		{Fd: int32(r.pipe.Fd()), Events: unix.POLLIN},
	}
	for {
		wait := -1
		if limit > 0 {
			left := time.Until(deadline)
			if left <= 0 {
				return true, nil
			}
			wait = int(min(left/time.Millisecond+1, 1<<30))
		}
		_, err := unix.Poll(fds, wait)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false, fmt.Errorf("cannot wait for it: %w", err)
		}
		if fds[0].Revents != 0 {
			return false, nil
		}
		if fds[1].Revents != 0 && !r.read() {
			fds[1].Fd = -1 // closed by the hook; poll ignores it now
		}
	}
}

// read takes one piece of output; false means that there will be no more.
func (r *runner) read() bool {
	var buf [maxOutput]byte
	n, err := unix.Read(int(r.pipe.Fd()), buf[:])
	if n > 0 {
		r.output = append(r.output, buf[:n]...)
		if over := len(r.output) - maxOutput; over > 0 {
			r.output = r.output[:copy(r.output, r.output[over:])]
		}
	}
	return n > 0 || errors.Is(err, unix.EINTR)
}

// drain takes the output that is left, without waiting for those that may
// still hold the pipe. One pipe's worth is all that can be there from before.
func (r *runner) drain() {
	if unix.SetNonblock(int(r.pipe.Fd()), true) != nil {
		return
	}
	for range (1 << 20) / maxOutput {
		if !r.read() {
			return
		}
	}
}

func (r *runner) close() {
	if r.pipe != nil {
		_ = r.pipe.Close() // read only
	}
	if r.proc != nil && r.pidfd >= 0 {
		_ = unix.Close(r.pidfd) // the process is reaped
	}
}

// OneLine makes output fit for an error message: lines become "; ", and what
// could play tricks with a terminal becomes "?".
func OneLine(output string) string {
	output = strings.ToValidUTF8(strings.TrimSpace(output), "?")
	output = strings.ReplaceAll(strings.ReplaceAll(output, "\r\n", "\n"), "\n", "; ")
	return strings.Map(func(c rune) rune {
		if c == '\t' {
			return ' '
		}
		if unicode.IsControl(c) {
			return '?'
		}
		return c
	}, output)
}
