// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/libcontainer"
	"berth/libcontainer/config"
)

// idmaps are the maps that containerd 2 asks for in a mount's options: a pod with
// a user namespace of its own shares the layers with all others.
type idmaps struct{ uids, gids []config.IDMap }

// parseMap reads container:host:size, comma separated.
func parseMap(text string) (list []config.IDMap, err error) {
	for entry := range strings.SplitSeq(text, ",") {
		var n [3]uint32
		fields := strings.Split(entry, ":")
		for i, field := range fields {
			v, bad := strconv.ParseUint(field, 10, 32)
			if bad != nil || len(fields) != len(n) {
				return nil, fmt.Errorf("id map %q: %w", text, errInvalid)
			}
			n[i] = uint32(v)
		}
		list = append(list, config.IDMap{ContainerID: n[0], HostID: n[1], Size: n[2]})
	}
	return list, nil
}

// layerPrefix begins the names of a bundle's directories where layers are mounted
// while an overlay of them is made.
const layerPrefix = "layer"

// forgetLayers takes away what a shim that was killed then has left.
func forgetLayers(bundle string) {
	left, _ := filepath.Glob(filepath.Join(bundle, layerPrefix+"*")) // a constant pattern
	for _, at := range left {
		unmountAll(at)
		_ = os.Remove(at) // containerd removes the bundle
	}
}

// mountMapped mounts an overlay of id-mapped layers, as overlays themselves cannot
// be mapped, or maps what is mounted. The layers' mounts are needed no longer
// then: an overlay has its own of them.
func (c mountCall) mountMapped() error {
	ns, err := libcontainer.OpenUserNamespace(c.maps.uids, c.maps.gids)
	if err != nil {
		return err
	}
	defer ns.Close()
	if c.kind != "overlay" {
		if err := c.mountPlain(); err != nil {
			return err
		}
		return mapAt(c.target, c.target, ns, 0)
	}
	data := make([]string, len(c.data))
	for i, o := range c.data {
		data[i] = o
		layers, ok := strings.CutPrefix(o, "lowerdir=")
		if !ok {
			continue
		}
		var mapped []string
		for n, layer := range strings.Split(layers, ":") {
			at := filepath.Join(filepath.Dir(c.target), layerPrefix+strconv.Itoa(n))
			if err := os.Mkdir(at, 0o700); err != nil {
				return err
			}
			defer os.Remove(at)
			defer unmountAll(at)
			// Read-only: if we are killed here, who removes the bundle removes no layer.
			if err := mapAt(layer, at, ns, unix.MOUNT_ATTR_RDONLY); err != nil {
				return err
			}
			mapped = append(mapped, at)
		}
		data[i] = "lowerdir=" + strings.Join(mapped, ":")
	}
	c.data = data
	return c.mountPlain()
}

// mapAt mounts a directory with its ids mapped, and with other attributes.
func mapAt(source, target string, ns *os.File, attributes uint64) error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open_tree %s: %w", source, err)
	}
	defer unix.Close(fd)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP | attributes, Userns_fd: uint64(ns.Fd())}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("mount_setattr %s: %w; hint: its filesystem may not support id-mapped mounts", source, err)
	}
	return unix.MoveMount(fd, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}
