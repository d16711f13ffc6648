// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
	"berth/libcontainer/config"
)

// ProbeSize is how much of the executable the parent looks at, in bytes.
const ProbeSize = 2048

// candidates returns the paths that argv[0] may be at: itself if it has a
// slash, else one for each directory of the process's own PATH.
func candidates(args0 string, env []string) []string {
	if strings.Contains(args0, "/") {
		return []string{args0}
	}
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			path = v
		}
	}
	var list []string
	for _, dir := range strings.Split(path, ":") {
		if dir == "" {
			dir = "." // POSIX: an empty entry is the current directory
		}
		list = append(list, strings.TrimSuffix(dir, "/")+"/"+args0)
	}
	return list
}

// probe finds the executable as the payload's user, and shows its first bytes
// to the parent. The parent names the interpreter that it needs, or nothing;
// then that is looked at in the same way. So what execve would refuse after
// `start`, where no engine sees it, is an error of create.
func (c *compiler) probe() {
	b := c.b
	c.plan.Candidates = candidates(c.proc.Args[0], c.proc.Env)
	c.found = b.Flag("executable")
	refused := b.Flag("refused")
	found := b.Label()
	b.At("process.args[0] " + c.proc.Args[0])
	for _, path := range c.plan.Candidates {
		next, denied := b.Label(), b.Label()
		b.Do(boot.Faccessat, unix.AT_FDCWD, path, unix.X_OK).
			On(next, unix.ENOENT, unix.ENOTDIR).On(denied, unix.EACCES).
			Skip(unix.ENOSYS, unix.EPERM) // the filter may refuse us
		directory := b.Label()
		fd := b.Word("directory")
		b.Do(boot.Openat, unix.AT_FDCWD, path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0).Into(fd).
			On(directory, boot.AnyErrno) // it is none
		c.closeWord(fd)
		b.Jump(denied)
		b.Place(directory)
		b.Set(c.found, b.Str(path))
		b.Jump(found)
		b.Place(denied)
		b.Set(refused, 1)
		b.Place(next)
	}
	missing := b.Label()
	b.JumpIfEqual(refused.Addr(), 1, 0, missing)
	b.Fail(int(unix.EACCES))
	b.Place(missing)
	b.Fail(int(unix.ENOENT))

	b.Place(found)
	c.look()
}

// look sends the first bytes of the executable to the parent; while that
// answers with a path, the same for the file there. The size goes first, and
// then, unless the file could not be read, the bytes as a message of their own.
func (c *compiler) look() {
	b := c.b
	message := b.Constant("probe", binary.LittleEndian.Uint64(boot.BarrierHeader(c.step(Step{Kind: StepProbe, Origin: b.Origin()}))))
	size := b.Constant("probe size", 0)
	if size != message+1 {
		panic("BUG: probe cells are not adjacent")
	}
	head := b.Buffer("head of the executable", ProbeSize)
	path, fd := b.Flag("file to look at"), b.Word("executable file")
	again, unreadable, answered, done := b.Label(), b.Label(), b.Label(), b.Label()
	b.Set(path, c.found)
	b.Place(again)
	c.plan.LookOp = b.Len()
	b.Do(boot.Openat, unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0).Into(fd).
		On(unreadable, unix.EACCES, unix.EPERM, unix.ENOSYS)
	b.Do(boot.Read, fd, head, ProbeSize).Into(size)
	c.closeWord(fd)
	b.Do(boot.Write, b.Control(), message.Addr(), 16)
	b.Do(boot.Write, b.Control(), head, ProbeSize)
	b.Jump(answered)
	b.Place(unreadable)
	b.Set(size, -1)
	b.Do(boot.Write, b.Control(), message.Addr(), 16)
	b.Place(answered)
	c.await()
	b.JumpIfEqual(c.answer, 0xff, 0, done)
	b.Set(path, c.answer)
	b.Jump(again)
	b.Place(done)
}

// listener loads a filter with a listener while the parent can take that.
func (c *compiler) listener() {
	if f := c.in.Filter; c.proc.NoNewPrivileges && f != nil && f.Listener {
		c.seccomp()
	}
}

// ready is the last barrier: the parent records the state and answers, with
// the state for the startContainer hooks if there are any.
func (c *compiler) ready() {
	c.ownRlimits()
	c.b.At("ready")
	c.barrier(Step{Kind: StepReady})
}

// ownRlimits sets the resource limits from within if the parent cannot:
// prlimit(2) on a process of another user needs CAP_SYS_RESOURCE. Lowering our
// own needs nothing. Over a user namespace of ours the parent always has it.
func (c *compiler) ownRlimits() {
	user := c.cfg.Namespaces.Has(config.UserNS) || c.in.Exec != nil && c.in.Exec.UserNS
	if user || c.host.Permitted&(1<<unix.CAP_SYS_RESOURCE) != 0 {
		return
	}
	c.plan.OwnRlimits = true
	for _, r := range c.proc.Rlimits {
		c.b.At("process.rlimits: " + r.Name)
		limit := binary.LittleEndian.AppendUint64(nil, r.Soft)
		c.b.Do(boot.Prlimit64, 0, r.Resource, binary.LittleEndian.AppendUint64(limit, r.Hard), 0)
	}
}

// waitForStart waits for the byte that `start` writes to the fifo. The parent
// is gone by then, and so is the control socket.
func (c *compiler) waitForStart() {
	if !c.cfg.Rootless {
		// Whoever is in the container already (exec, a hook) must not reach our
		// descriptors. Without privilege our owner must reach our namespaces.
		c.nonDumpable()
	}
	if c.rootfd != 0 {
		c.b.At("root.path")
		c.closeWord(c.rootfd)
	}
	if c.in.Start {
		return
	}
	b := c.b
	b.At("exec.fifo")
	fifo := c.file(File{Kind: FileFifo})
	b.Do(boot.Close, b.Control())
	b.Do(boot.Read, fifo, b.Buffer("start", 8), 1)
	// It stays open until execve closes it, which is how `start` sees that.
}

// exec executes the payload. After `start` nobody listens to a failure, so
// then a line on stderr and the shell's exit codes have to say it.
func (c *compiler) exec() {
	b := c.b
	if f := c.in.Filter; c.proc.NoNewPrivileges && f != nil && !f.Listener {
		c.seccomp() // as late as possible: it restricts the payload alone
	}
	b.At("process.args[0] " + c.proc.Args[0])
	c.plan.ExecOp = b.Len()
	exec := b.Do(boot.Execve, c.found, b.Strings(c.proc.Args), b.Strings(c.proc.Env))
	if c.in.Start || c.in.Exec != nil {
		b.Jump(c.dead) // unreachable: a failure is reported
		return
	}
	missing, refused := b.Label(), b.Label()
	exec.On(missing, unix.ENOENT).On(refused, boot.AnyErrno)
	end := func(l boot.Label, text string, status int) {
		b.Place(l)
		line := "berth: exec " + c.proc.Args[0] + ": " + text + "\n"
		b.Do(boot.Write, 2, line, len(line)).Skip(boot.AnyErrno)
		b.Do(boot.ExitGroup, status)
	}
	end(missing, "no such file or directory", 127)
	end(refused, "cannot be executed", 126)
}
