// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"math/bits"

	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
	"berth/libcontainer/config"
)

// finalise turns the process into what the config's process asks for. create
// and exec share it, so that neither can miss a step of the other's.
func (c *compiler) finalise() {
	if c.proc == nil {
		c.fail("process: must be set")
		return
	}
	c.cwdFail = c.b.Flag("cwd refused")
	c.session()
	c.stdio()
	c.schedule()
	if c.proc.NoNewPrivileges {
		c.b.At("process.noNewPrivileges")
		c.b.Do(boot.Prctl, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	c.writeLabels()
	c.enterCwd()
	if !c.proc.NoNewPrivileges {
		c.seccomp() // needs CAP_SYS_ADMIN, which goes below
	}
	c.identity()
	c.checkCwd()
}

// schedule sets what the payload inherits from the scheduler's side.
func (c *compiler) schedule() {
	b, p := c.b, c.proc
	le := binary.LittleEndian
	if s := p.Scheduler; s != nil {
		b.At("process.scheduler")
		attr := le.AppendUint32(nil, 48) // struct sched_attr, version 0
		attr = le.AppendUint32(attr, s.Policy)
		attr = le.AppendUint64(attr, s.Flags)
		attr = le.AppendUint32(attr, uint32(s.Nice))
		attr = le.AppendUint32(attr, s.Priority)
		attr = le.AppendUint64(le.AppendUint64(le.AppendUint64(attr, s.Runtime), s.Deadline), s.Period)
		b.Do(boot.SchedSetattr, 0, attr, 0)
	}
	if p.IOPriority != nil {
		b.At("process.ioPriority")
		const whoProcess = 1
		b.Do(boot.IoprioSet, whoProcess, 0, p.IOPriority.Class<<13|p.IOPriority.Level)
	}
	if p.Personality != nil {
		b.At("linux.personality")
		b.Do(boot.Personality, *p.Personality)
	}
	if m := p.MemoryPolicy; m != nil {
		b.At("linux.memoryPolicy")
		mask := any(0)
		if len(m.Nodes) > 0 {
			mask = words(m.Nodes)
		}
		// The kernel takes one bit less than maxnode, set_mempolicy(2).
		b.Do(boot.SetMempolicy, m.Mode, mask, 64*len(m.Nodes)+min(1, len(m.Nodes)))
	}
}

// stdio gives the standard descriptors to the container's user, so that it
// can open /dev/stdout again, and replaces the host's /dev/null by the
// container's, which the container may change without harm.
func (c *compiler) stdio() {
	if c.proc.Terminal {
		c.b.At("process.terminal")
		if c.proc.UID != 0 {
			c.b.Do(boot.Fchown, 0, c.proc.UID, -1).Skip(unix.EPERM, unix.EINVAL, unix.EROFS)
		}
		return
	}
	for fd, s := range c.in.Stdio {
		if !s.Open {
			continue
		}
		c.b.At([]string{"stdin", "stdout", "stderr"}[fd])
		if s.Null {
			c.reopenNull(fd)
			continue
		}
		if s.Owner == c.proc.UID && !c.cfg.Namespaces.Has(config.UserNS) {
			continue
		}
		c.b.Do(boot.Fchown, fd, c.proc.UID, -1).Skip(unix.EPERM, unix.EINVAL, unix.EROFS, unix.ENOSYS)
	}
}

func (c *compiler) reopenNull(fd int) {
	absent := c.b.Label()
	w := c.b.Word("null")
	c.b.Do(boot.Openat, unix.AT_FDCWD, "/dev/null", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0).
		Into(w).On(absent, boot.AnyErrno)
	c.b.Do(boot.Dup3, w, fd, 0)
	c.b.Do(boot.Close, w)
	c.b.Place(absent)
	c.b.Release(w)
}

// enterCwd changes to the working directory, which is made if it is missing.
// This is the first try, as root: the user may not be allowed to search the
// directories above. checkCwd tries again as the user, because root may be
// the one who is refused (root squash on NFS).
func (c *compiler) enterCwd() {
	b := c.b
	b.At("process.cwd " + c.proc.Cwd)
	enter, done := b.Label(), b.Label()
	if c.in.Exec == nil && c.rootfd != 0 {
		missing := b.Label()
		b.Do(boot.Chdir, c.proc.Cwd).On(missing, unix.ENOENT).Into(c.cwdFail).On(enter, boot.AnyErrno)
		b.Jump(done)
		b.Place(missing)
		c.closeWord(c.target(c.proc.Cwd, false, 0, 0))
		b.Do(boot.Chdir, c.proc.Cwd).Into(c.cwdFail).On(enter, boot.AnyErrno)
	} else {
		b.Do(boot.Chdir, c.proc.Cwd).Into(c.cwdFail).On(enter, boot.AnyErrno)
	}
	b.Jump(done)
	b.Place(enter)
	b.Set(c.cwdFail, 1)
	b.Place(done)
	if c.seccompEarly() {
		// The filter may deny getcwd(2), so what was entered is checked before it.
		later := b.Label()
		b.JumpIfEqual(c.cwdFail.Addr(), 0xffffffff, 1, later)
		c.insideRoot()
		b.Place(later)
	}
}

// seccompEarly says whether the filter is loaded before the user is dropped.
func (c *compiler) seccompEarly() bool { return !c.proc.NoNewPrivileges && c.in.Filter != nil }

// checkCwd makes sure that the working directory is one of the container's
// (CVE-2024-21626): getcwd(2) says "(unreachable)" otherwise.
func (c *compiler) checkCwd() {
	b := c.b
	b.At("process.cwd " + c.proc.Cwd)
	entered, done := b.Label(), b.Label()
	after := entered
	if c.seccompEarly() {
		after = done
	}
	b.JumpIfEqual(c.cwdFail.Addr(), 0xffffffff, 0, after)
	b.Do(boot.Chdir, c.proc.Cwd)
	b.Place(entered)
	c.insideRoot()
	b.Place(done)
}

// insideRoot ends the program if the working directory is outside the root.
func (c *compiler) insideRoot() {
	b := c.b
	inside := b.Label()
	cwd := b.Buffer("cwd", 4096)
	b.Do(boot.Getcwd, cwd, 4096)
	b.JumpIfEqual(cwd, 0xff, '/', inside)
	c.plan.CwdOps = append(c.plan.CwdOps, b.Len())
	b.Fail(int(unix.ENOENT))
	b.Place(inside)
}

// identity drops to the user and the capabilities of the config.
func (c *compiler) identity() {
	b, p := c.b, c.proc
	caps := config.Capabilities{}
	if p.Capabilities != nil {
		caps = *p.Capabilities
	}
	own, permitted := c.host.Bounding, c.host.Permitted
	if c.cfg.Namespaces.Has(config.UserNS) || c.in.Exec != nil && c.in.Exec.UserNS {
		own = 1<<(c.host.LastCap+1) - 1 // a user namespace starts with all
		permitted = own
	}
	c.limitCaps(&caps, own, permitted)
	b.At("process.capabilities.bounding")
	for n := range c.host.LastCap + 1 {
		if caps.Bounding&(1<<n) == 0 && own&(1<<n) != 0 {
			b.Do(boot.Prctl, unix.PR_CAPBSET_DROP, n, 0, 0, 0)
		}
	}
	b.At("process.user")
	b.Do(boot.Prctl, unix.PR_SET_KEEPCAPS, 1, 0, 0, 0)
	c.groups()
	b.At("process.user.gid")
	b.Do(boot.Setresgid, p.GID, p.GID, p.GID)
	b.At("process.user.uid")
	b.Do(boot.Setresuid, p.UID, p.UID, p.UID)
	b.At("process.capabilities")
	b.Do(boot.Prctl, unix.PR_SET_KEEPCAPS, 0, 0, 0, 0)
	b.Do(boot.Capset, capHeader(), capData(caps))
	b.At("process.capabilities.ambient")
	b.Do(boot.Prctl, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0).Skip(unix.EINVAL)
	for set := caps.Ambient; set != 0; set &= set - 1 {
		b.Do(boot.Prctl, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, bits.TrailingZeros64(set), 0, 0)
	}
	b.At("process.user.umask")
	b.Do(boot.Umask, p.Umask)
}

// limitCaps drops what we do not have ourselves, with a warning: the spec
// wants that to be no error.
func (c *compiler) limitCaps(caps *config.Capabilities, own, permitted uint64) {
	for _, s := range []struct {
		name string
		set  *uint64
		have uint64
	}{
		{"bounding", &caps.Bounding, own}, {"permitted", &caps.Permitted, permitted},
		{"effective", &caps.Effective, permitted}, {"inheritable", &caps.Inheritable, permitted},
		{"ambient", &caps.Ambient, permitted},
	} {
		if lost := *s.set &^ s.have; lost != 0 {
			c.warn("process.capabilities.%s: %#x are not among our own and are dropped", s.name, lost)
			*s.set &= s.have
		}
	}
	caps.Effective &= caps.Permitted
	caps.Ambient &= caps.Permitted & caps.Inheritable
}

// groups sets the supplementary groups. Where setgroups(2) is denied, the
// caller's cannot be dropped, user_namespaces(7).
func (c *compiler) groups() {
	gids := c.proc.AdditionalGIDs
	c.b.At("process.user.additionalGids")
	var list []byte
	for _, g := range gids {
		list = binary.LittleEndian.AppendUint32(list, g)
	}
	arg := any(0)
	if len(list) > 0 {
		arg = list
	}
	op := c.b.Do(boot.Setgroups, len(gids), arg)
	userns := c.cfg.Namespaces.Has(config.UserNS) || c.in.Exec != nil && c.in.Exec.UserNS
	if len(gids) == 0 && (userns || c.cfg.Rootless) {
		op.Skip(unix.EPERM)
	}
}

func capHeader() []byte {
	return binary.LittleEndian.AppendUint64(nil, unix.LINUX_CAPABILITY_VERSION_3)
}

// capData is struct __user_cap_data_struct[2], capset(2).
func capData(caps config.Capabilities) []byte {
	var v []byte
	for shift := 0; shift < 64; shift += 32 {
		for _, set := range []uint64{caps.Effective, caps.Permitted, caps.Inheritable} {
			v = binary.LittleEndian.AppendUint32(v, uint32(set>>shift))
		}
	}
	return v
}

// seccomp loads the filter. With a listener, the parent takes it from us.
func (c *compiler) seccomp() {
	f := c.in.Filter
	if f == nil {
		return
	}
	b := c.b
	b.At("linux.seccomp")
	program := binary.LittleEndian.AppendUint64(nil, uint64(len(f.BPF)/8)) // struct sock_fprog
	program = binary.LittleEndian.AppendUint64(program, uint64(b.Bytes(f.BPF)))
	const setModeFilter = 1
	load := b.Do(boot.Seccomp, setModeFilter, f.Flags, program)
	if !f.Listener {
		return
	}
	n := c.step(Step{Kind: StepListener, Origin: "linux.seccomp.listenerPath"})
	message := b.Constant("listener report", binary.LittleEndian.Uint64(boot.BarrierHeader(n)))
	fd := b.Constant("listener", 0)
	if fd != message+1 {
		panic("BUG: report cells are not adjacent")
	}
	load.Into(fd)
	b.Do(boot.Write, b.Control(), message.Addr(), 16)
	c.await()
	b.Do(boot.Close, fd)
}
