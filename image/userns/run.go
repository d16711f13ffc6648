// SPDX-License-Identifier: Apache-2.0

package userns

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// argument comes first in the second run.
const argument = "berth-user-namespace"

// Descriptors of the second run: it waits for the end of one, and says on the
// other what keeps it from working.
const (
	mappedFD = 3 + iota
	readyFD
)

// ErrUnavailable says that there is no such namespace for this user; nothing was
// done.
var ErrUnavailable = errors.New("no user namespace")

// passedOn are the signals that the second run gets from the first.
var passedOn = []os.Signal{unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP}

// Entered says whether a program with these arguments was started by Run. All
// that it mounts is gone when it ends.
func Entered(args []string) bool { return len(args) > 1 && args[1] == argument }

// Run runs this program with other arguments as root of a new user namespace
// and a mount namespace in that, and returns its exit status. It has our
// standard files, environment and terminal, gets our signals, and SIGTERM if we
// are killed. What a process group is sent it gets twice. A signal that we were
// started to ignore, as by nohup(1), it ignores too.
func Run(m Maps, args, env []string) (status int, err error) {
	// The parent-death signal comes when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 16)
	for _, sig := range passedOn {
		if !signal.Ignored(sig) {
			signal.Notify(signals, sig)
		}
	}
	defer signal.Stop(signals)

	s := &second{}
	defer s.close()
	if err := s.start(m, args, env); err != nil {
		if sig := s.interrupted(err, signals); sig != 0 {
			return 128 + int(sig), nil // ^C is no reason to go on without ids
		}
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	go func() {
		for sig := range signals {
			_ = s.cmd.Process.Signal(sig) // it has ended by now, perhaps
		}
	}()
	err = s.cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0, err
	}
	if sig := endedBy(exit.ProcessState); sig != 0 {
		return 128 + int(sig), nil // as shells have it
	}
	return exit.ExitCode(), nil
}

// second is the second run, as the first sees it.
type second struct {
	cmd           *exec.Cmd
	mapped, ready *os.File
	theirs        []*os.File
}

// interrupted is the signal for which start failed with err, or 0: one that we
// got, or one that ended the mapper or the second run. Who sends one to the
// process group reaches all three, of which any may be the first to show it.
func (s *second) interrupted(err error, signals <-chan os.Signal) syscall.Signal {
	select {
	case sig := <-signals:
		return sig.(syscall.Signal)
	case <-time.After(20 * time.Millisecond): // its way here takes a goroutine
	}
	var mapper *exec.ExitError
	if errors.As(err, &mapper) {
		if sig := endedBy(mapper.ProcessState); slices.Contains(passedOn, os.Signal(sig)) {
			return sig
		}
	}
	if s.cmd != nil && s.cmd.ProcessState != nil {
		if sig := endedBy(s.cmd.ProcessState); slices.Contains(passedOn, os.Signal(sig)) {
			return sig // SIGKILL is ours
		}
	}
	return 0
}

// endedBy is the signal that ended a process, or 0.
func endedBy(p *os.ProcessState) syscall.Signal {
	if w := p.Sys().(syscall.WaitStatus); w.Signaled() {
		return w.Signal()
	}
	return 0
}

func (s *second) close() {
	for _, f := range append(s.theirs, s.mapped, s.ready) {
		if f != nil {
			_ = f.Close() // pipes; closed twice at worst
		}
	}
}

// start returns when the second run has its ids and knows that they work.
func (s *second) start(m Maps, args, env []string) error {
	last, err := lastCapability()
	if err != nil {
		return err
	}
	wait, mapped, err := os.Pipe()
	if err != nil {
		return err
	}
	s.mapped, s.theirs = mapped, []*os.File{wait}
	ready, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	s.ready, s.theirs = ready, append(s.theirs, tell)

	s.cmd = exec.Command("/proc/self/exe", append([]string{argument}, args...)...)
	s.cmd.Args[0] = os.Args[0]
	s.cmd.Env = env
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	s.cmd.ExtraFiles = []*os.File{wait, tell}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, Pdeathsig: unix.SIGTERM}
	for c := range last + 1 { // or execve would take them, before there are ids
		s.cmd.SysProcAttr.AmbientCaps = append(s.cmd.SysProcAttr.AmbientCaps, c)
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for _, f := range s.theirs {
		_ = f.Close() // the child has them
	}
	s.theirs = nil
	if err = s.prepare(m); err != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait() // killed
	}
	return err
}

func (s *second) prepare(m Maps) error {
	if err := mapIDs(uidMapper, s.cmd.Process.Pid, m.UIDs); err != nil {
		return err
	}
	if err := mapIDs(gidMapper, s.cmd.Process.Pid, m.GIDs); err != nil {
		return err
	}
	if _, err := s.mapped.Write([]byte{1}); err != nil {
		return err
	}
	said, err := io.ReadAll(s.ready)
	switch {
	case err == nil && len(said) == 0:
		return errors.New("the second run ended at once")
	case err == nil && string(said) != "ready":
		return fmt.Errorf("%.200s", said)
	}
	return err
}

// mapIDs has a program do what we may not do ourselves. The process is a child
// that nobody has waited for: its pid is its own.
func mapIDs(mapper string, pid int, maps []specs.LinuxIDMapping) error {
	args := []string{strconv.Itoa(pid)}
	for _, m := range maps {
		for _, n := range []uint32{m.ContainerID, m.HostID, m.Size} {
			args = append(args, strconv.FormatUint(uint64(n), 10))
		}
	}
	out, err := exec.Command(mapper, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %.200s", mapper, err, bytes.TrimSpace(out))
	}
	return nil
}

// lastCapability is the highest that this kernel knows.
func lastCapability() (uintptr, error) {
	const file = "/proc/sys/kernel/cap_last_cap"
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 6)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return uintptr(n), nil
}

// Main is for the beginning of a program that calls Run. In the second run it
// waits for the ids, and takes the arguments back to what Run was given; in any
// other it does nothing. No arguments are for a second run that has told the
// first why it cannot go on, and ends.
func Main(args []string) ([]string, error) {
	if !Entered(args) {
		return args, nil
	}
	mapped, ready := os.NewFile(mappedFD, "mapped"), os.NewFile(readyFD, "ready")
	defer mapped.Close()
	defer ready.Close()
	if n, err := mapped.Read(make([]byte, 1)); n != 1 {
		return nil, fmt.Errorf("%s: not started by this program itself: %w", argument, err)
	}
	// Nothing that we mount may get out. This also finds out whether a security
	// module lets root of this namespace be one, and not only be called so.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		_, _ = fmt.Fprintf(ready, "mount: %s (hint: kernel.apparmor_restrict_unprivileged_userns)", err) // it is waiting
		return nil, nil
	}
	if _, err := ready.Write([]byte("ready")); err != nil {
		return nil, err
	}
	return append([]string{args[0]}, args[2:]...), nil
}

// Exec replaces this process by a program, which gets what root of the namespace
// has, and nothing that it could pass on to other users.
func Exec(path string, args, env []string) error {
	runtime.LockOSThread() // capabilities are a thread's
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	sets[0].Inheritable, sets[1].Inheritable = 0, 0 // and with these the ambient ones
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return os.NewSyscallError("capset", err)
	}
	return unix.Exec(path, args, env)
}
