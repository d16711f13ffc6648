// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A tree is walked with two descriptors, however deep it is: the way back up is
// "..", which has to be where we came from.

// level is a directory on the way down.
type level struct {
	name     string // in its parent
	dev, ino uint64
	rest     []string // what has not been visited
}

// visitor is called for what is in a tree: file for what is no directory, leave
// for directories after their contents.
type visitor struct {
	enter func(dir *os.File) // before its contents are listed; may be nil
	file  func(dir *os.File, name string, st *unix.Stat_t) error
	leave func(parent *os.File, name string, st *unix.Stat_t) error
}

// walk visits name in dir, and what is below it. Links are not followed.
func walk(dir *os.File, name string, v visitor) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return err
	}
	levels := []level{{dev: st.Dev, ino: st.Ino, rest: []string{name}}}
	here, err := openBeneath(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	defer func() { _ = here.Close() }() // only looked at; nil after an error is fine
	for err == nil && len(levels) > 0 {
		top := &levels[len(levels)-1]
		if n := len(top.rest); n > 0 {
			next := top.rest[n-1]
			top.rest = top.rest[:n-1]
			err = v.step(&here, next, &levels)
			continue
		}
		if len(levels) == 1 {
			break
		}
		err = v.up(&here, levels[len(levels)-2], top.name)
		levels = levels[:len(levels)-1]
	}
	if err != nil {
		return fmt.Errorf("%q: %w", filepath.Join(dir.Name(), name), err)
	}
	return nil
}

// step visits a file, or goes down into a directory.
func (v visitor) step(here **os.File, name string, levels *[]level) error {
	var st unix.Stat_t
	err := unix.Fstatat(int((*here).Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil // gone by itself
	}
	if err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return v.file(*here, name, &st)
	}
	down, err := openTree(*here, name, v.enter != nil)
	if err != nil {
		return err
	}
	_ = (*here).Close() // only looked at
	*here = down
	if v.enter != nil {
		v.enter(down)
	}
	names, err := down.Readdirnames(-1)
	if err == nil {
		err = unix.Fstat(int(down.Fd()), &st)
	}
	*levels = append(*levels, level{name, st.Dev, st.Ino, names})
	return err
}

// up goes back to the parent, and leaves the directory.
func (v visitor) up(here **os.File, parent level, name string) error {
	// RESOLVE_BENEATH does not let us go up.
	fd, err := unix.Openat(int((*here).Fd()), "..", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_ = (*here).Close() // only looked at
	*here = os.NewFile(uintptr(fd), "directory of a tree")
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Dev != parent.dev || st.Ino != parent.ino {
		return errors.New("somebody moves directories in it")
	}
	if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return v.leave(*here, name, &st)
}

// openTree opens a directory, with force also one that its owner cannot read.
// What is mounted there is not of the tree: EXDEV.
func openTree(dir *os.File, name string, force bool) (*os.File, error) {
	const resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV
	f, err := openResolved(dir, name, unix.O_RDONLY|unix.O_DIRECTORY, 0, resolve)
	if !force || !errors.Is(err, unix.EACCES) {
		return f, err
	}
	handle, err := openResolved(dir, name, unix.O_PATH|unix.O_DIRECTORY, 0, resolve)
	if err != nil {
		return nil, err
	}
	defer handle.Close() // only looked at
	self := "/proc/self/fd/" + strconv.Itoa(int(handle.Fd()))
	if err := unix.Fchmodat(unix.AT_FDCWD, self, 0o700, 0); err != nil {
		return nil, err
	}
	return openResolved(dir, name, unix.O_RDONLY|unix.O_DIRECTORY, 0, resolve)
}

// diskUse is how many bytes a tree takes on disk.
func diskUse(dir *os.File, name string) (int64, error) {
	total := int64(0)
	add := func(_ *os.File, _ string, st *unix.Stat_t) error {
		n := st.Blocks * 512
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			n /= int64(max(st.Nlink, 1)) // each name has its part
		}
		total += n
		return nil
	}
	err := walk(dir, name, visitor{file: add, leave: add})
	return total, err
}

// RemoveTree removes name in dir with what is below it. Nothing else uses the
// name; to lose no part of what has a name, use discard.
func RemoveTree(dir *os.File, name string) error {
	return walk(dir, name, visitor{
		enter: func(d *os.File) {
			if os.Geteuid() != 0 {
				_ = d.Chmod(0o700) // what does not let us remove files says so below
			}
		},
		file: func(d *os.File, name string, _ *unix.Stat_t) error {
			return unix.Unlinkat(int(d.Fd()), name, 0)
		},
		leave: func(d *os.File, name string, _ *unix.Stat_t) error {
			return unix.Unlinkat(int(d.Fd()), name, unix.AT_REMOVEDIR)
		},
	})
}

// dead is how names begin that GC removes; their trees are not complete.
const dead = ".dead-"

// discard removes a directory that has a name: it loses that first, so that
// nobody ever sees a part of it.
func discard(dir *os.File, name string) error {
	temp := dead + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	err := unix.Renameat2(int(dir.Fd()), name, int(dir.Fd()), temp, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.ENOENT) {
		return nil // somebody else was faster
	}
	if err != nil {
		return fmt.Errorf("cannot remove %q: %w", filepath.Join(dir.Name(), name), err)
	}
	if err := RemoveTree(dir, temp); err != nil {
		return fmt.Errorf("cannot remove %w", err)
	}
	return nil
}
