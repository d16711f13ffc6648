// SPDX-License-Identifier: Apache-2.0

package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"berth/internal/atomicfile"
)

// errBusy says that a living process has the attachment.
var errBusy = errors.New("it has a network already (hint: choose another name)")

// lease is the directory of an attachment, below attachments/. Who has its
// flock(2) is the owner; it is free when the owner, and the plugin that it was
// running, are dead.
type lease struct {
	parent, dir *os.File
}

// record is what has to be undone. It is there before anything is done.
type record struct {
	List       json.RawMessage `json:"list"`
	PluginDirs []string        `json:"pluginDirs"`
	Ports      []portMapping   `json:"ports,omitempty"`
	// Result is of the last plugin whose ADD has succeeded.
	Result json.RawMessage `json:"result,omitempty"`
}

// The files of a lease.
const (
	recordName     = "record.json"
	resolvConfName = "resolv.conf"
	hostsName      = "hosts"
)

func leasesDir(stateDir string) string { return filepath.Join(stateDir, "attachments") }

// takeLease gets the lease of a container, which may have been another's who
// was killed: then it has a record. Without create, there has to be one:
// os.ErrNotExist.
func takeLease(stateDir, id string, create bool) (*lease, error) {
	path := leasesDir(stateDir)
	if create {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, err
		}
	}
	parent, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	dir, err := takeDir(parent, id, create)
	if err != nil {
		_ = parent.Close() // read only
		return nil, err
	}
	return &lease{parent, dir}, nil
}

// takeDir is a directory that is locked and has its name; the caller closes it.
func takeDir(parent *os.File, id string, create bool) (*os.File, error) {
	path := filepath.Join(parent.Name(), id)
	for {
		if create {
			if err := unix.Mkdirat(int(parent.Fd()), id, 0o700); err != nil && err != unix.EEXIST {
				return nil, fmt.Errorf("mkdir %s: %w", path, err)
			}
		}
		fd, err := unix.Openat(int(parent.Fd()), id, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if create && err == unix.ENOENT {
			continue // its owner has just ended
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		dir := os.NewFile(uintptr(fd), path)
		there, err := lock(dir)
		if err == nil && there {
			return dir, nil
		}
		_ = dir.Close() // read only
		if err != nil {
			return nil, err
		}
	}
}

// lock says whether the directory still has its name.
func lock(dir *os.File) (there bool, err error) {
	err = unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return false, errBusy
	}
	var st unix.Stat_t
	if err == nil {
		err = unix.Fstat(int(dir.Fd()), &st)
	}
	if err != nil {
		return false, fmt.Errorf("flock %s: %w", dir.Name(), err)
	}
	return st.Nlink > 0, nil
}

// close lets others have the lease.
func (l *lease) close() {
	_ = l.dir.Close()    // read only
	_ = l.parent.Close() // read only
}

// read is the record; nil if there is none, so that nothing was done.
func (l *lease) read() (*record, error) {
	fd, err := unix.Openat(int(l.dir.Fd()), recordName, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil, nil
	}
	path := filepath.Join(l.dir.Name(), recordName)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	raw, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	r := new(record)
	if err := json.Unmarshal(raw, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func (l *lease) write(r *record) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return atomicfile.WriteAt(l.dir, recordName, raw, 0o600)
}

// remove removes the directory, with what is in it, and closes the lease.
func (l *lease) remove() error {
	defer l.close()
	if _, err := l.dir.Seek(0, io.SeekStart); err != nil {
		return err
	}
	names, err := l.dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := unix.Unlinkat(int(l.dir.Fd()), name, 0); err != nil && err != unix.ENOENT {
			return fmt.Errorf("unlink %s: %w", filepath.Join(l.dir.Name(), name), err)
		}
	}
	if err := unix.Unlinkat(int(l.parent.Fd()), filepath.Base(l.dir.Name()), unix.AT_REMOVEDIR); err != nil {
		return fmt.Errorf("rmdir %s: %w", l.dir.Name(), err)
	}
	return nil
}
