// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"errors"

	"golang.org/x/sys/unix"
)

// clear removes what is in an entry's place, all below it included.
func (a *applier) clear(p *dir, base string) error {
	err := unix.Unlinkat(p.fd, base, 0)
	if errors.Is(err, unix.EISDIR) {
		err = a.removeTree(p.fd, base)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return failed("unlink", join(p.real, base), err)
	}
	a.forget(p)
	a.record(Entry{Path: join(p.real, base)}, nil)
	return nil
}

func (a *applier) removeTree(up int, base string) error {
	fd, err := a.openForRemoval(up, base)
	if err != nil {
		return err
	}
	err = eachName(fd, func(name string) error {
		err := unix.Unlinkat(fd, name, 0)
		if errors.Is(err, unix.EISDIR) {
			err = a.removeTree(fd, name)
		}
		return err
	})
	_ = unix.Close(fd) // only read
	if err != nil {
		return err
	}
	return unix.Unlinkat(up, base, unix.AT_REMOVEDIR)
}

// openForRemoval opens a directory, whose owner may have locked itself out.
func (a *applier) openForRemoval(up int, base string) (int, error) {
	fd, err := openDirAt(up, base)
	if !a.o.Rootless || err == nil && base == "." {
		return fd, err
	}
	var st unix.Stat_t
	if err == nil {
		if err = unix.Fstat(fd, &st); err != nil || st.Mode&0o700 == 0o700 {
			return fd, err
		}
		_ = unix.Close(fd) // opened again
	} else if !errors.Is(err, unix.EACCES) {
		return -1, err
	}
	if err := chmodAt(up, base, 0o700); err != nil {
		return -1, err
	}
	return openDirAt(up, base)
}
