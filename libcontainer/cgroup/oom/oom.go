// SPDX-License-Identifier: Apache-2.0

// Package oom tells when the kernel's OOM killer strikes in a cgroup, without
// polling: on v1 by an eventfd on memory.oom_control, on v2 by inotify on
// memory.events. It neither prevents nor handles anything.
//
//	w, err := oom.Watch(manager.StatDirs())
//	for n := range w.Events() {
//		// n more out-of-memory events
//	}
//	// the cgroup is gone or, on v2, empty; or w was closed
//	err = errors.Join(w.Err(), w.Close())
//
// A Watcher costs two descriptors and a goroutine, but no thread.
package oom

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"berth/libcontainer/cgroup/stats"
)

// ErrUnsupported says that there is no memory controller to ask. For it
// errors.Is(err, errors.ErrUnsupported) holds.
var ErrUnsupported error = unsupported{}

// unsupported costs nothing at the start of a program, unlike a wrapped error.
type unsupported struct{}

func (unsupported) Error() string        { return "the cgroup has no memory controller" }
func (unsupported) Is(target error) bool { return target == errors.ErrUnsupported }

// Watcher watches one cgroup; Close it.
type Watcher struct {
	events chan uint64
	src    source
	file   *os.File // what src's wake-ups come from, non-blocking
	done   chan struct{}
	err    error // once done is closed
	once   sync.Once
}

// source is what v1 and v2 differ in.
type source interface {
	// see looks at what a read of the file gave, and returns how many events
	// are new, and whether there will be no more. At the last look the kernel
	// may not have come round to waking us.
	see(data []byte, last bool) (n uint64, end bool, err error)
	// close gives back what belongs to it beside the file.
	close()
}

// Watch begins to watch a cgroup: of v1 if it has a memory controller there,
// else of v2. What happens once it has returned is not missed.
func Watch(d stats.Dirs) (*Watcher, error) {
	var file *os.File
	var src source
	var err error
	path, v1 := d.V1["memory"]
	switch {
	case v1:
		file, src, err = watchV1(path)
	case d.V2 != "":
		path = d.V2
		file, src, err = watchV2(path)
	default:
		return nil, ErrUnsupported
	}
	if err != nil {
		return nil, fmt.Errorf("cannot watch %s for out-of-memory events: %w", path, err)
	}
	w := &Watcher{events: make(chan uint64, 1), src: src, file: file, done: make(chan struct{})}
	go w.loop()
	return w, nil
}

// Events gives the number of new events: on v1 how often the limit could not be
// kept, before anything is killed; on v2 how many processes were killed. Slow
// readers get the sum. It is closed at the end: when the cgroup is removed, on
// v2 also when its last process has ended, or by Close.
func (w *Watcher) Events() <-chan uint64 { return w.events }

// Err returns why Events was closed: nil for one of the ends that it names.
func (w *Watcher) Err() error {
	select {
	case <-w.done:
		return w.err
	default:
		return nil
	}
}

// Close ends the watching. Events that happened before are still in Events.
func (w *Watcher) Close() error {
	w.once.Do(func() {
		_ = w.file.SetReadDeadline(time.Unix(1, 0)) // wakes loop; else it has ended
		<-w.done
	})
	return nil
}

// loop owns everything but the reading end of events.
func (w *Watcher) loop() {
	defer close(w.done)
	defer close(w.events)
	defer w.file.Close() // only ever read
	defer w.src.close()
	buf := make([]byte, 512) // an inotify event has at most 272 bytes, an eventfd's count 8
	for {
		n, err := w.file.Read(buf)
		last := errors.Is(err, os.ErrDeadlineExceeded)
		switch {
		case last:
			n = w.rest(buf)
		case err != nil:
			w.err = fmt.Errorf("cannot wait for out-of-memory events: %w", err)
			return
		}
		count, end, err := w.src.see(buf[:n], last)
		w.tell(count)
		if end || last || err != nil {
			w.err = err
			return
		}
	}
}

// rest reads once more, since a read past its deadline does not look.
func (w *Watcher) rest(buf []byte) int {
	conn, err := w.file.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	err = conn.Control(func(fd uintptr) { n, err = unix.Read(int(fd), buf) })
	if err != nil {
		return 0 // EAGAIN: nothing new
	}
	return max(n, 0)
}

// tell never blocks: what was not fetched yet is added up.
func (w *Watcher) tell(n uint64) {
	if n == 0 {
		return
	}
	select {
	case old := <-w.events:
		n += old
	default:
	}
	w.events <- n // there is room, and no other sender
}

// openDir keeps hold of the cgroup itself: another one may get its path.
func openDir(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if gone(err) {
		return -1, stats.ErrGone
	}
	return fd, err
}

func openAt(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return -1, fmt.Errorf("%s: %w", name, err)
		}
		return fd, nil
	}
}

// missing says what it means that dir lacks a file.
func missing(dir int) error {
	if unix.Faccessat(dir, "cgroup.procs", unix.F_OK, 0) != nil {
		return stats.ErrGone
	}
	return ErrUnsupported
}

// gone says that err means a file or cgroup does not exist (any more).
func gone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) }
