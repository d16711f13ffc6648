// SPDX-License-Identifier: Apache-2.0

// Package network attaches containers to networks by CNI plugins: it makes a
// network namespace, lets the plugins of a list furnish it, and takes all of
// that away again. It speaks the protocol of the CNI specification, 0.3 to 1.1,
// sections 2 to 5; what a bridge, an address or a published port is, the plugins
// know.
//
//	a, err := network.Connect(ctx, "web", network.Options{Publish: ports})
//	defer a.Close()
//	// a.Path() is for config.json; a.Files() are to be mounted
//
// Whoever is killed leaves a directory that says what is to be undone, and
// Sweep does it. All of that is below /run, as namespaces, links and iptables
// rules are: one place for all stores of a machine, since they share a bridge
// and its addresses, and nothing outlives a reboot.
//
//	/run/berth-image/attachments/ID/   record.json, resolv.conf, hosts; flock'ed by its owner
//	/run/berth-image/addresses/        of the built-in network, host-local's
//	/run/netns/berth-ID                the namespace, as `ip netns` shows it
package network

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Bridge is the name of the built-in network.
const Bridge = "bridge"

// The defaults of Options.
const (
	DefaultStateDir = "/run/berth-image"
	DefaultConfDir  = "/etc/cni/net.d"
	DefaultTimeout  = time.Minute
)

// DefaultPluginDirs are where distributions and CNI's own releases put plugins.
var DefaultPluginDirs = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni", "/usr/local/lib/cni"}

// interfaceName is the container's interface, as with all engines.
const interfaceName = "eth0"

// ErrUnusable says that there can be no network by plugins here.
var ErrUnusable = errors.New("hint: --net host or --net none")

// Options say what a container is attached to.
type Options struct {
	// Name is Bridge, or that of a *.conflist in ConfDir; "" is Bridge.
	Name string
	// PluginDirs are searched in this order; nil is DefaultPluginDirs.
	PluginDirs []string
	// ConfDir and StateDir; "" is the default.
	ConfDir, StateDir string
	// Publish are ports of the container that the host serves.
	Publish []Port
	DNS     DNS
	// Hostname is the container's, for /etc/hosts; "" is the host's.
	Hostname string
	// Timeout is for each plugin; 0 is DefaultTimeout. A plugin that takes longer
	// is killed with its children.
	Timeout time.Duration
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = Bridge
	}
	if o.PluginDirs == nil {
		o.PluginDirs = DefaultPluginDirs
	}
	if o.ConfDir == "" {
		o.ConfDir = DefaultConfDir
	}
	if o.StateDir == "" {
		o.StateDir = DefaultStateDir
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	return o
}

// Usable says why Connect cannot work here, an ErrUnusable: we are not root, or
// the plugins of the network are not installed. nil means that it may.
func Usable(o Options) error {
	_, err := o.withDefaults().usable()
	return err
}

// usable is Usable, and the list that it has looked at.
func (o Options) usable() (*list, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("network %q: only root can have one (%w)", o.Name, ErrUnusable)
	}
	l, err := o.load()
	if err != nil {
		return nil, err
	}
	for _, name := range l.types() {
		if _, err := findPlugin(o.PluginDirs, name); err != nil {
			return nil, fmt.Errorf("network %q: %w (install containernetworking-plugins; %w)", o.Name, err, ErrUnusable)
		}
	}
	if len(o.Publish) > 0 && !slices.ContainsFunc(l.plugins, func(p plugin) bool { return p.capabilities[portMappings] }) {
		return nil, fmt.Errorf("network %q publishes no ports: no plugin of its has the capability %s (hint: portmap has)", o.Name, portMappings)
	}
	return l, nil
}
