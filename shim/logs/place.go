// SPDX-License-Identifier: Apache-2.0

package logs

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// errNotAllowed is the reason why a path below no allowed directory is refused.
var errNotAllowed = errors.New("its directory is not below an allowed one")

// place is where a log file is. The directory is held open, so that what the
// allowlist was asked about is what is used. Whoever may write to it may
// rename and replace the log at any time; kubelet does.
type place struct {
	path   string // absolute
	name   string // in dir
	dir    int    // O_PATH
	follow bool   // the log itself may be a symbolic link
}

// findPlace opens the directory of path, following links. It must be one of
// the directories in allow or below one, unless allow is empty.
func findPlace(path string, allow []string) (place, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return place{}, err
	}
	dir, err := openDir(filepath.Dir(full), allow)
	if err != nil {
		return place{}, err
	}
	return place{full, filepath.Base(full), dir, len(allow) == 0}, nil
}

// findAgain looks the path up anew: the directory may be another one by now.
func (p *place) findAgain(allow []string) error {
	dir, err := openDir(filepath.Dir(p.path), allow)
	if err != nil {
		return err
	}
	p.close()
	p.dir = dir
	return nil
}

func (p *place) close() { _ = unix.Close(p.dir) } // O_PATH holds nothing back

func openDir(path string, allow []string) (int, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil || len(allow) == 0 {
		return fd, err
	}
	if err := allowed(fd, allow); err != nil {
		_ = unix.Close(fd) // O_PATH holds nothing back
		return -1, err
	}
	return fd, nil
}

// allowed compares the real path of the directory dir with the list. A listed
// directory that is not there allows nothing.
func allowed(dir int, list []string) error {
	path, err := filepath.EvalSymlinks("/proc/self/fd/" + strconv.Itoa(dir))
	if err != nil {
		return err
	}
	for _, entry := range list {
		if entry, err = filepath.Abs(entry); err != nil {
			continue
		}
		if entry, err = filepath.EvalSymlinks(entry); err != nil {
			continue
		}
		if strings.HasPrefix(path+"/", strings.TrimSuffix(entry, "/")+"/") {
			return nil
		}
	}
	return fmt.Errorf("%w: %q", errNotAllowed, path)
}

// openLog opens the log for appending, creating it with mode 0640 &^ umask.
// O_NONBLOCK keeps a fifo that nobody reads from stopping the container; with
// no reader at all, opening it fails with ENXIO, fifo(7).
func (p *place) openLog() (int, error) {
	flags := unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	if !p.follow {
		flags |= unix.O_NOFOLLOW
	}
	return retry(func() (int, error) { return unix.Openat(p.dir, p.name, flags, 0o640) })
}

// rotate puts an empty file in the place of the full one. The empty one is
// made first, under another name: if there is no room for it, nothing changes.
func (f *file) rotate() error {
	temp := f.name + ".tmp" // conmon's name for it
	if err := unix.Unlinkat(f.dir, temp, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	fd, err := retry(func() (int, error) {
		return unix.Openat(f.dir, temp, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o640)
	})
	if err != nil {
		return err
	}
	if f.opts.Rotate {
		err = f.shift()
	}
	if err == nil {
		err = unix.Renameat(f.dir, temp, f.dir, f.name)
	}
	if err != nil {
		_ = unix.Unlinkat(f.dir, temp, 0) // the first error is the one to tell
		_ = unix.Close(fd)
		return err
	}
	_ = f.finishTorn() // the last chance; without it one line of the old file is short
	return f.use(fd)
}

// shift renames path to path.1, path.1 to path.2, and so on up to the first
// name that is free, or path.MaxFiles, which is overwritten.
func (f *file) shift() error {
	last := 1
	var st unix.Stat_t
	for last < f.opts.MaxFiles && unix.Fstatat(f.dir, f.older(last), &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
		last++
	}
	for n := last; n > 0; n-- {
		// Somebody may have taken the log away: nothing to rename then.
		err := unix.Renameat(f.dir, f.older(n-1), f.dir, f.older(n))
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

// older is the name of the n-th file before the one that is written.
func (f *file) older(n int) string {
	if n == 0 {
		return f.name
	}
	return f.name + "." + strconv.Itoa(n)
}
