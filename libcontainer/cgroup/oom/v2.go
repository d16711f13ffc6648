// SPDX-License-Identifier: Apache-2.0

package oom

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/libcontainer/cgroup/stats"
)

// v2 compares memory.events with what it was, whenever the kernel says that it
// changed; cgroup-v2.rst "memory.events", "cgroup.events".
type v2 struct {
	dir       int
	name      string // of the directory, in its parent
	parent    int32  // the parent's watch, -1 for none
	kills     uint64
	populated bool // at some time
}

func watchV2(path string) (*os.File, source, error) {
	dir, err := openDir(path)
	if err != nil {
		return nil, nil, err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err == nil {
		v := &v2{dir: dir, name: filepath.Base(path)}
		if err = v.add(fd, path); err == nil {
			return os.NewFile(uintptr(fd), "oom inotify"), v, nil
		}
		_ = unix.Close(fd) // never used
	}
	_ = unix.Close(dir) // never used
	return nil, nil, err
}

// add sets the watches up first and reads the values then, so that no change
// falls in between.
func (v *v2) add(fd int, path string) error {
	const changes = unix.IN_MODIFY | unix.IN_DELETE_SELF | unix.IN_DONT_FOLLOW
	for _, name := range []string{"memory.events", "cgroup.events"} {
		_, err := unix.InotifyAddWatch(fd, filepath.Join(path, name), changes)
		switch {
		case gone(err):
			return missing(v.dir)
		case err != nil:
			return err
		}
	}
	// The files' watches do not tell of a removal before Linux 7.0, and a last
	// "populated 0" is lost if the removal follows within 10 ms of another
	// change. An unreadable parent (in a container) does without.
	parent, err := unix.InotifyAddWatch(fd, filepath.Dir(path), unix.IN_DELETE|unix.IN_ONLYDIR)
	v.parent = int32(parent)
	if err != nil {
		v.parent = -1
	}
	_, end, err := v.look()
	if end && err == nil {
		err = stats.ErrGone
	}
	return err
}

func (v *v2) see(data []byte, last bool) (n uint64, end bool, err error) {
	if !last && v.siblings(data) {
		return 0, false, nil
	}
	return v.look()
}

// siblings says that all events are about other cgroups of the parent, so that
// an end among hundreds of containers is no work for each.
func (v *v2) siblings(data []byte) bool {
	for len(data) >= unix.SizeofInotifyEvent {
		watch := int32(binary.NativeEndian.Uint32(data))
		size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(data[12:]))
		if size > len(data) {
			return false
		}
		name := strings.TrimRight(string(data[unix.SizeofInotifyEvent:size]), "\x00")
		if watch != v.parent || name == v.name || name == "" {
			return false
		}
		data = data[size:]
	}
	return true
}

// look compares the files with what they were. memory.events comes last: what
// killed the last process is then in it.
func (v *v2) look() (n uint64, end bool, err error) {
	populated, err := v.value("cgroup.events", "populated")
	if err != nil {
		return 0, gone(err), notGone(err)
	}
	v.populated = v.populated || populated != 0
	kills, err := v.value("memory.events", "oom_kill")
	if err != nil {
		return 0, gone(err), notGone(err)
	}
	if kills > v.kills {
		n = kills - v.kills
	}
	v.kills = kills
	return n, v.populated && populated == 0, nil
}

func notGone(err error) error {
	if gone(err) {
		return nil
	}
	return err
}

// value reads one number of a flat keyed file; 0 if it has none.
func (v *v2) value(name, key string) (uint64, error) {
	fd, err := openAt(v.dir, name, unix.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd) // read only
	var buf [4096]byte   // both files are far shorter, and the kernel gives all at once
	n, err := unix.Read(fd, buf[:])
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Read(fd, buf[:])
	}
	if err != nil {
		return 0, err
	}
	return parseKey(string(buf[:n]), key)
}

// parseKey finds the number of key among lines of "key number".
func parseKey(text, key string) (uint64, error) {
	for line := range strings.Lines(text) {
		if k, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && k == key {
			return strconv.ParseUint(value, 10, 64)
		}
	}
	return 0, nil
}

func (v *v2) close() { _ = unix.Close(v.dir) }
