// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"berth/libcontainer/boot"
	"berth/libcontainer/config"
	"berth/libcontainer/host"
)

// compiler is the state of one compilation. Words that several phases share
// are its fields.
type compiler struct {
	in   *Input
	cfg  *config.Container
	host host.Facts
	proc *config.Process
	b    *boot.Builder
	plan *Plan

	rootfd boot.Word // the container's root mount, attached
	procfd boot.Word // the host's /proc
	dead   boot.Label
	answer boot.Addr // the parent's last answer
	length boot.Word // its length in bytes

	// earlyRoot and sources are opened before the ids change; 0: refused.
	earlyRoot boot.Word
	sources   map[*config.Mount]boot.Word

	terminal boot.Word // slave of the console, when there is one
	cwdFail  boot.Word
	sent     boot.Word // cell for the descriptor of a message with a file

	leaks    *boot.Op // closes what lies above our descriptors (Linux 5.10)
	deferred []func() // attributes that wait until the devices are there
	// repropagate are propagation types that wait until the pivot.
	repropagate []func()
	found       boot.Word // address of the executable's path
	apparmor    boot.Word // files that take a label
	selinux     boot.Word
	output      int       // descriptor that collects what hooks print
	statfs      boot.Addr // buffer for fstatfs
	statx       boot.Addr // buffer for statx
	err         error
}

// answerSize is the size of the buffer for answers, in bytes.
const answerSize = boot.MaxAnswer

func newCompiler(in *Input, arch boot.Arch) *compiler {
	c := &compiler{in: in, cfg: in.Config, host: in.Host, plan: &Plan{}}
	if in.Config != nil {
		c.proc = in.Config.Process
	}
	for i := range 3 {
		kind := FileStdio
		if c.proc != nil && c.proc.Terminal {
			kind = FileNull // until the terminal takes its place
		}
		c.plan.Files = append(c.plan.Files, File{Kind: kind, Index: i})
	}
	for i := range in.PreserveFDs {
		c.plan.Files = append(c.plan.Files, File{Kind: FilePreserved, Index: i})
	}
	c.b = boot.New(boot.Config{Arch: arch, Control: len(c.plan.Files)})
	c.plan.Files = append(c.plan.Files, File{Kind: FileControl})
	c.answer = c.b.Buffer("answer", answerSize)
	c.length = c.b.Word("answer length")
	c.dead = c.b.Label()
	return c
}

// finish ends the program and returns the plan.
func (c *compiler) finish() (*Plan, error) {
	if c.err != nil {
		return nil, c.err
	}
	c.b.At("the runtime has died")
	c.b.Place(c.dead)
	c.b.Fail(int(unix.EPIPE))
	if c.leaks != nil {
		c.leaks.Args[0].Value = int64(len(c.plan.Files))
	}
	p, err := c.b.Finish()
	if err != nil {
		return nil, err
	}
	c.plan.Program = p
	return c.plan, nil
}

func (c *compiler) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *compiler) unsupported(origin, what string, major, minor int) {
	c.fail("%s: %w", origin, &host.Unsupported{What: what, Since: host.Version{Major: major, Minor: minor}})
}

func (c *compiler) warn(format string, args ...any) {
	c.plan.Warnings = append(c.plan.Warnings, fmt.Sprintf(format, args...))
}

// file adds a descriptor that the parent passes, and returns its number.
func (c *compiler) file(f File) int {
	c.plan.Files = append(c.plan.Files, f)
	n := len(c.plan.Files) - 1
	if !c.host.CloseRangeCloexec() {
		c.b.Do(boot.Ioctl, n, fioclex, 0)
	}
	return n
}

// barrier tells the parent to do a step, and waits for its answer; the
// parent's death ends the program here.
func (c *compiler) barrier(s Step) {
	n := c.step(s)
	c.b.Do(boot.Write, c.b.Control(), c.b.Bytes(boot.BarrierHeader(n)), 8)
	c.await()
}

func (c *compiler) step(s Step) uint32 {
	c.plan.Steps = append(c.plan.Steps, s)
	return uint32(len(c.plan.Steps) - 1)
}

func (c *compiler) await() {
	c.b.Do(boot.Read, c.b.Control(), c.answer, answerSize-1).Into(c.length)
	c.b.JumpIfEqual(c.length.Addr(), 0xffffffff, 0, c.dead)
}

// barrierWithFile is a barrier that passes a descriptor to the parent. It
// uses sendmsg(2), cmsg(3).
func (c *compiler) barrierWithFile(s Step, fd boot.Word) {
	if c.sent == 0 {
		c.newRights()
	}
	header := boot.BarrierHeader(c.step(s))
	le := binary.LittleEndian
	iov := le.AppendUint64(le.AppendUint64(nil, uint64(c.b.Bytes(header))), uint64(len(header)))
	msg := make([]byte, 56) // struct msghdr
	le.PutUint64(msg[16:], uint64(c.b.Bytes(iov)))
	le.PutUint64(msg[24:], 1)
	le.PutUint64(msg[32:], uint64((c.sent - 2).Addr()))
	le.PutUint64(msg[40:], 24) // CMSG_SPACE(4)
	c.b.Set(c.sent, fd)
	c.b.Do(boot.SendMsg, c.b.Control(), msg, unix.MSG_NOSIGNAL)
	c.await()
}

// newRights allocates three cells that form a cmsghdr with one descriptor.
func (c *compiler) newRights() {
	length := c.b.Constant("cmsg length", 20) // CMSG_LEN(4)
	kind := c.b.Constant("cmsg type", unix.SCM_RIGHTS<<32|unix.SOL_SOCKET)
	c.sent = c.b.Constant("cmsg descriptor", 0)
	if kind != length+1 || c.sent != length+2 {
		panic("BUG: cmsg cells are not adjacent")
	}
}

// openHow is struct open_how, openat2(2).
func openHow(flags, mode, resolve uint64) []byte {
	le := binary.LittleEndian
	return le.AppendUint64(le.AppendUint64(le.AppendUint64(nil, flags|unix.O_CLOEXEC), mode), resolve)
}

// openIn opens a path within a root that may be hostile. ".." and symbolic
// links stay inside, magic links are refused. EAGAIN means that something was
// renamed meanwhile: again, openat2(2).
func (c *compiler) openIn(root boot.Word, path string, flags, resolve uint64, into boot.Word) *boot.Op {
	again := c.b.Label()
	c.b.Place(again)
	return c.b.Do(boot.Openat2, root, inRoot(path), openHow(flags, 0, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS|resolve), 24).
		Into(into).On(again, unix.EAGAIN)
}

// inRoot makes an absolute path relative to the root's descriptor.
func inRoot(path string) string {
	if path = strings.Trim(path, "/"); path == "" {
		return "."
	}
	return path
}

// closeWord closes a descriptor and frees its word.
func (c *compiler) closeWord(w boot.Word) {
	c.b.Do(boot.Close, w)
	c.b.Release(w)
}

// target returns a word with an O_PATH descriptor for a path below the root,
// creating what is missing: directories 0755, and for a file an empty one.
// Each component is created on a descriptor of its parent. The flag created,
// unless 0, is set to 1 if the path had to be created.
func (c *compiler) target(path string, file bool, resolve uint64, created boot.Word) boot.Word {
	b := c.b
	dst := b.Word("target")
	flags := uint64(unix.O_PATH)
	if !file {
		flags |= unix.O_DIRECTORY
	}
	parts := strings.Split(inRoot(path), "/")
	if parts[0] == "." {
		c.openIn(c.rootfd, path, flags, resolve, dst)
		return dst
	}
	create, done := b.Label(), b.Label()
	c.openIn(c.rootfd, path, flags, resolve, dst).On(create, unix.ENOENT)
	b.Jump(done)
	b.Place(create)
	parent := c.rootfd
	for i, name := range parts {
		last := i == len(parts)-1
		if last && file {
			b.Do(boot.Mknodat, parent, name, unix.S_IFREG|0o644, 0).Skip(unix.EEXIST)
		} else {
			b.Do(boot.Mkdirat, parent, name, 0o755).Skip(unix.EEXIST)
		}
		next, how := dst, flags
		if !last {
			next, how = b.Word("directory"), unix.O_PATH|unix.O_DIRECTORY
		}
		c.openIn(c.rootfd, strings.Join(parts[:i+1], "/"), how, resolve, next)
		if parent != c.rootfd {
			c.closeWord(parent)
		}
		parent = next
	}
	if created != 0 {
		b.Set(created, 1)
	}
	b.Place(done)
	return dst
}
