// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/openat2"
)

// openBeneath opens what is at name below dir. No link is followed, the last
// component included: a store has none. Open nothing that may be a device.
func openBeneath(dir *os.File, name string, flags int, mode uint32) (*os.File, error) {
	return openResolved(dir, name, flags, mode, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_MAGICLINKS)
}

func openResolved(dir *os.File, name string, flags int, mode uint32, resolve uint64) (*os.File, error) {
	how := &unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC | unix.O_NOFOLLOW), Resolve: resolve}
	if flags&unix.O_CREAT != 0 {
		how.Mode = uint64(mode)
	}
	fd, err := openat2.Open(int(dir.Fd()), name, how)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), filepath.Join(dir.Name(), name)), nil
}

// openRegular opens a regular file for reading. A fifo does not block, and a
// device is not touched.
func openRegular(dir *os.File, name string) (*os.File, unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, st, err
	}
	if err := checkRegular(&st); err != nil {
		return nil, st, err
	}
	f, err := openBeneath(dir, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, st, err
	}
	if err = unix.Fstat(int(f.Fd()), &st); err == nil {
		err = checkRegular(&st) // it may be another one by now
	}
	if err != nil {
		_ = f.Close() // not what was asked for
		return nil, st, err
	}
	return f, st, nil
}

func checkRegular(st *unix.Stat_t) error {
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.New("not a regular file")
	}
	return nil
}

// readBeneath returns the contents of a regular file, or EFBIG.
func readBeneath(dir *os.File, name string, limit int64) ([]byte, error) {
	f, _, err := openRegular(dir, name)
	if err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", filepath.Join(dir.Name(), name), err)
	}
	defer f.Close() // only read from
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = unix.EFBIG
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", filepath.Join(dir.Name(), name), err)
	}
	return raw, nil
}

// list returns the names in a directory below dir, none if it is not there.
func list(dir *os.File, name string) ([]string, error) {
	f, err := openBeneath(dir, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list %q: %w", filepath.Join(dir.Name(), name), err)
	}
	defer f.Close() // only read from
	return f.Readdirnames(-1)
}

// private is the mode of the store's directories: in them are setuid files of
// images (CVE-2021-41091).
const private = 0o700

// mkdir makes a directory, if it is not there, and returns it open.
func (s *Store) mkdir(dir *os.File, name string, mode os.FileMode) (*os.File, error) {
	err := unix.Mkdirat(int(dir.Fd()), name, private)
	made := err == nil
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("cannot make directory %q: %w", filepath.Join(dir.Name(), name), err)
	}
	f, err := openBeneath(dir, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open directory %q: %w", filepath.Join(dir.Name(), name), err)
	}
	if made {
		if err = s.own(f); err == nil {
			err = f.Chmod(mode) // whatever the umask is
		}
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		_ = f.Close() // only looked at
		return nil, fmt.Errorf("cannot make directory %q: %w", filepath.Join(dir.Name(), name), err)
	}
	return f, nil
}

// lockPartial opens a file in partial/ and locks it: whoever has it is the only
// one who makes what it stands for. After use it is renamed or removed. Another
// one may have done the work before it was free.
func (s *Store) lockPartial(ctx context.Context, name string) (*os.File, error) {
	dir := s.dirs[partialDir]
	for {
		f, err := openBeneath(dir, name, unix.O_RDWR|unix.O_CREAT|unix.O_NONBLOCK, 0o600)
		if err != nil {
			return nil, fmt.Errorf("cannot open %q: %w", filepath.Join(dir.Name(), name), err)
		}
		here := false
		if err = flock(ctx, f, unix.LOCK_EX); err == nil {
			here, err = isAt(dir, name, f)
		}
		if err == nil && here {
			if err = s.own(f); err == nil {
				return f, nil
			}
		}
		_ = f.Close() // nothing was written
		if err != nil {
			return nil, err
		}
	}
}

// dropPartial removes a file that lockPartial returned, and gives it back.
func (s *Store) dropPartial(name string, f *os.File) {
	_ = unix.Unlinkat(int(s.dirs[partialDir].Fd()), name, 0) // GC does it otherwise
	_ = f.Close()                                            // not needed any more
}

// own gives a new file to the owner of the store.
func (s *Store) own(f *os.File) error {
	if s.owner == nil {
		return nil
	}
	return f.Chown(int(s.owner.Uid), int(s.owner.Gid))
}

// replace writes a file so that its old or its new contents are there, whatever
// happens. The root is locked, and so there is one temporary file.
func (s *Store) replace(dir *os.File, name string, data []byte) error {
	const temp = "new"
	partial := s.dirs[partialDir]
	f, err := openBeneath(partial, temp, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_NONBLOCK, 0o600)
	if err == nil {
		if err = s.own(f); err == nil {
			_, err = f.Write(data)
		}
		if err == nil {
			err = f.Sync()
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err == nil {
			err = unix.Renameat(int(partial.Fd()), temp, int(dir.Fd()), name)
		}
		if err != nil {
			_ = unix.Unlinkat(int(partial.Fd()), temp, 0) // the first error is the one to tell
		}
	}
	if err != nil {
		return fmt.Errorf("cannot write %q: %w", filepath.Join(dir.Name(), name), hint(err))
	}
	return nil
}

// flock takes a lock as soon as it is free. It asks again and again, because a
// blocked flock(2) cannot be told that ctx is done.
func flock(ctx context.Context, f *os.File, how int) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("cannot lock %q: %w", f.Name(), err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("waiting for the lock of %q: %w", f.Name(), context.Cause(ctx))
		}
	}
}

// isAt says whether name in dir still is the file that is open as f.
func isAt(dir *os.File, name string, f *os.File) (bool, error) {
	var named, opened unix.Stat_t
	err := unix.Fstatat(int(dir.Fd()), name, &named, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err == nil {
		err = unix.Fstat(int(f.Fd()), &opened)
	}
	return err == nil && named.Dev == opened.Dev && named.Ino == opened.Ino, err
}
