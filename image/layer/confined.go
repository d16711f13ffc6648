// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// childArgument makes a program the applier that Confined starts.
const childArgument = "berth-confined-layer"

// Descriptors of the child, beside the blob on 0.
const (
	dirFD = 3 + iota
	requestFD
	replyFD
	lowersFD // and those after it
)

const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// Confined is Extract in a process of its own: the program that calls it once
// more, which has to call Main. The process has its own mount, network, IPC and
// UTS namespaces (as an ordinary user in a user namespace), dir as its root and
// no other file of the host but blob, few capabilities, and limits on memory
// and files; it dies with its parent. What cannot be taken from it is told to
// o.Warn. Errors are those of Extract, or ErrChild; entries come as they are
// made.
//
// A blob that is an *os.File is read by the child itself. For others Confined
// waits until a Read of blob that is under way returns, also after ctx is done:
// a reader that can block has to watch ctx too.
func Confined(ctx context.Context, dir *os.File, blob io.Reader, d ocispec.Descriptor, diffID digest.Digest, o Options) (Result, error) {
	if _, err := check(d, diffID); err != nil {
		return Result{}, err
	}
	// The parent-death signal comes when the thread that started the child ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &confined{outer: ctx, ctx: inner, dir: dir, blob: blob, o: &o}
	c.request = request{
		Form: o.Form, Lowers: len(o.Lowers), Limits: o.Limits, UIDs: o.UIDs, GIDs: o.GIDs, Rootless: o.Rootless,
		KeepDirlinks: o.KeepDirlinks, Record: o.Record != nil, Namespaces: true, Descriptor: d, DiffID: diffID,
	}
	defer c.close()
	err := c.start(attributesOfChild(os.Geteuid(), os.Getegid()))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EACCES) {
		if o.Warn != nil {
			o.Warn(fmt.Sprintf("the applier cannot have namespaces of its own: %s", err))
		}
		c.request.Namespaces = false
		c.close()
		err = c.start(&syscall.SysProcAttr{Pdeathsig: unix.SIGKILL})
	}
	if err != nil {
		return Result{}, &Error{Kind: ErrChild, Message: "cannot start the applier: " + err.Error()}
	}
	return c.finish(cancel)
}

// attributesOfChild: an ordinary user has the capabilities for a root directory
// of its own in a user namespace that maps its ids to themselves.
func attributesOfChild(uid, gid int) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL, Cloneflags: namespaces}
	if uid != 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP}
	}
	return attr
}

// confined is the parent's side.
type confined struct {
	outer   context.Context // the caller's
	ctx     context.Context // done as well when either side failed
	dir     *os.File
	blob    io.Reader
	o       *Options
	request request
	cmd     *exec.Cmd
	stderr  head
	ask     *os.File // where the request goes
	answer  *os.File
	feed    *os.File // where the blob goes; nil if the child reads it itself
	theirs  []*os.File
}

// close gives back all that is still open.
func (c *confined) close() {
	for _, f := range append(c.theirs, c.ask, c.answer, c.feed) {
		if f != nil {
			_ = f.Close() // pipes; closed twice at worst
		}
	}
	c.theirs, c.ask, c.answer, c.feed = nil, nil, nil, nil
}

// pipe makes one whose one end is the child's.
func (c *confined) pipe(childReads bool) (theirs, ours *os.File, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	if !childReads {
		r, w = w, r
	}
	c.theirs = append(c.theirs, r)
	return r, w, nil
}

func (c *confined) start(attr *syscall.SysProcAttr) error {
	c.cmd = exec.CommandContext(c.ctx, "/proc/self/exe", childArgument)
	c.cmd.Args[0] = os.Args[0]
	c.cmd.Env = []string{}
	c.cmd.SysProcAttr = attr
	c.cmd.Stderr = &c.stderr
	request, ask, err := c.pipe(true)
	if err != nil {
		return err
	}
	c.ask = ask
	reply, answer, err := c.pipe(false)
	if err != nil {
		return err
	}
	c.answer = answer
	if f, ok := c.blob.(*os.File); ok {
		c.cmd.Stdin = f
	} else {
		stdin, feed, err := c.pipe(true)
		if err != nil {
			return err
		}
		c.cmd.Stdin, c.feed = stdin, feed
		// Fewer switches between the processes; the default is fine as well.
		_, _ = unix.FcntlInt(feed.Fd(), unix.F_SETPIPE_SZ, 1<<20)
	}
	c.cmd.ExtraFiles = append([]*os.File{c.dir, request, reply}, c.o.Lowers...)
	return c.cmd.Start()
}

// finish feeds the child until it has answered. Whoever fails first ends it.
func (c *confined) finish(cancel func()) (Result, error) {
	for _, f := range c.theirs {
		_ = f.Close() // the child has them
	}
	c.theirs = nil
	fed := make(chan error, 1)
	go func() {
		err := c.send()
		if err != nil {
			cancel()
		}
		fed <- err
	}()
	answer, receiveErr := receive(c.answer, c.o.Warn, c.o.Record)
	if receiveErr != nil {
		cancel()
	}
	waitErr := c.cmd.Wait()
	sendErr := <-fed
	switch {
	case receiveErr == nil && waitErr == nil:
		if err := answer.Failed.err(); err == nil || sendErr == nil {
			return answer.Result, err
		}
		return answer.Result, sendErr
	case c.outer.Err() != nil:
		return Result{}, c.outer.Err()
	case sendErr != nil:
		return Result{}, sendErr
	}
	message := "the confined applier ended without an answer"
	if waitErr != nil {
		message += ": " + waitErr.Error()
	}
	if text := c.stderr.line(); text != "" {
		message += ": " + text
	}
	return Result{}, &Error{Kind: ErrChild, Message: message}
}

// send gives the child its request and the blob. A child that does not take
// all of it says why itself.
func (c *confined) send() error {
	err := json.NewEncoder(c.ask).Encode(&c.request)
	_ = c.ask.Close()
	if err != nil || c.feed == nil {
		return ignorePipe(err)
	}
	defer c.feed.Close()
	b := make([]byte, blockSize)
	for left := c.request.Descriptor.Size; left > 0; {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		n, err := c.blob.Read(b[:min(int64(len(b)), left)])
		left -= int64(n)
		if n > 0 {
			if _, err := c.feed.Write(b[:n]); err != nil {
				return ignorePipe(err)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func ignorePipe(err error) error {
	if errors.Is(err, unix.EPIPE) {
		return nil
	}
	return err
}

// head keeps the beginning of what the child says on its stderr, which is only
// the runtime's last words.
type head struct{ text []byte }

// Write implements io.Writer.
func (h *head) Write(b []byte) (int, error) {
	h.text = append(h.text, b[:min(len(b), 1024-len(h.text))]...)
	return len(b), nil
}

func (h *head) line() string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(h.text)), "\n")
	return line
}
