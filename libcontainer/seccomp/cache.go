// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"cmp"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/internal/atomicfile"
)

const (
	// maxEntries bounds the directory: engines use a handful of profiles.
	maxEntries = 64
	// maxEntry bounds one file. A program has at most 32 KiB, the rest is for
	// warnings about unknown names.
	maxEntry = 256 << 10

	suffix = ".bpf"
)

// errForeign says that a directory or file of the cache is not ours alone.
var errForeign = errors.New("not ours alone")

// Cache keeps compiled profiles in a directory, one file for each profile,
// machine and version of what compiles. It trusts files of our own user with
// mode 0600 in a directory with mode 0700 only, and their checksums. It is
// safe for use by any number of processes.
//
// The zero Cache keeps nothing.
type Cache struct {
	// Dir is made when it is missing, its parent is not.
	Dir string
}

// Compile is like the function Compile, but takes the result from the cache
// when it is there, without calling libseccomp. Trouble with the cache is never
// an error: the profile is compiled then.
func (c Cache) Compile(s *specs.LinuxSeccomp) (*Filter, []string, error) {
	if s == nil || c.Dir == "" {
		return Compile(s)
	}
	k := keyOf(s, kernelRelease())
	if f, warnings, err := c.load(k); err == nil {
		return f, warnings, nil
	}
	f, warnings, err := Compile(s)
	if err != nil {
		return nil, nil, err
	}
	_ = c.store(k, f, warnings) // the next start compiles again
	return f, warnings, nil
}

func (k key) file() string { return hex.EncodeToString(k[:]) + suffix }

// open opens the directory, which must be ours alone.
func (c Cache) open() (int, error) {
	fd, err := unix.Open(c.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if _, err := ours(fd, unix.S_IFDIR|0o700); err != nil {
		_ = unix.Close(fd) // read only
		return -1, err
	}
	return fd, nil
}

// ours is the size of the file fd, which must be of our user and have exactly
// this type and these permissions.
func ours(fd int, mode uint32) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	if int(st.Uid) != unix.Geteuid() || st.Mode&(unix.S_IFMT|0o777) != mode {
		return 0, errForeign
	}
	return st.Size, nil
}

func (c Cache) load(k key) (*Filter, []string, error) {
	dir, err := c.open()
	if err != nil {
		return nil, nil, err
	}
	defer unix.Close(dir)
	// O_NONBLOCK: a fifo of that name must not stop us.
	fd, err := unix.Openat(dir, k.file(), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	defer unix.Close(fd)
	size, err := ours(fd, unix.S_IFREG|0o600)
	if err != nil {
		return nil, nil, err
	}
	if size > maxEntry {
		return nil, nil, errEntry
	}
	data := make([]byte, size)
	for have := 0; have < len(data); {
		n, err := unix.Read(fd, data[have:])
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return nil, nil, err
		case n == 0:
			return nil, nil, errEntry
		default:
			have += n
		}
	}
	return decodeEntry(k, data)
}

func (c Cache) store(k key, f *Filter, warnings []string) error {
	data := encodeEntry(k, f, warnings)
	if len(data) > maxEntry {
		return errEntry
	}
	if err := unix.Mkdirat(unix.AT_FDCWD, c.Dir, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	fd, err := c.open()
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), c.Dir)
	defer dir.Close()
	if err := atomicfile.WriteAt(dir, k.file(), data, 0o600); err != nil {
		return err
	}
	return prune(dir)
}

// prune removes the oldest files beyond maxEntries, and with them what killed
// writers left. Files that somebody else put there stay.
func prune(dir *os.File) error {
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	readable := os.NewFile(uintptr(fd), dir.Name())
	defer readable.Close()
	names, err := readable.Readdirnames(-1)
	if err != nil {
		return err
	}
	type entry struct {
		name string
		time int64
	}
	var entries []entry
	for _, name := range names {
		var st unix.Stat_t
		if !strings.Contains(name, suffix) || unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		entries = append(entries, entry{name, st.Mtim.Nano()})
	}
	if len(entries) <= maxEntries {
		return nil
	}
	slices.SortFunc(entries, func(x, y entry) int { return cmp.Compare(x.time, y.time) })
	for _, e := range entries[:len(entries)-maxEntries] {
		_ = unix.Unlinkat(fd, e.name, 0) // another process may have been first
	}
	return nil
}
