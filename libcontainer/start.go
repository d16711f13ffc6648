// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"berth/internal/pidfd"
	"berth/internal/sdnotify"
	"berth/libcontainer/hook"
	"berth/libcontainer/state"
)

// StartOptions say how to start a created container.
type StartOptions struct {
	// NotifySocket is the host's $NOTIFY_SOCKET; the container's readiness is
	// passed on to it. "" for none.
	NotifySocket string
	// Warn gets what goes wrong without failing start; may be nil.
	Warn func(msg string)
}

// Start lets a created container's init execute the payload.
func (c *Container) Start(o StartOptions) error {
	status, err := c.Status()
	if err != nil {
		return err
	}
	switch status {
	case Stopped:
		return errors.New("cannot start a container that has stopped")
	case Running:
		return errStarted
	case Paused:
		return errors.New("cannot start a container in the paused state")
	case Creating:
		return errors.New("cannot start a container that is not created yet")
	}
	var proxy *sdnotify.Proxy
	if o.NotifySocket != "" {
		if proxy, err = sdnotify.Listen(filepath.Join(c.StateDir(), sdnotify.Dir), o.NotifySocket); err != nil {
			return err
		}
		defer proxy.Close()
	}
	if err := c.release(); err != nil {
		return err
	}
	if err := poststart(c.rec, o.Warn); err != nil {
		return err
	}
	if proxy != nil {
		init, err := pidfd.OpenVerified(c.rec.InitPid, c.rec.InitStart)
		if errors.Is(err, pidfd.ErrGone) {
			return nil
		}
		if err != nil {
			return err
		}
		defer init.Close()
		return proxy.Forward(init)
	}
	return nil
}

var errStarted = errors.New("cannot start an already running container")

// release writes the byte that init waits for, and then removes the fifo: in
// this order, since a container whose start was killed in between runs. Of two
// that start at the same time, the one with the lock wins.
func (c *Container) release() error {
	path := c.StateDir() + "/" + state.FifoName
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if errors.Is(err, unix.ENXIO) { // init held the other end
		return errors.New("cannot start a container that has stopped")
	}
	if errors.Is(err, unix.ENOENT) {
		return errStarted
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return errStarted
	} else if err != nil {
		return fmt.Errorf("flock %s: %w", path, err)
	}
	if err := unix.Fstat(fd, &st); err != nil || st.Nlink == 0 {
		return errStarted
	}
	if _, err := unix.Write(fd, []byte{0}); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := unix.Unlink(path); err != nil {
		return fmt.Errorf("unlink %s: %w", path, err)
	}
	if len(c.rec.Poststart) > 0 {
		return c.awaitExec(fd)
	}
	return nil
}

// awaitExec waits until init has executed the payload, or has ended: it keeps
// its end of the fifo, close-on-exec, until then. poststart comes after that.
func (c *Container) awaitExec(fd int) error {
	fds := []unix.PollFd{{Fd: int32(fd)}} // POLLERR, nobody reads, is always asked for
	init, err := pidfd.OpenVerified(c.rec.InitPid, c.rec.InitStart)
	if err == nil { // it may have ended already
		defer init.Close()
		fds = append(fds, unix.PollFd{Fd: int32(init.File().Fd()), Events: unix.POLLIN})
	}
	for {
		_, err := unix.Poll(fds, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for execve: poll: %w", err)
		}
		return nil
	}
}

// poststart runs the poststart hooks; a failure ends the container, as
// runtime-spec 1.3 wants it. In a config of 1.0 it is a warning, and the
// remaining hooks run, as that version has it.
func poststart(rec *state.Record, warn func(string)) error {
	if len(rec.Poststart) == 0 {
		return nil
	}
	st, err := hookState(rec, "running", rec.InitPid)
	if err != nil {
		return err
	}
	if strings.HasPrefix(rec.OCIVersion, "1.0.") {
		for i, h := range rec.Poststart {
			err := hook.Run(fmt.Sprintf("hooks.poststart[%d]", i), h, st)
			if err != nil && warn != nil {
				warn(fmt.Sprintf("error running %v", err))
			}
		}
		return nil
	}
	if err := runHooks("poststart", rec.Poststart, st); err != nil {
		_ = killInit(rec, unix.SIGKILL)
		return err
	}
	return nil
}
