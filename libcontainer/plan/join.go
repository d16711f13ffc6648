// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
	"berth/libcontainer/config"
)

// CompileExec returns the plan for starting a process in a running container.
func CompileExec(in *Input, arch boot.Arch) (*Plan, error) {
	return newCompiler(in, arch).run(execPhases)
}

// joinContainer joins the namespaces of the container's init with one call:
// the kernel orders them itself, and checks our right to each before it
// changes any, setns(2) with a pidfd (Linux 5.8).
func (c *compiler) joinContainer() {
	b, e := c.b, c.in.Exec
	c.nonDumpable()
	if c.usesAttr() {
		b.At("/proc")
		c.procfd = b.Word("host /proc")
		b.Do(boot.Openat, unix.AT_FDCWD, "/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0).Into(c.procfd)
	}
	pidfd := c.file(File{Kind: FilePidfd})
	root := 0
	if e.NoPivot {
		root = c.file(File{Kind: FileRoot})
	}
	b.At("namespaces of the container")
	if e.Namespaces != 0 {
		b.Do(boot.Setns, pidfd, e.Namespaces)
	}
	if e.UserNS {
		c.becomeRoot()
	}
	if e.NoPivot {
		b.At("root of the container")
		b.Do(boot.Fchdir, root)
		b.Do(boot.Chroot, ".")
	}
	c.plan.TwoStage = e.PIDNS
	if e.PIDNS {
		c.secondStage(0)
	}
	c.openAttr()
	c.closeProc()
}

// ExecConfig wraps a process for CompileExec.
func ExecConfig(p *config.Process) *config.Container { return &config.Container{Process: p} }
