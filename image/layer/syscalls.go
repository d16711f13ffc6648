// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"errors"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"berth/internal/openat2"
)

// inside makes openat2 stay below its descriptor and follow nothing: links
// are expanded by resolve, which knows the layers below too.
const inside = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS

// openBelow opens a clean relative path, "" for the directory itself.
func openBelow(dir int, name string, flags int) (int, error) {
	if name == "" {
		name = "."
	}
	return openat2.Open(dir, name, &unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: inside})
}

// openDirAt opens a name in a directory for reading, if it is a directory.
func openDirAt(dir int, name string) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// lstatAt is what a name in a directory is.
func lstatAt(dir int, name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, err
}

func kindOf(st *unix.Stat_t) uint32 { return st.Mode & unix.S_IFMT }

// isWhiteout: overlayfs' mark for a name that lower layers have.
func isWhiteout(st *unix.Stat_t) bool { return kindOf(st) == unix.S_IFCHR && st.Rdev == 0 }

// chmodAt changes a name's mode and follows no link. Before fchmodat2(2),
// Linux 6.6, there is no such call: then what was just seen to be no link is
// changed by name, in a directory that nobody else writes to.
func chmodAt(dir int, name string, mode uint32) error {
	err := unix.Fchmodat(dir, name, mode, unix.AT_SYMLINK_NOFOLLOW)
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	st, err := lstatAt(dir, name)
	if err != nil {
		return err
	}
	if kindOf(&st) == unix.S_IFLNK {
		return unix.EOPNOTSUPP
	}
	return unix.Fchmodat(dir, name, mode, 0)
}

func readlinkAt(dir int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, buf)
	return string(buf[:max(n, 0)]), err
}

// eachName calls do with every name of a directory, which do may remove.
func eachName(fd int, do func(name string) error) error {
	again, err := openDirAt(fd, ".")
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(again), "")
	defer f.Close()
	for {
		names, err := f.Readdirnames(512)
		for _, name := range names {
			if err := do(name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// writeAll is write(2) until all is written.
func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// cwdThread is a thread with a working directory of its own, for the calls that
// have no directory argument: lsetxattr(2).
type cwdThread struct {
	jobs    chan func() error
	results chan error
}

func newCwdThread() *cwdThread {
	t := &cwdThread{make(chan func() error), make(chan error)}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_FS)
		for job := range t.jobs {
			if err != nil {
				t.results <- err
				continue
			}
			t.results <- job()
		}
		close(t.results)
	}()
	return t
}

func (t *cwdThread) close() {
	close(t.jobs)
	<-t.results
}

// within runs call in a directory.
func (a *applier) within(dir int, call func() error) error {
	if a.thread == nil {
		a.thread = newCwdThread()
	}
	a.thread.jobs <- func() error {
		if err := unix.Fchdir(dir); err != nil {
			return err
		}
		return call()
	}
	return <-a.thread.results
}
