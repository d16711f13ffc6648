// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
	"berth/libcontainer/plan"
)

// Errors that callers decide on. Engines match their texts.
var (
	ErrNotRunning = errors.New("container not running")
	ErrNotPaused  = errors.New("container not paused")
	ErrPaused     = errors.New("cannot exec in a paused container (use --ignore-paused to override)")
	ErrStopped    = errors.New("cannot exec in a stopped container")
)

// BootError is an operation of the boot image that failed, with what the
// parent knows about it.
type BootError struct {
	// Origin is the place in the config, e.g. "mounts[3] /sys (sysfs)".
	Origin string
	// Call is the failed call as the plan prints it.
	Call  string
	Errno unix.Errno
	// Text replaces origin and call where engines match the words.
	Text string
	hint string
}

func (e *BootError) Error() string {
	if e.Text != "" {
		return e.Text
	}
	if e.Call == "" {
		return fmt.Sprintf("%s: %v", e.Origin, e.Errno)
	}
	return fmt.Sprintf("%s: %s: %v", e.Origin, e.Call, e.Errno)
}

// Unwrap returns the errno, for errors.Is.
func (e *BootError) Unwrap() error { return e.Errno }

// Hint is advice where we know one, or "".
func (e *BootError) Hint() string { return e.hint }

// describe turns a failed operation's index and errno into words.
func describe(p *plan.Plan, in *plan.Input, f *boot.Failure) *BootError {
	op := p.Program.Ops[f.Op]
	e := &BootError{Origin: op.Origin, Errno: errnoOf(op, f.Errno)}
	if op.Kind == boot.Syscall {
		e.Call = p.Program.FormatCall(f.Op)
	}
	e.hint = hint(op, e.Errno)
	process := in.Config.Process
	switch {
	case slices.Contains(p.CwdOps, f.Op):
		e.Text = fmt.Sprintf("process.cwd %q: current working directory is outside of container mount namespace root -- possible container breakout detected", process.Cwd)
	case op.Phase == "probe" && f.Op != p.LookOp, f.Op == p.ExecOp && p.ExecOp != 0:
		e.Text = executableText(process.Args[0], f.Errno)
		if f.Errno == unix.EACCES {
			e.hint = "is it a file, executable for the process's user, on a mount without noexec?"
		}
	case strings.HasPrefix(op.Origin, "mounts[") && op.Kind == boot.Fail && f.Errno == unix.ELOOP:
		e.Text = op.Origin + ": the destination leads into a procfs through a symbolic link of the root filesystem"
	case op.Origin == "process.terminal" && op.Kind == boot.Fail:
		e.Text = "process.terminal: /dev/pts/ptmx of the container is not a devpts"
	case op.Kind == boot.Fail && f.Errno == unix.EEXIST:
		e.Text = op.Origin + ": something else exists at this path in the root filesystem"
	}
	return e
}

// errnoOf is mount(2)'s errno for a file on a directory, where move_mount(2) says
// EINVAL: Docker explains ENOTDIR to its users.
func errnoOf(op *boot.Op, errno unix.Errno) unix.Errno {
	if op.Call == boot.MoveMount && errno == unix.EINVAL && strings.Contains(op.Origin, "(bind of ") {
		return unix.ENOTDIR
	}
	return errno
}

// executableText is what runc says, and engines derive 126 and 127 from.
func executableText(name string, errno unix.Errno) string {
	switch {
	case errno == unix.ENOENT && !strings.Contains(name, "/"):
		return fmt.Sprintf("exec: %q: executable file not found in $PATH", name)
	case errno == unix.ENOENT:
		return fmt.Sprintf("exec: %q: stat %s: no such file or directory", name, name)
	case errno == unix.EISDIR:
		return fmt.Sprintf("exec: %q: is a directory: permission denied", name)
	}
	return fmt.Sprintf("exec: %q: %v", name, errno)
}

const (
	mismatch    = "source and destination must both be directories, or both be files"
	raisesLimit = "raising a hard limit needs CAP_SYS_RESOURCE, and RLIMIT_NOFILE ends at fs.nr_open"
)

// hints are advice for errors with a usual cause.
var hints = []struct {
	origin string    // prefix or part of the operation's origin
	call   boot.Call // NoCall: any
	errno  unix.Errno
	text   string
}{
	{"(sysfs)", boot.NoCall, unix.EPERM, "sysfs can only be mounted by the owner of the network namespace; add a network namespace, or bind /sys"},
	{"(proc)", boot.NoCall, unix.EPERM, "proc can only be mounted with a pid namespace of one's own, and where the host's /proc is not partly covered"},
	{"mounts[", boot.Fsopen, unix.ENODEV, "the kernel does not know this filesystem type; is its module loaded?"},
	{"mounts[", boot.Fsconfig, unix.EINVAL, "the filesystem refuses an option; dmesg may say which"},
	{"mounts[", boot.Openat2, unix.ELOOP, "a symbolic link stands where a directory is required"},
	{"(tmpfs)", boot.Openat2, unix.ENOTDIR, "a tmpfs covers directories only, and a file is there"},
	{"mounts[", boot.OpenTree, unix.ENOENT, "the source of a bind mount must exist"},
	{"(bind of ", boot.MoveMount, unix.ENOTDIR, mismatch},
	{"(bind of ", boot.Openat2, unix.ENOTDIR, mismatch},
	{"process.rlimits", boot.Prlimit64, unix.EPERM, raisesLimit},
	{"process.oomScoreAdj", boot.Write, unix.EACCES, "lowering the score needs CAP_SYS_RESOURCE"},
	{"linux.namespaces: user", boot.Unshare, unix.ENOSPC, "the limit of user namespaces is reached: see user.max_user_namespaces"},
	{"linux.namespaces: user", boot.Unshare, unix.EPERM, "unprivileged user namespaces may be switched off: see kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns"},
	{"linux.namespaces[", boot.Setns, unix.EINVAL, "is the path a namespace of the type that the config says?"},
	{"linux.seccomp", boot.Seccomp, unix.EACCES, "a filter needs process.noNewPrivileges or CAP_SYS_ADMIN"},
	{"linux.seccomp", boot.Seccomp, unix.EINVAL, "the kernel does not know an action or a flag of the filter"},
	{"process.user", boot.Setgroups, unix.EPERM, "setgroups is denied in this user namespace; remove process.user.additionalGids or map more than one gid"},
	{"process.user", boot.Setresuid, unix.EINVAL, "is the uid mapped in the user namespace?"},
	{"process.user", boot.Setresgid, unix.EINVAL, "is the gid mapped in the user namespace?"},
	{"process.apparmorProfile", boot.Write, unix.ENOENT, "the profile is not loaded; see apparmor_parser(8)"},
	{"process.terminal", boot.Openat2, unix.ENOENT, "a terminal needs a devpts at /dev/pts; add it to mounts"},
	{"root.path", boot.PivotRoot, unix.EINVAL, "the root may be an initramfs, which cannot be pivoted; use --no-pivot"},
}

func hint(op *boot.Op, errno unix.Errno) string {
	for _, h := range hints {
		if (h.call == op.Call || h.call == boot.NoCall) && h.errno == errno && strings.Contains(op.Origin, h.origin) {
			return h.text
		}
	}
	return ""
}
