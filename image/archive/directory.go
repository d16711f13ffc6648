// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"

	"berth/internal/openat2"
)

// directory is an open directory; names in it are looked up without following
// links.
type directory struct{ *os.File }

// openAt opens what is at name below the directory.
func (d directory) openAt(name string, flags int) (*os.File, error) {
	how := &unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC | unix.O_NOFOLLOW),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := openat2.Open(int(d.Fd()), name, how)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), filepath.Join(d.Name(), name)), nil
}

// open implements files. A fifo does not block, and no device is opened.
func (d directory) open(name string) (*file, error) {
	var st unix.Stat_t
	look, err := d.openAt(name, unix.O_PATH)
	if err == nil {
		err = unix.Fstat(int(look.Fd()), &st)
		_ = look.Close() // only looked at
	}
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	var f *os.File
	if err == nil {
		f, err = d.openAt(name, unix.O_RDONLY|unix.O_NONBLOCK)
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, missing(name)
	case errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("%s: there is a symbolic link in the path, which is not followed", name)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file") // it was replaced meanwhile
	}
	if err != nil {
		_ = f.Close() // only looked at
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &file{f, info.Size(), f.Close}, nil
}

// mkdir makes a directory below, if it is not there, with its parents.
func (d directory) mkdir(name string) (directory, error) {
	var err error
	var sub *os.File
	if parent := path.Dir(name); parent != "." {
		above, err := d.mkdir(parent)
		if err != nil {
			return directory{}, err
		}
		defer above.Close() // only looked at
		return above.mkdir(path.Base(name))
	}
	if err = unix.Mkdirat(int(d.Fd()), name, 0o777); err == nil || errors.Is(err, unix.EEXIST) {
		sub, err = d.openAt(name, unix.O_RDONLY|unix.O_DIRECTORY)
	}
	if err != nil {
		return directory{}, fmt.Errorf("cannot make directory %q: %w", filepath.Join(d.Name(), name), err)
	}
	return directory{sub}, nil
}

// draft is a file that nobody sees before publish.
type draft struct {
	*os.File
	dir  directory
	name string // "" while it has none
}

const draftPrefix = ".berth-image-"

func draftName() string { return draftPrefix + rand.Text() }

// newDraft makes a file that will be in dir. With O_TMPFILE, Linux 3.11, nothing
// is left of it if we are killed; not all file systems can do that.
func newDraft(dir directory) (*draft, error) {
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o666)
	if err == nil {
		return &draft{os.NewFile(uintptr(fd), dir.Name()), dir, ""}, nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) {
		return nil, fmt.Errorf("cannot make a file in %q: %w", dir.Name(), err)
	}
	for {
		name := draftName()
		fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o666)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot make a file in %q: %w", dir.Name(), err)
		}
		return &draft{os.NewFile(uintptr(fd), filepath.Join(dir.Name(), name)), dir, name}, nil
	}
}

// publish puts the complete file in the place of what is called name, if
// anything is. The draft is of no use afterwards.
func (t *draft) publish(name string) error {
	defer t.discard()
	err := t.Sync() // or a power cut leaves an empty file under the name
	if err == nil && t.name == "" {
		t.name = draftName()
		err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", t.Fd()), int(t.dir.Fd()), t.name, unix.AT_SYMLINK_FOLLOW)
	}
	if err == nil {
		err = unix.Renameat(int(t.dir.Fd()), t.name, int(t.dir.Fd()), name)
	}
	if err != nil {
		return fmt.Errorf("cannot write %q: %w", filepath.Join(t.dir.Name(), name), err)
	}
	t.name = ""
	return nil
}

// discard drops a draft that was not published.
func (t *draft) discard() {
	if t.name != "" {
		_ = unix.Unlinkat(int(t.dir.Fd()), t.name, 0) // it may not have been made
	}
	_ = t.Close() // synced, or not wanted
}
