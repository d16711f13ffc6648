// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/pidfd"
	"berth/libcontainer/cgroup/oom"
	"berth/libcontainer/cgroup/stats"
)

// Stats are what the kernel counts for a container: the fields of runc's
// `events`.
type Stats struct {
	stats.Stats
	// IntelRDT is there as readers look for it; nothing is counted yet.
	IntelRDT struct{} `json:"intel_rdt"`
	// NetworkInterfaces is null, as in runc, which counts interfaces that it
	// made, and makes none; engines read /proc/PID/net/dev.
	NetworkInterfaces []struct{} `json:"network_interfaces"`
}

// The types of an Event.
const (
	EventStats = "stats"
	EventOOM   = "oom"
)

// Event is one line of `events`.
type Event struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Data *Stats `json:"data,omitempty"` // of EventStats
}

// Stats reads the container's statistics. Errors are stats.ErrNone for one
// without a cgroup, stats.ErrGone for one whose cgroup was removed, and
// ErrNotRunning, in runc's words.
func (c *Container) Stats() (*Stats, error) {
	if err := c.checkRuns(); err != nil {
		return nil, err
	}
	dirs, err := c.statDirs()
	if err != nil {
		return nil, err
	}
	return c.readStats(dirs)
}

func (c *Container) readStats(dirs stats.Dirs) (*Stats, error) {
	s, err := stats.Read(dirs)
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", c.rec.ID, err)
	}
	return &Stats{Stats: *s}, nil
}

func (c *Container) statDirs() (stats.Dirs, error) {
	m, err := c.cgroup()
	if err != nil {
		return stats.Dirs{}, err
	}
	return m.StatDirs(), nil
}

// notRunningError is ErrNotRunning in the words that runc has for events.
type notRunningError struct{ id string }

func (e *notRunningError) Error() string {
	return fmt.Sprintf("container with id %s is not running", e.id)
}

func (e *notRunningError) Is(target error) bool { return target == ErrNotRunning }

// checkRuns refuses a container without a process to count anything for.
func (c *Container) checkRuns() error {
	status, err := c.Status()
	if err == nil && (status == Stopped || status == Creating) {
		err = &notRunningError{c.rec.ID}
	}
	return err
}

// Events calls fn with the statistics after each interval, which is positive,
// and with each out-of-memory event, one at a time and in order. It returns nil
// when the container has stopped, else the error of ctx, of fn, or of a read.
func (c *Container) Events(ctx context.Context, interval time.Duration, fn func(Event) error) error {
	if err := c.checkRuns(); err != nil {
		return err
	}
	dirs, err := c.statDirs()
	if err != nil {
		return err
	}
	if dirs.Empty() {
		return fmt.Errorf("container %s: %w", c.rec.ID, stats.ErrNone)
	}
	end, err := c.whenStopped()
	if err != nil {
		return err
	}
	defer end.close()
	ooms, err := oom.Watch(dirs)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		ooms = nil
	case errors.Is(err, stats.ErrGone):
		return nil
	case err != nil:
		return err
	default:
		defer ooms.Close() // has no error of its own
	}
	s := &stream{c: c, dirs: dirs, fn: fn}
	return s.run(ctx, interval, end.stopped, ooms)
}

// stream is what Events does for one container.
type stream struct {
	c    *Container
	dirs stats.Dirs
	fn   func(Event) error
}

func (s *stream) run(ctx context.Context, interval time.Duration, stopped <-chan struct{}, ooms *oom.Watcher) error {
	var killed <-chan uint64
	if ooms != nil {
		killed = ooms.Events()
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-stopped:
			return s.last(ooms, killed)
		case _, ok := <-killed:
			if !ok { // the cgroup is empty or gone: init's end comes next
				killed = nil
				if err := ooms.Err(); err != nil {
					return err
				}
				continue
			}
			if err := s.oom(); err != nil {
				return err
			}
		case <-ticker.C:
			if err := s.sample(); err != nil {
				return err
			}
		}
	}
}

func (s *stream) oom() error { return s.fn(Event{Type: EventOOM, ID: s.c.rec.ID}) }

func (s *stream) sample() error {
	data, err := s.c.readStats(s.dirs)
	switch {
	case errors.Is(err, stats.ErrGone):
		return nil // init's end comes next
	case err != nil:
		return err
	}
	return s.fn(Event{Type: EventStats, ID: s.c.rec.ID, Data: data})
}

// last tells of the kill that ended the container: the two came at once.
func (s *stream) last(ooms *oom.Watcher, killed <-chan uint64) error {
	if killed == nil {
		return nil
	}
	_ = ooms.Close() // has no error of its own
	for range killed {
		if err := s.oom(); err != nil {
			return err
		}
	}
	return nil
}

// ending waits for init's end without a thread; Close it.
type ending struct {
	stopped chan struct{} // closed by init's end, or close
	file    *os.File
}

// whenStopped looks at init by pidfd: there is nothing to poll, and no pid that
// somebody else could get.
func (c *Container) whenStopped() (*ending, error) {
	h, err := pidfd.OpenVerified(c.rec.InitPid, c.rec.InitStart)
	if errors.Is(err, pidfd.ErrGone) {
		return nil, &notRunningError{c.rec.ID}
	}
	if err != nil {
		return nil, err
	}
	defer h.Close() // the copy below goes on
	fd, err := unix.FcntlInt(h.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		// What makes os.File wait with the runtime's poller.
		if err = unix.SetNonblock(fd, true); err != nil {
			_ = unix.Close(fd) // never used
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot copy a pidfd: %w", err)
	}
	e := &ending{stopped: make(chan struct{}), file: os.NewFile(uintptr(fd), "pidfd of init")}
	go e.wait()
	return e, nil
}

func (e *ending) wait() {
	defer close(e.stopped)
	conn, err := e.file.SyscallConn()
	if err != nil {
		return
	}
	// An error is close's: the file has no others.
	_ = conn.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		return err == nil && n > 0
	})
}

func (e *ending) close() {
	_ = e.file.SetReadDeadline(time.Unix(1, 0)) // ends wait
	<-e.stopped
	_ = e.file.Close() // only waited for
}
