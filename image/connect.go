// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"berth/image/bundle"
	"berth/image/network"
)

// connect gives a container of Run the network that its options ask for, and
// returns what takes it away.
func (t *Tool) connect(ctx context.Context, o *RunOptions) (disconnect func() error, err error) {
	c, n := &o.Unpack.Config, o.Network
	plain, name, err := chooseNetwork(c.Net, len(n.Publish) > 0, c.Rootless)
	if err != nil {
		return nil, err
	}
	if plain != "" {
		c.Net = plain
		if plain == "host" {
			addFiles(c, hostFiles())
		}
		return func() error { return nil }, nil
	}
	n.Name, n.Hostname = name, c.Hostname
	a, err := network.Connect(ctx, o.ID, n)
	if err != nil {
		return nil, err
	}
	for i, p := range a.Ports() {
		if n.Publish[i].Host == 0 {
			t.o.Warn(fmt.Sprintf("port %s of the container is the host's %d", n.Publish[i], p.Host))
		}
	}
	c.Net = a.Path()
	addFiles(c, a.Files())
	return a.Close, nil
}

// chooseNetwork is what net means to Run: something that is plain to package
// bundle, or the name of a network by plugins. Without a word it is as with
// Unpack: none for root, since a bridge changes the host's links and packet
// filter and costs more than all the rest, and never silently the host's; the
// host's for an ordinary user, who cannot have another one.
func chooseNetwork(net string, publish, rootless bool) (plain, name string, err error) {
	switch {
	case net == "host", net == "none", path.IsAbs(net):
		if publish {
			return "", "", fmt.Errorf("--net %s publishes no ports (hint: --net bridge)", net)
		}
		return net, "", nil
	case net == "" && !publish && rootless:
		return "host", "", nil
	case rootless:
		return "", "", errors.New("only root can have a network by CNI plugins (hint: --net host or --net none)")
	case net == "" && !publish:
		return "none", "", nil
	case net == "":
		return "", network.Bridge, nil
	}
	return "", net, nil
}

// hostFiles are the host's own, for a container in its network.
func hostFiles() []network.File {
	var list []network.File
	for _, path := range []string{"/etc/resolv.conf", "/etc/hosts"} {
		if _, err := os.Stat(path); err == nil {
			list = append(list, network.File{Path: path, Destination: path})
		}
	}
	return list
}

// addFiles mounts files, but where the user mounts something. The container
// does not own them, and they have no limit of size: read-only.
func addFiles(o *bundle.Options, files []network.File) {
	for _, f := range files {
		if !slices.ContainsFunc(o.Mounts, func(m bundle.Mount) bool { return path.Clean(m.Destination) == f.Destination }) {
			o.Mounts = append(o.Mounts, bundle.Mount{Type: bundle.TypeBind, Source: f.Path, Destination: f.Destination, Options: []string{"bind", "ro", "nosuid", "nodev", "noexec"}})
		}
	}
}
