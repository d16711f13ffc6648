// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
	"berth/libcontainer/config"
)

// hooks lets the parent run those of the runtime's namespaces, and runs the
// createContainer hooks: in the container's namespaces, but with the host's
// tree still in reach, as the spec wants it.
func (c *compiler) hooks() {
	h := c.cfg.Hooks
	if len(h.Prestart)+len(h.CreateRuntime) > 0 || c.cfg.IntelRDT != nil {
		c.barrier(Step{Kind: StepHostHooks, Origin: "hooks.prestart, hooks.createRuntime"})
	}
	if len(h.CreateContainer) == 0 {
		return
	}
	c.b.At("hooks.createContainer")
	c.b.Do(boot.Fchdir, c.rootfd)
	c.runHooks("createContainer", h.CreateContainer, c.hookOutput())
	c.b.Do(boot.Chdir, "/")
}

// hookOutput returns the file that collects what hooks print, for the error.
func (c *compiler) hookOutput() int {
	if c.output == 0 {
		c.output = c.file(File{Kind: FileHookOutput})
	}
	return c.output
}

// startHooks runs the startContainer hooks after `start`, before the payload.
func (c *compiler) startHooks() {
	if list := c.cfg.Hooks.StartContainer; len(list) > 0 {
		c.runHooks("startContainer", list, c.hookOutput())
	}
}

// runHooks runs hooks one after the other. The state for their stdin is the
// parent's answer to a barrier before start, since only the parent knows the
// pid.
func (c *compiler) runHooks(point string, list []config.Hook, output int) {
	if point != "startContainer" { // whose state is the answer to ready
		c.barrier(Step{Kind: StepHookState, Hook: point, Origin: "hooks." + point})
	}
	for i := range list {
		c.b.At(fmt.Sprintf("hooks.%s[%d] %s", point, i, list[i].Path))
		c.runHook(point, i, &list[i], output)
	}
}

// runHook runs one hook: clone, execve with the state as stdin, wait for the
// pidfd with a timeout.
func (c *compiler) runHook(point string, index int, h *config.Hook, output int) {
	b := c.b
	hook, late, good := b.Label(), b.Label(), b.Label()
	stdin, pid := b.Word("hook stdin"), b.Word("hook pid")
	status := b.Flag("hook status")
	pollfd := b.Constant("pollfd", unix.POLLIN<<32) // {fd, events, revents}
	b.Do(boot.MemfdCreate, "state", unix.MFD_CLOEXEC).Into(stdin)
	b.Do(boot.Write, stdin, c.answer, c.length)
	b.Do(boot.Lseek, stdin, 0, 0)
	// CLONE_PIDFD stores 32 bits: the descriptor, in pollfd's first field.
	b.Do(boot.Clone, unix.CLONE_PIDFD|int(unix.SIGCHLD), 0, pollfd.Addr(), 0, 0).Into(pid)
	b.JumpIfEqual(pid.Addr(), 0xffffffff, 0, hook)
	if h.Timeout > 0 {
		n := b.Word("ready")
		timeout := binary.LittleEndian.AppendUint64(nil, uint64(h.Timeout))
		b.Do(boot.Ppoll, pollfd.Addr(), 1, binary.LittleEndian.AppendUint64(timeout, 0), 0, 0).Into(n)
		b.JumpIfEqual(n.Addr(), 0xffffffff, 0, late)
		b.Release(n)
	}
	b.Do(boot.Wait4, pid, status.Addr(), 0, 0)
	b.JumpIfEqual(status.Addr(), 0xffffffff, 0, good)
	c.reportStatus(point, index, status)
	b.Fail(int(unix.ECANCELED))
	b.Place(late)
	if h.Timeout > 0 {
		b.Do(boot.Kill, pid, int(unix.SIGKILL)).Skip(boot.AnyErrno)
		b.Do(boot.Wait4, pid, 0, 0, 0).Skip(boot.AnyErrno)
	}
	b.Fail(int(unix.ETIMEDOUT))

	b.Place(hook)
	b.Do(boot.Dup3, stdin, 0, 0)
	b.Do(boot.Dup3, output, 1, 0)
	b.Do(boot.Dup3, output, 2, 0)
	b.Do(boot.CloseRange, 3, -1, 0) // also those that the payload gets
	args := h.Args
	if len(args) == 0 {
		args = []string{h.Path}
	}
	env := h.Env
	if env == nil && point == "startContainer" && c.proc != nil {
		env = c.proc.Env
	}
	failed := b.Label()
	b.Do(boot.Execve, h.Path, b.Strings(args), b.Strings(env)).On(failed, boot.AnyErrno)
	b.Place(failed)
	b.Do(boot.ExitGroup, 127)
	b.Place(good)
	c.closeWord(stdin)
	b.Release(pid)
}

// reportStatus tells the parent a hook's wait status before the program fails.
func (c *compiler) reportStatus(point string, index int, status boot.Word) {
	n := c.step(Step{Kind: StepHookDone, Hook: point, Index: index, Origin: c.b.Origin()})
	message := c.b.Constant("hook report", uint64(binary.LittleEndian.Uint64(boot.BarrierHeader(n))))
	payload := c.b.Constant("hook report status", 0)
	if payload != message+1 {
		panic("BUG: report cells are not adjacent")
	}
	c.b.Set(payload, status)
	c.b.Do(boot.Write, c.b.Control(), message.Addr(), 16).Skip(boot.AnyErrno)
}
