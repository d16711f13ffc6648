// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/api/types"
	"golang.org/x/sys/unix"

	"berth/libcontainer/config"
)

// mountFlags are the options of mount(8) that are flags of mount(2).
var mountFlags = map[string]struct{ set, clear uintptr }{
	"bind": {unix.MS_BIND, 0}, "rbind": {unix.MS_BIND | unix.MS_REC, 0},
	"ro": {unix.MS_RDONLY, 0}, "rw": {0, unix.MS_RDONLY},
	"nosuid": {unix.MS_NOSUID, 0}, "suid": {0, unix.MS_NOSUID},
	"nodev": {unix.MS_NODEV, 0}, "dev": {0, unix.MS_NODEV},
	"noexec": {unix.MS_NOEXEC, 0}, "exec": {0, unix.MS_NOEXEC},
	"sync": {unix.MS_SYNCHRONOUS, 0}, "async": {0, unix.MS_SYNCHRONOUS},
	"dirsync": {unix.MS_DIRSYNC, 0}, "mand": {unix.MS_MANDLOCK, 0}, "nomand": {0, unix.MS_MANDLOCK},
	"noatime": {unix.MS_NOATIME, 0}, "atime": {0, unix.MS_NOATIME},
	"nodiratime": {unix.MS_NODIRATIME, 0}, "diratime": {0, unix.MS_NODIRATIME},
	"relatime": {unix.MS_RELATIME, 0}, "norelatime": {0, unix.MS_RELATIME},
	"strictatime": {unix.MS_STRICTATIME, 0}, "nostrictatime": {0, unix.MS_STRICTATIME},
	"defaults": {0, 0}, "remount": {unix.MS_REMOUNT, 0},
}

// mountCall is one mount as mount(2) takes it.
type mountCall struct {
	kind, source, target string
	flags                uintptr
	data                 []string
	maps                 *idmaps // nil: none
}

// parseMount turns one of containerd's mounts into a call. Its target is below
// the root file system.
func parseMount(rootfs string, m *types.Mount) (mountCall, error) {
	c := mountCall{kind: m.Type, source: m.Source, target: rootfs}
	if m.Target != "" {
		clean := filepath.Join("/", m.Target)
		if clean != "/" {
			return c, fmt.Errorf("mount of %s at %s: only the root file system itself is mounted by the shim: %w", m.Type, m.Target, errInvalid)
		}
	}
	var uids, gids []config.IDMap
	for _, o := range m.Options {
		var err error
		switch f, ok := mountFlags[o]; {
		case ok:
			c.flags = c.flags&^f.clear | f.set
		case strings.HasPrefix(o, "X-containerd."):
			return c, fmt.Errorf("mount option %s: %w", o, errInvalid)
		case strings.HasPrefix(o, "uidmap="):
			uids, err = parseMap(o[len("uidmap="):])
		case strings.HasPrefix(o, "gidmap="):
			gids, err = parseMap(o[len("gidmap="):])
		default:
			c.data = append(c.data, o)
		}
		if err != nil {
			return c, err
		}
	}
	if uids != nil && gids != nil {
		c.maps = &idmaps{uids, gids}
	}
	if c.kind == "bind" {
		c.flags |= unix.MS_BIND
	}
	return c, nil
}

// mountAll mounts the root file system, and nothing if one of it fails.
func mountAll(rootfs string, mounts []*types.Mount) error {
	if err := os.Mkdir(rootfs, 0o711); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	for _, m := range mounts {
		c, err := parseMount(rootfs, m)
		if err == nil {
			err = c.mount()
		}
		if err != nil {
			unmountAll(rootfs)
			return fmt.Errorf("rootfs %s: mount %s (%s): %w", rootfs, m.Source, m.Type, err)
		}
	}
	return nil
}

func (c mountCall) mount() error {
	if c.maps != nil {
		return c.mountMapped()
	}
	return c.mountPlain()
}

// mountPlain uses mount(2), or fsconfig(2) for options that do not fit into a page:
// an overlay of many layers.
func (c mountCall) mountPlain() error {
	data := strings.Join(c.data, ",")
	if len(data) >= os.Getpagesize() {
		return c.configure()
	}
	if err := unix.Mount(c.source, c.target, c.kind, c.flags, data); err != nil {
		return err
	}
	const kept = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if c.flags&unix.MS_BIND != 0 && c.flags&kept != 0 { // a bind ignores all other flags
		return unix.Mount("", c.target, "", unix.MS_REMOUNT|unix.MS_BIND|c.flags&^unix.MS_REC, "")
	}
	return nil
}

// configure mounts by fsopen(2); the layers of an overlay go one by one, which
// takes Linux 6.5.
func (c mountCall) configure() error {
	fs, err := unix.Fsopen(c.kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("fsopen: %w", err)
	}
	defer unix.Close(fs)
	set := func(key, value string) error {
		if err := unix.FsconfigSetString(fs, key, value); err != nil {
			return fmt.Errorf("fsconfig %s: %w", key, err)
		}
		return nil
	}
	if err := set("source", c.source); err != nil {
		return err
	}
	for _, o := range c.data {
		key, value, ok := strings.Cut(o, "=")
		switch {
		case !ok:
			err = unix.FsconfigSetFlag(fs, key)
		case key == "lowerdir":
			for layer := range strings.SplitSeq(value, ":") {
				if err = set("lowerdir+", layer); err != nil {
					return err
				}
			}
		default:
			err = set(key, value)
		}
		if err != nil {
			return err
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return fmt.Errorf("fsconfig create: %w", err)
	}
	var attr int
	if c.flags&unix.MS_RDONLY != 0 {
		attr |= unix.MOUNT_ATTR_RDONLY
	}
	m, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attr)
	if err != nil {
		return fmt.Errorf("fsmount: %w", err)
	}
	defer unix.Close(m)
	return unix.MoveMount(m, "", unix.AT_FDCWD, c.target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// unmountAll takes away everything that is mounted at a directory.
func unmountAll(dir string) {
	for range 64 { // what was mounted on top of another goes first
		if unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) != nil {
			return
		}
	}
}

func (c *container) unmount() {
	if c.mounted {
		unmountAll(filepath.Join(c.bundle, "rootfs"))
	}
}
