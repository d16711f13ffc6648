// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
	"berth/libcontainer/plan"
)

// driver starts an image and does the parent's steps at its barriers, for
// create and for exec. It owns the child until release.
type driver struct {
	in    *plan.Input
	plan  *plan.Plan
	child *boot.Child
	// pid is the process that becomes the payload; with a two-stage plan it is
	// known from its first message on.
	pid int
	// steps are the actions of a kind; each returns what to answer.
	steps map[plan.StepKind]func(plan.Step, boot.Message) ([]byte, error)
	// looking is the file that the image was last asked to look at.
	looking loader
	looks   int
	// hookStatus is the wait status of the hook that failed last.
	hookStatus syscall.WaitStatus
	output     *os.File // what hooks within the container printed
	ready      bool
}

// start clones and executes the image with the given descriptors, by the
// number that they have in the image.
func (d *driver) start(files []*os.File, cgroup *os.File) error {
	child, err := boot.Start(boot.Launch{
		Program: d.plan.Program, Files: files, Cloneflags: d.plan.Cloneflags,
		CgroupFD: cgroup, MemfdNoexec: d.in.Host.MemfdNoexec,
	})
	if err != nil {
		return err
	}
	d.child, d.pid = child, child.Pid
	return nil
}

// drive serves barriers until the image has passed the last one (create), or
// until it executes the payload (run and exec).
func (d *driver) drive(untilExec bool) error {
	for {
		m, err := d.child.Receive()
		var failure *boot.Failure
		switch {
		case errors.As(err, &failure):
			if m.Pid > 0 {
				d.adopt(m.Pid)
			}
			return d.failed(failure)
		case err != nil:
			return err
		case m.Done && d.ready:
			return nil
		case m.Done:
			return d.vanished()
		}
		d.adopt(m.Pid)
		if err := d.step(m); err != nil {
			return err
		}
		if d.ready && !untilExec {
			return nil
		}
	}
}

// adopt notes who speaks; the first stage is reaped once the second does.
func (d *driver) adopt(pid int) {
	if pid == d.pid {
		return
	}
	var ws syscall.WaitStatus
	_, _ = wait4(d.pid, &ws) // it exits by itself
	d.pid = pid
}

func (d *driver) step(m boot.Message) error {
	if int(m.Barrier) >= len(d.plan.Steps) {
		return fmt.Errorf("boot image: unknown barrier %d", m.Barrier)
	}
	s := d.plan.Steps[m.Barrier]
	switch s.Kind {
	case plan.StepHookDone: // only says what is about to fail
		d.hookStatus = syscall.WaitStatus(binary.LittleEndian.Uint32(m.Payload))
		return nil
	case plan.StepProbe:
		return d.look(m)
	}
	action := d.steps[s.Kind]
	if action == nil {
		return fmt.Errorf("boot image: barrier %d: nothing knows how to %s", m.Barrier, s.Kind)
	}
	answer, err := action(s, m)
	if err != nil {
		return err
	}
	if s.Kind == plan.StepReady {
		d.ready = true
	}
	return d.child.Answer(answer)
}

// look reads the head of the executable, or of what it needs, and asks for
// the next file.
func (d *driver) look(m boot.Message) error {
	size := int64(-1)
	if len(m.Payload) >= 8 {
		size = int64(binary.LittleEndian.Uint64(m.Payload))
	}
	if size < 0 { // not readable, which does not keep it from being executed
		return d.child.Answer(nil)
	}
	head, err := d.child.ReceiveData(plan.ProbeSize)
	if err != nil {
		return err
	}
	next, err := parseExecutable(head[:min(int(size), len(head))], otherFormats)
	if err != nil {
		return d.notExecutable(err)
	}
	const deep = 5 // BINPRM: interpreters of interpreters
	if d.looks++; next.Path == "" || d.looks > deep {
		return d.child.Answer(nil)
	}
	d.looking = next
	return d.child.Answer(append([]byte(next.Path), 0))
}

func (d *driver) notExecutable(err error) error {
	name := d.in.Config.Process.Args[0]
	reason := strings.TrimSuffix(err.Error(), ": "+unix.ENOEXEC.Error())
	if d.looking.Path != "" {
		reason = fmt.Sprintf("%s %s: %s", d.looking.Kind, d.looking.Path, reason)
	}
	return fmt.Errorf("exec: %q: %w (%s)", name, unix.ENOEXEC, reason)
}

// failed explains a failed operation.
func (d *driver) failed(f *boot.Failure) error {
	op := d.plan.Program.Ops[f.Op]
	if f.Op == d.plan.LookOp && d.looking.Path != "" {
		path := d.looking.Path
		e := &BootError{Origin: op.Origin, Errno: f.Errno}
		e.Text = fmt.Sprintf("exec: %q: %s %q: %v", d.in.Config.Process.Args[0], d.looking.Kind, path, f.Errno)
		if strings.HasSuffix(path, "\r") {
			e.hint = "the script has Windows line ends"
		} else if d.looking.Kind == "ELF loader" {
			e.hint = "the executable is dynamically linked, and its loader is not in the root filesystem"
		}
		return e
	}
	if strings.HasPrefix(op.Origin, "hooks.") && op.Kind == boot.Fail {
		return d.hookFailed(op.Origin, f.Errno)
	}
	return describe(d.plan, d.in, f)
}

// hookFailed is the error of a hook that the image ran: exit status, and the
// end of what it printed.
func (d *driver) hookFailed(origin string, errno unix.Errno) error {
	reason := "exit status " + fmt.Sprint(d.hookStatus.ExitStatus())
	switch {
	case errno == unix.ETIMEDOUT:
		reason = fmt.Sprintf("hook ran past specified timeout of %.1fs", d.hookTimeout(origin))
	case d.hookStatus.Signaled():
		reason = "signal: " + d.hookStatus.Signal().String()
	case d.hookStatus.ExitStatus() == 127:
		reason += " (or it could not be executed)"
	}
	text := fmt.Sprintf("error running %s: %s", origin, reason)
	if out := tail(d.output, 4096); out != "" {
		text += ", output: " + out
	}
	return errors.New(text)
}

func (d *driver) hookTimeout(origin string) float64 {
	h := d.in.Config.Hooks
	for i, x := range h.CreateContainer {
		if strings.HasPrefix(origin, fmt.Sprintf("hooks.createContainer[%d] ", i)) {
			return float64(x.Timeout)
		}
	}
	for i, x := range h.StartContainer {
		if strings.HasPrefix(origin, fmt.Sprintf("hooks.startContainer[%d] ", i)) {
			return float64(x.Timeout)
		}
	}
	return 0
}

// tail returns the last n bytes of a file, on one line.
func tail(f *os.File, n int64) string {
	if f == nil {
		return ""
	}
	size, err := f.Seek(0, 2)
	if err != nil || size == 0 {
		return ""
	}
	buf := make([]byte, min(n, size))
	got, _ := f.ReadAt(buf, size-int64(len(buf)))
	return strings.ReplaceAll(strings.TrimSpace(string(buf[:got])), "\n", "; ")
}

// vanished says why the image ended without a report.
func (d *driver) vanished() error {
	var ws syscall.WaitStatus
	if _, err := wait4(d.pid, &ws); err != nil {
		return fmt.Errorf("container init ended without a report: %w", err)
	}
	pid := d.pid
	d.pid = 0
	switch {
	case ws.Signaled() && ws.Signal() == unix.SIGKILL:
		return errKilled
	case ws.Signaled() && ws.Signal() == unix.SIGSYS:
		return fmt.Errorf("linux.seccomp: the filter killed the container's init (pid %d) before it executed the payload; hint: without process.noNewPrivileges the filter must allow what follows it: capset, prctl, setgroups, setresgid, setresuid, chdir, getcwd, faccessat, openat, read, write, close, execve", pid)
	case ws.Signaled():
		return fmt.Errorf("container init was killed by signal %d (%v)", ws.Signal(), ws.Signal())
	}
	return fmt.Errorf("container init ended with status %d without a report; hint: a seccomp filter that denies write(2) hides it", ws.ExitStatus())
}

// errKilled says that something killed init: for a container with a memory
// limit, most likely the kernel.
var errKilled = errors.New("container init was killed")

// abort ends what was started. Killing init ends its pid namespace too.
func (d *driver) abort() {
	if d.child == nil {
		return
	}
	d.child.Close()
	if d.pid > 0 {
		_ = unix.Kill(d.pid, unix.SIGKILL) // our own unreaped child: no other process has its pid
		var ws syscall.WaitStatus
		_, _ = wait4(d.pid, &ws)
		d.pid = 0
	}
}

func wait4(pid int, ws *syscall.WaitStatus) (int, error) {
	for {
		n, err := syscall.Wait4(pid, ws, 0, nil)
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}
