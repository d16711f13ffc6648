// SPDX-License-Identifier: Apache-2.0

package stdio

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// outFifo is where a client reads output.
type outFifo struct {
	end *os.File // for writing
	// keep is a reading end: with it a client that goes away and comes back
	// makes neither EPIPE nor a hang-up.
	keep *os.File

	mu      sync.Mutex
	waiting chan struct{} // for a client, until it is closed; nil: not
	closed  bool
}

// clientTime is how long a client is waited for that has not opened its end yet.
var clientTime = 500 * time.Millisecond

// openOutFifo waits for a client, who begins to open its end before it calls us,
// until a deadline: what ends at once would be over before, and the client takes
// that for the end of the output and stops opening.
func openOutFifo(path string, deadline time.Time) (*outFifo, error) {
	end, err := openFifo(path, unix.O_WRONLY)
	for pause := time.Millisecond; errors.Is(err, unix.ENXIO) && time.Now().Before(deadline); pause = min(2*pause, 20*time.Millisecond) {
		time.Sleep(pause)
		end, err = openFifo(path, unix.O_WRONLY)
	}
	if err != nil && !errors.Is(err, unix.ENXIO) {
		return nil, err
	}
	keep, err := openFifo(path, unix.O_RDONLY)
	if err == nil && end == nil {
		end, err = openFifo(path, unix.O_WRONLY)
	}
	if err != nil {
		for _, f := range []*os.File{end, keep} {
			if f != nil {
				_ = f.Close()
			}
		}
		return nil, err
	}
	return &outFifo{end: end, keep: keep}, nil
}

// left says that there will be nothing more, but what there was nobody has read,
// and nobody is there to read it: containerd is being restarted. The kernel
// keeps it while we have our end open, so then is called when a client comes.
func (f *outFifo) left(then func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	_ = f.keep.Close()
	if !f.unread() {
		return false
	}
	f.waiting = make(chan struct{})
	path := f.again()
	go func() {
		// A fifo is opened for writing once somebody reads it.
		if end, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
			_ = end.Close()
		}
		close(f.waiting)
		then()
	}()
	return true
}

// unread says that there is output in it, and nobody who has it open for reading.
func (f *outFifo) unread() (is bool) {
	f.control(func(fd int) {
		n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		if err == nil && n > 0 {
			_, err = unix.Poll(fds, 0)
			is = err == nil && fds[0].Revents&unix.POLLERR != 0
		}
	})
	return is
}

// again is a path to open it once more by: its name may be gone.
func (f *outFifo) again() (path string) {
	f.control(func(fd int) { path = fmt.Sprintf("/proc/self/fd/%d", fd) })
	return path
}

func (f *outFifo) control(do func(fd int)) {
	if raw, err := f.end.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { do(int(fd)) })
	}
}

// Close ends it; if a client is waited for, no longer.
func (f *outFifo) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	_ = f.keep.Close()
	if f.waiting != nil {
		if client, err := os.OpenFile(f.again(), os.O_RDONLY|unix.O_NONBLOCK, 0); err == nil {
			<-f.waiting
			_ = client.Close()
		}
	}
	return f.end.Close()
}

// openFifo opens a fifo without waiting for the other end. A regular file in
// its place is an error: it would be read at full speed.
func openFifo(path string, flags int) (*os.File, error) {
	// The path is the engine's, in a directory of root's.
	fd, err := unix.Open(path, flags|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open fifo", Path: path, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%s is not a fifo: %w", path, ErrAddress)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openStdinFifo opens a fifo for reading, and for writing so that it has no EOF
// before its time.
func openStdinFifo(path string) (source, keep *os.File, err error) {
	path = strings.TrimPrefix(strings.TrimPrefix(path, "fifo://"), "fifo:")
	if source, err = openFifo(path, unix.O_RDONLY); err != nil {
		return nil, nil, err
	}
	if keep, err = openFifo(path, unix.O_WRONLY); err != nil {
		_ = source.Close()
		return nil, nil, err
	}
	return source, keep, nil
}
