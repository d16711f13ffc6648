// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ParseDevice reads --device, SOURCE[:DESTINATION][:ACCESS], and looks at the
// device SOURCE on the host.
func ParseDevice(s string) (Device, error) {
	source, destination, access, err := splitDevice(s)
	if err != nil {
		return Device{}, fmt.Errorf("device %q: %w", s, err)
	}
	var st unix.Stat_t
	if err := unix.Stat(source, &st); err != nil {
		return Device{}, fmt.Errorf("device %q: stat: %w", s, err)
	}
	d, ok := deviceOf(&st, destination, access)
	if !ok {
		return Device{}, fmt.Errorf("device %q: it is no device (hint: --volume for files and directories)", s)
	}
	return d, nil
}

func splitDevice(s string) (source, destination, access string, err error) {
	parts := strings.Split(s, ":")
	source, destination, access = parts[0], parts[0], "rwm"
	switch rest := parts[1:]; {
	case len(rest) == 1 && isAccess(rest[0]):
		access = rest[0]
	case len(rest) == 1:
		destination = rest[0]
	case len(rest) == 2 && isAccess(rest[1]):
		destination, access = rest[0], rest[1]
	case len(rest) != 0:
		err = errors.New("want SOURCE[:DESTINATION][:ACCESS], with r, w and m for ACCESS")
	}
	if err == nil && (!path.IsAbs(source) || !path.IsAbs(destination)) {
		err = errors.New("the paths must be absolute")
	}
	return source, path.Clean(destination), access, err
}

func isAccess(s string) bool {
	return s != "" && strings.Trim(s, "rwm") == "" &&
		strings.Count(s, "r") <= 1 && strings.Count(s, "w") <= 1 && strings.Count(s, "m") <= 1
}

// deviceOf is the device with the attributes of a file, if it is one.
func deviceOf(st *unix.Stat_t, path, access string) (Device, bool) {
	kind := map[uint32]string{unix.S_IFCHR: "c", unix.S_IFBLK: "b"}[st.Mode&unix.S_IFMT]
	mode := os.FileMode(st.Mode & 0o777)
	return Device{specs.LinuxDevice{
		Path: path, Type: kind, Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)),
		FileMode: &mode, UID: &st.Uid, GID: &st.Gid,
	}, access}, kind != ""
}

// HostDevices are those in /dev, without terminals and what a container has of
// its own: a privileged container gets them all.
func HostDevices() ([]Device, error) {
	var list []Device
	err := filepath.WalkDir("/dev", func(name string, e os.DirEntry, err error) error {
		switch {
		case err != nil && name == "/dev":
			return err
		case err != nil: // somebody's directory in /dev/shm, or it is gone
			return nil
		case name == "/dev/pts" && e.IsDir(): // for a link, SkipDir would end the whole list
			return filepath.SkipDir
		case e.Type()&os.ModeDevice == 0, name == "/dev/console", name == "/dev/ptmx", name == "/dev/tty":
			return nil
		}
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			return nil // unplugged meanwhile
		}
		if d, ok := deviceOf(&st, name, "rwm"); ok {
			list = append(list, d)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list devices: %w", err)
	}
	return list, nil
}
