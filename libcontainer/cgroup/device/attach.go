// SPDX-License-Identifier: Apache-2.0

package device

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Kernel versions, beside bpf(2):
//
//	BPF_PROG_TYPE_CGROUP_DEVICE           4.15, with CONFIG_CGROUP_BPF
//	BPF_F_REPLACE                         5.6
//	memory counted by cgroup, not by      5.11
//	RLIMIT_MEMLOCK

// ErrNotPermitted says that this process may not attach programs: rootless.
var ErrNotPermitted = errors.New("not permitted (needs CAP_SYS_ADMIN in the initial user namespace)")

// unsupported is the error for a kernel without such programs.
// errors.Is(err, errors.ErrUnsupported) holds.
type unsupported struct{ cause error }

func (e *unsupported) Error() string {
	return fmt.Sprintf("the kernel has no device programs for cgroups (CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF): %v", e.cause)
}
func (e *unsupported) Unwrap() error        { return e.cause }
func (e *unsupported) Is(target error) bool { return target == errors.ErrUnsupported }

const (
	// maxAttached is BPF_CGROUP_MAX_PROGS, per cgroup.
	maxAttached = 64
	// loadTries: a signal makes the verifier give up with EAGAIN, and the Go
	// runtime sends some.
	loadTries = 30
	logSize   = 64 << 10
)

// Attach puts p in force for the cgroup v2 whose open directory is dir (not
// O_PATH), and for those below it, in place of all programs that the cgroup
// itself has. One is replaced atomically (Linux 5.6); of several, the old ones
// go when the new one is there: the devices are at no time open to all. A
// program that AllowsAll is the same as Detach.
//
// Errors are ErrNotPermitted, errors.ErrUnsupported, or that of bpf(2). On an
// error the cgroup has its old programs, and perhaps the new one too: all of
// them must then agree.
func Attach(dir int, p Program) error {
	if p.AllowsAll() {
		return Detach(dir)
	}
	old, err := attached(dir)
	if err != nil {
		return err
	}
	defer closeAll(old)
	prog, err := loadProgram(p)
	if err != nil {
		return err
	}
	defer unix.Close(prog)
	if len(old) == 1 {
		err := attach(dir, prog, old[0])
		if !errors.Is(err, unix.ENOENT) { // somebody detached it
			return explain("attach", err)
		}
	}
	if err := attach(dir, prog, -1); err != nil {
		return explain("attach", err)
	}
	return detachAll(dir, old)
}

// Detach removes all device programs of the cgroup v2 whose open directory is
// dir, which then allows what the cgroups above do. Where the kernel has no
// such programs there is nothing to do. Errors are as for Attach.
func Detach(dir int) error {
	old, err := attached(dir)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	defer closeAll(old)
	return detachAll(dir, old)
}

// attached opens the programs of the cgroup itself.
func attached(dir int) ([]int, error) {
	var ids [maxAttached]uint32
	n, err := query(dir, ids[:])
	if err != nil {
		return nil, explain("query", err)
	}
	var progs []int
	for _, id := range ids[:n] {
		prog, err := open(id)
		if errors.Is(err, unix.ENOENT) {
			continue // somebody detached it
		}
		if err != nil {
			closeAll(progs)
			return nil, explain("open", err)
		}
		progs = append(progs, prog)
	}
	return progs, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd) // programs are not written
	}
}

func detachAll(dir int, progs []int) error {
	for _, prog := range progs {
		if err := detach(dir, prog); err != nil && !errors.Is(err, unix.ENOENT) {
			return explain("detach", err)
		}
	}
	return nil
}

// loadProgram returns a descriptor of p in the kernel.
func loadProgram(p Program) (int, error) {
	code := p.Bytes()
	if len(code) == 0 {
		return -1, explain("load", unix.EINVAL)
	}
	prog, err := loadAgain(code)
	if errors.Is(err, unix.EPERM) {
		prog, err = loadUnlimited(code)
	}
	if err == nil {
		return prog, nil
	}
	// Only the second time, as the log takes time.
	log := make([]byte, logSize)
	if prog, again := load(code, log); again == nil {
		return prog, nil
	}
	return -1, explain("load", withLog(err, log))
}

// withLog adds the end of a verifier's log, where the reason is.
func withLog(err error, log []byte) error {
	text, _, _ := strings.Cut(string(log), "\x00")
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if reason := strings.Join(lines[max(0, len(lines)-3):], "; "); reason != "" {
		return fmt.Errorf("%w (verifier: %s)", err, reason)
	}
	return err
}

func loadAgain(code []byte) (prog int, err error) {
	for range loadTries {
		prog, err = load(code, nil)
		if !errors.Is(err, unix.EAGAIN) {
			break
		}
	}
	return prog, err
}

// loadUnlimited loads with RLIMIT_MEMLOCK lifted for that moment: before Linux
// 5.11 it bounds the programs of a user, with EPERM, to 64 KiB by default.
func loadUnlimited(code []byte) (int, error) {
	var old unix.Rlimit
	lifted := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &lifted, &old); err != nil {
		return -1, unix.EPERM // what the first load said
	}
	prog, err := loadAgain(code)
	// Lowering is always allowed. A process that another goroutine starts just
	// now may keep the higher limit.
	_ = unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &old, nil)
	return prog, err
}

// explain says what the user can do about an error of bpf(2).
func explain(verb string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		err = ErrNotPermitted
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL) && verb == "query":
		err = &unsupported{err}
	case errors.Is(err, unix.E2BIG) && verb == "load":
		err = fmt.Errorf("too many rules for this kernel: %w", err)
	}
	return fmt.Errorf("linux.resources.devices: cannot %s the program: %w", verb, err)
}
