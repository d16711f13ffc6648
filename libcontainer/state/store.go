// SPDX-License-Identifier: Apache-2.0

// Package state keeps what Berth knows about containers: one directory for
// each below the state root, with state.json, exec.json, the FIFO that init
// waits on, and the notify socket's directory. The directory is the
// reservation of the id. The package records and does not interpret: whether a
// container runs is libcontainer's to find out.
//
//	s := state.Store{Root: "/run/berth"}
//	err := s.Reserve("web") // ErrExists if it is taken
//	err = s.Save("web", &record)
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"berth/internal/atomicfile"
	"berth/internal/flatjson"
)

const (
	// FifoName is the FIFO's name in a container's directory.
	FifoName = "exec.fifo"

	recordName = "state.json"
	execName   = "exec.json"

	// maxFile bounds what we read back; nobody but us writes it.
	maxFile = 16 << 20
)

// Store is the set of containers below Root, an absolute path.
type Store struct {
	Root string
}

// Dir returns the path of the container's directory.
func (s Store) Dir(id string) string { return filepath.Join(s.Root, id) }

// Path returns the path of the file called name in the container's directory.
func (s Store) Path(id, name string) string { return filepath.Join(s.Root, id, name) }

// OpenDir returns an O_PATH descriptor of the container's directory, or
// ErrNotExist.
func (s Store) OpenDir(id string) (*os.File, error) {
	if err := ValidateID(id); err != nil {
		return nil, err
	}
	fd, err := open(unix.AT_FDCWD, s.Dir(id), unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil, ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open state directory %q: %w", s.Dir(id), err)
	}
	return os.NewFile(uintptr(fd), s.Dir(id)), nil
}

// Reserve takes the id, making its directory and, if need be, the root. One of
// several at the same time gets it, the others ErrExists.
func (s Store) Reserve(id string) error {
	if err := ValidateID(id); err != nil {
		return err
	}
	// 0711 as runc's: a container's user must get through to what is bound from
	// inside, not see what else there is. The root keeps all others out.
	err := os.Mkdir(s.Dir(id), 0o700)
	if errors.Is(err, unix.ENOENT) {
		if err := os.MkdirAll(s.Root, 0o700); err != nil {
			return fmt.Errorf("cannot make state root: %w", err)
		}
		err = os.Mkdir(s.Dir(id), 0o700)
	}
	if errors.Is(err, unix.EEXIST) {
		return ErrExists
	}
	if err != nil {
		return fmt.Errorf("cannot make state directory: %w", err)
	}
	return nil
}

// Save writes the record, which replaces an earlier one at once.
func (s Store) Save(id string, r *Record) error {
	data, err := flatjson.Append(nil, r.fields(), "")
	return s.save(id, recordName, data, err)
}

// SaveExec writes what exec needs.
func (s Store) SaveExec(id string, e *Exec) error {
	data, err := json.Marshal(e)
	return s.save(id, execName, data, err)
}

func (s Store) save(id, name string, data []byte, err error) error {
	if err := ValidateID(id); err != nil {
		return err
	}
	if err != nil {
		return fmt.Errorf("cannot encode state of container %q: %w", id, err)
	}
	return atomicfile.Write(s.Path(id, name), data, 0o600)
}

// Load reads the record of a container: ErrNotExist if there is none, which is
// also ErrIncomplete if the id is reserved nevertheless.
func (s Store) Load(id string) (*Record, error) {
	var r Record
	err := s.load(id, recordName, func(data []byte) error { return flatjson.Parse(data, r.fields()) })
	if err != nil {
		return nil, err
	}
	if r.ID != id {
		return nil, fmt.Errorf("cannot use state of container %q: it is that of %q", id, r.ID)
	}
	if r.ConfigVersion > ConfigVersion {
		return nil, fmt.Errorf("cannot use state of container %q: its layout %d is newer than %d", id, r.ConfigVersion, ConfigVersion)
	}
	return &r, nil
}

// LoadExec reads what SaveExec wrote, with Load's errors.
func (s Store) LoadExec(id string) (*Exec, error) {
	var e Exec
	err := s.load(id, execName, func(data []byte) error { return json.Unmarshal(data, &e) })
	if err != nil {
		return nil, err
	}
	return &e, nil
}

func (s Store) load(id, name string, parse func([]byte) error) error {
	if err := ValidateID(id); err != nil {
		return err
	}
	data, err := readFile(s.Path(id, name))
	if errors.Is(err, unix.ENOENT) {
		if s.Reserved(id) {
			return fmt.Errorf("%w: %w", ErrNotExist, ErrIncomplete)
		}
		return ErrNotExist
	}
	if err == nil {
		if err = parse(data); err != nil {
			err = fmt.Errorf("%w: %w", ErrGarbage, err)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot read state of container %q: %w", id, err)
	}
	return nil
}

// Reserved says whether the id is taken, by a whole container or the remains
// of one.
func (s Store) Reserved(id string) bool {
	var st unix.Stat_t
	return ValidateID(id) == nil && unix.Lstat(s.Dir(id), &st) == nil
}

// List returns the ids that have a directory, sorted. What is no directory, or
// not named like a container, is left out. A missing root is an error for which
// os.IsNotExist holds.
func (s Store) List() ([]string, error) {
	entries, err := os.ReadDir(s.Root)
	if err != nil {
		return nil, err // names the root; os.IsNotExist does not unwrap
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && ValidateID(e.Name()) == nil {
			ids = append(ids, e.Name())
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// readFile is os.ReadFile in three calls: that one asks for the size first,
// reads to the end twice, and sets up the poller.
func readFile(path string) ([]byte, error) {
	fd, err := open(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	buf := make([]byte, 8<<10)
	for used := 0; ; {
		n, err := unix.Read(fd, buf[used:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// A regular file gives less than asked for only at its end.
		if used += n; used < len(buf) {
			return buf[:used], nil
		}
		if len(buf) > maxFile {
			return nil, unix.EFBIG
		}
		buf = append(buf, make([]byte, len(buf))...)
	}
}

func open(dirfd int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dirfd, name, flags|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}
