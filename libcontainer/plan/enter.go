// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
	"berth/libcontainer/config"
)

// fioclex sets close-on-exec, ioctl_fioclex(2).
const fioclex = 0x5451

// enter makes every inherited descriptor close-on-exec and joins the cgroups.
func (c *compiler) enter() {
	b := c.b
	first := 3 + c.in.PreserveFDs
	if c.proc != nil && c.proc.CPUAffinity != nil {
		c.affinity("process.execCPUAffinity.initial", c.proc.CPUAffinity.Initial)
	}
	b.At("descriptors")
	// What lies above our own was left open by our caller. Close-on-exec is not
	// enough: until then others could reach it through /proc/PID/fd.
	c.leaks = b.Do(boot.CloseRange, 0, -1, 0)
	if c.host.CloseRangeCloexec() {
		b.Do(boot.CloseRange, first, -1, unix.CLOSE_RANGE_CLOEXEC)
	} else {
		b.Do(boot.Ioctl, b.Control(), fioclex, 0) // and each of ours, see file
	}
	b.Do(boot.Prctl, unix.PR_SET_NAME, "berth-init", 0, 0, 0) // for ps; execve undoes it
	c.signals()
	c.cgroups()
	c.affinities()
	if c.proc != nil && c.proc.OOMScoreAdj != nil {
		b.At("process.oomScoreAdj")
		c.writeFile(unix.AT_FDCWD, "/proc/self/oom_score_adj", strconv.Itoa(*c.proc.OOMScoreAdj))
	}
}

// cgroups enters the v1 cgroups. "0" is the writing thread itself, whatever pid
// namespace it is in.
func (c *compiler) cgroups() {
	b := c.b
	if c.in.CgroupBarrier {
		b.At("linux.cgroupsPath")
		c.barrier(Step{Kind: StepCgroup, Origin: "linux.cgroupsPath"})
	}
	for i, path := range c.in.CgroupFiles {
		b.At("linux.cgroupsPath: " + path)
		if !c.in.CgroupBarrier {
			fd := c.file(File{Kind: FileCgroup, Index: i, Path: path})
			b.Do(boot.Write, fd, "0", 1)
			b.Do(boot.Close, fd)
			continue
		}
		w, absent := b.Word("cgroup"), b.Label()
		open := b.Do(boot.Openat2, unix.AT_FDCWD, path, openHow(unix.O_WRONLY, 0, unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_MAGICLINKS), 24).Into(w)
		if c.cfg.Rootless { // the parent may have had no right to make it
			open.On(absent, unix.ENOENT, unix.ENODEV, unix.EPERM, unix.EACCES, unix.EROFS)
		}
		b.Do(boot.Write, w, "0", 1)
		c.closeWord(w)
		b.Place(absent)
	}
}

// signals undoes what we may have inherited: a blocked signal, or an ignored
// one, e.g. from nohup. Go's runtime handles all others, and execve resets those.
func (c *compiler) signals() {
	c.b.At("signals")
	c.b.Do(boot.RtSigprocmask, unix.SIG_SETMASK, make([]byte, 8), 0, 8)
	for _, s := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGCONT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU} {
		c.b.Do(boot.RtSigaction, int(s), make([]byte, 32), 0, 8) // SIG_DFL is 0
	}
}

// affinities widens the affinity to the new cgroup's CPUs, since the caller's
// may have been narrowed, or sets what the config asks for.
func (c *compiler) affinities() {
	if a := c.proc; a != nil && a.CPUAffinity != nil && a.CPUAffinity.Final != nil {
		c.affinity("process.execCPUAffinity.final", a.CPUAffinity.Final)
		return
	}
	all := make([]uint64, 128) // 8192 CPUs, the kernel's largest NR_CPUS
	for i := range all {
		all[i] = ^uint64(0)
	}
	c.b.At("CPU affinity")
	c.b.Do(boot.SchedSetaffinity, 0, 8*len(all), words(all)).Skip(boot.AnyErrno)
}

func (c *compiler) affinity(origin string, set []uint64) {
	if set == nil {
		return
	}
	c.b.At(origin)
	c.b.Do(boot.SchedSetaffinity, 0, 8*len(set), words(set))
}

// words returns 64-bit values as little-endian bytes.
func words(list []uint64) []byte {
	var v []byte
	for _, w := range list {
		v = binary.LittleEndian.AppendUint64(v, w)
	}
	return v
}

// writeFile opens a file of procfs for writing, writes, and closes it.
func (c *compiler) writeFile(dir any, path, value string) {
	w := c.b.Word("file")
	c.b.Do(boot.Openat, dir, path, unix.O_WRONLY|unix.O_CLOEXEC, 0).Into(w)
	c.b.Do(boot.Write, w, value, len(value))
	c.closeWord(w)
}

// CloneFlag is the CLONE_NEW* flag of a namespace type.
func CloneFlag(t config.NamespaceType) int {
	switch t {
	case config.UserNS:
		return unix.CLONE_NEWUSER
	case config.MountNS:
		return unix.CLONE_NEWNS
	case config.NetworkNS:
		return unix.CLONE_NEWNET
	case config.IPCNS:
		return unix.CLONE_NEWIPC
	case config.UTSNS:
		return unix.CLONE_NEWUTS
	case config.PIDNS:
		return unix.CLONE_NEWPID
	case config.CgroupNS:
		return unix.CLONE_NEWCGROUP
	case config.TimeNS:
		return unix.CLONE_NEWTIME
	}
	panic("BUG: namespace type " + string(t))
}

// namespaces joins and creates namespaces. Without a user, a time or a joined
// pid namespace, the clone that starts the image creates them all; otherwise
// the image is a first stage that joins or creates those, and clones the
// container's init with the rest, as a sibling (CLONE_PARENT). What a user
// namespace binds is opened between its mount namespace and its ids.
func (c *compiler) namespaces() {
	ns, b := c.cfg.Namespaces, c.b
	flags := 0
	for _, n := range ns {
		switch n.Type {
		case config.UserNS, config.CgroupNS, config.TimeNS:
		default:
			if n.Path == "" {
				flags |= CloneFlag(n.Type)
			}
		}
	}
	pid, joinsPid := ns.Get(config.PIDNS)
	joinsPid = joinsPid && pid.Path != ""
	c.plan.TwoStage = ns.Has(config.UserNS) || ns.New(config.TimeNS) || joinsPid
	if !c.plan.TwoStage {
		c.plan.Cloneflags = uintptr(flags)
		flags = 0
	}
	if !ns.New(config.UserNS) && c.plan.TwoStage {
		c.nonDumpable()
	}
	c.joinAll()
	if ns.New(config.UserNS) {
		b.At("linux.namespaces: user")
		b.Do(boot.Unshare, unix.CLONE_NEWUSER)
		c.barrier(Step{Kind: StepMapIDs, Origin: "linux.uidMappings"})
	}
	if ns.New(config.TimeNS) {
		// Before the ids change: that makes our files in /proc the host root's.
		b.At("linux.timeOffsets")
		b.Do(boot.Unshare, unix.CLONE_NEWTIME)
		for _, o := range c.cfg.TimeOffsets {
			c.writeFile(unix.AT_FDCWD, "/proc/self/timens_offsets", fmt.Sprintf("%s %d %d", o.Clock, o.Secs, o.Nanosec))
		}
	}
	if ns.Has(config.UserNS) {
		if flags&unix.CLONE_NEWNS != 0 {
			b.At("linux.namespaces: mount")
			b.Do(boot.Unshare, unix.CLONE_NEWNS)
			flags &^= unix.CLONE_NEWNS
			c.openSources()
		}
		c.becomeRoot()
	}
	if c.plan.TwoStage {
		if ns.New(config.UserNS) && !c.cfg.Rootless {
			c.nonDumpable() // a joined pid namespace has others in it
		}
		c.secondStage(flags)
	}
	if ns.New(config.CgroupNS) {
		b.At("linux.namespaces: cgroup")
		b.Do(boot.Unshare, unix.CLONE_NEWCGROUP)
	}
}

// nonDumpable keeps processes of a joined namespace from attaching to us and
// reaching our descriptors (CVE-2016-9962); execve undoes it.
func (c *compiler) nonDumpable() {
	c.b.At("descriptors")
	c.b.Do(boot.Prctl, unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

// joinAll joins namespaces by path: those that need the host's privileges
// before the user namespace, and what was refused then again after it.
func (c *compiler) joinAll() {
	b := c.b
	type join struct {
		ns      config.Namespace
		fd      int
		pending boot.Word
	}
	var list []join
	user := -1
	for _, n := range c.cfg.Namespaces {
		if n.Path == "" {
			continue
		}
		fd := c.file(File{Kind: FileNamespace, Index: n.Index, Path: n.Path})
		if n.Type == config.UserNS {
			user = fd
			continue
		}
		list = append(list, join{ns: n, fd: fd})
	}
	origin := func(n config.Namespace) string {
		return fmt.Sprintf("linux.namespaces[%d].path %s", n.Index, n.Path)
	}
	for i, j := range list {
		b.At(origin(j.ns))
		op := b.Do(boot.Setns, j.fd, CloneFlag(j.ns.Type))
		if user >= 0 {
			// Unwritten by a failure, so it says "pending" until a call succeeds.
			list[i].pending = b.Constant("pending "+string(j.ns.Type), 1)
			op.Into(list[i].pending).Skip(unix.EPERM)
		}
	}
	if user < 0 {
		return
	}
	n, _ := c.cfg.Namespaces.Get(config.UserNS)
	b.At(origin(n))
	b.Do(boot.Setns, user, unix.CLONE_NEWUSER)
	for _, j := range list {
		joined := b.Label()
		b.At(origin(j.ns))
		b.JumpIfEqual(j.pending.Addr(), 0xffffffff, 0, joined)
		b.Do(boot.Setns, j.fd, CloneFlag(j.ns.Type))
		b.Place(joined)
	}
}

// becomeRoot takes id 0 of the user namespace. EINVAL: id 0 is not mapped.
func (c *compiler) becomeRoot() {
	c.b.At("linux.uidMappings")
	c.b.Do(boot.Setresgid, 0, 0, 0).Skip(unix.EINVAL)
	c.b.Do(boot.Setresuid, 0, 0, 0).Skip(unix.EINVAL)
}

// secondStage clones the container's init and ends the first process. The new
// one is the runtime's child too; the runtime learns its pid from the
// credentials of its next message.
func (c *compiler) secondStage(flags int) {
	b := c.b
	child := b.Label()
	pid := b.Word("pid")
	b.At("linux.namespaces")
	b.Do(boot.Clone, flags|unix.CLONE_PARENT|int(unix.SIGCHLD), 0, 0, 0, 0).Into(pid)
	b.JumpIfEqual(pid.Addr(), 0xffffffff, 0, child)
	b.Do(boot.ExitGroup, 0)
	b.Place(child)
	b.Release(pid)
}

// network brings the loopback up in a new network namespace, and lets the
// parent move devices in.
func (c *compiler) network() {
	if c.cfg.Namespaces.New(config.NetworkNS) {
		c.b.At("linux.namespaces: loopback")
		s := c.b.Word("socket")
		c.b.Do(boot.Socket, unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0).Into(s)
		request := make([]byte, 40) // struct ifreq, netdevice(7)
		copy(request, "lo")
		binary.LittleEndian.PutUint16(request[16:], unix.IFF_UP)
		c.b.Do(boot.Ioctl, s, unix.SIOCSIFFLAGS, request)
		c.closeWord(s)
	}
	if len(c.cfg.NetDevices) > 0 {
		c.barrier(Step{Kind: StepNetDevice, Origin: "linux.netDevices"})
	}
}

// keyring joins the session keyring _ses.ID, keyrings(7), and lets its owner
// search it. Kernels and sandboxes without keyrings are no error.
func (c *compiler) keyring() {
	if c.in.NoNewKeyring {
		return
	}
	const join, setperm = 1, 5 // KEYCTL_JOIN_SESSION_KEYRING, KEYCTL_SETPERM
	permissions := 0x3f1b0000  // possessor all; user view, read, search, link
	if c.cfg.Namespaces.Has(config.UserNS) || c.in.Exec != nil && c.in.Exec.UserNS {
		permissions = 0x3f130008 // there it is the others who must be able to search, as in runc
	}
	done := c.b.Label()
	key := c.b.Word("keyring")
	c.b.At("session keyring")
	c.b.Do(boot.Keyctl, join, "_ses."+c.in.ID, 0).Into(key).On(done, unix.ENOSYS, unix.EPERM, unix.EDQUOT)
	c.b.Do(boot.Keyctl, setperm, key, permissions).Skip(boot.AnyErrno)
	c.b.Place(done)
	c.b.Release(key)
}

// kernel sets the names and the sysctls of new namespaces.
func (c *compiler) kernel() {
	b := c.b
	if c.cfg.Hostname != "" {
		b.At("hostname")
		b.Do(boot.Sethostname, c.cfg.Hostname, len(c.cfg.Hostname))
	}
	if c.cfg.Domainname != "" {
		b.At("domainname")
		b.Do(boot.Setdomainname, c.cfg.Domainname, len(c.cfg.Domainname))
	}
	if len(c.cfg.Sysctls) > 0 || c.usesAttr() {
		b.At("/proc")
		c.procfd = b.Word("host /proc")
		b.Do(boot.Openat, unix.AT_FDCWD, "/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0).Into(c.procfd)
	}
	for _, s := range c.cfg.Sysctls {
		b.At("linux.sysctl " + s.Key)
		c.writeProc("sys/"+s.Path, s.Value)
	}
	c.openAttr()
	c.closeProc()
}

// closeProc closes the host's /proc: nobody may find it in the waiting init.
func (c *compiler) closeProc() {
	if c.procfd != 0 {
		c.b.At("/proc")
		c.closeWord(c.procfd)
		c.procfd = 0
	}
}

// writeProc writes to a file below the host's own procfs; mounts on top of it
// and symbolic links are refused.
func (c *compiler) writeProc(path, value string) {
	w := c.b.Word("file")
	c.b.Do(boot.Openat2, c.procfd, path, openHow(unix.O_WRONLY, 0, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV|unix.RESOLVE_NO_SYMLINKS), 24).Into(w)
	c.b.Do(boot.Write, w, value, len(value))
	c.closeWord(w)
}
