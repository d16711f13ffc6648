// SPDX-License-Identifier: Apache-2.0

// Package netdev moves network devices of the runtime's network namespace into
// a container's, runtime-spec config-linux.md#network-devices. It brings
// netlink and with it package net, which cost 30 µs at start: only create uses
// it. Nobody moves the devices back; when the namespace ends the kernel does
// that with physical ones, and destroys virtual ones.
//
//	err := netdev.Move(cfg.NetDevices, initPid)
package netdev

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"berth/internal/procfs"
	"berth/libcontainer/config"
)

// keptFlags are the flags of an address that its new copy gets; the others are
// the kernel's to set.
const keptFlags = unix.IFA_F_NODAD | unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_HOMEADDRESS | unix.IFA_F_MCAUTOJOIN

// maxDumps bounds what is done about a list that changed while it was read.
const maxDumps = 10

// Move moves the devices into the network namespace of process pid. They get
// their new names, keep their permanent addresses of global scope, and are up
// afterwards. What can be seen to be impossible is refused before any is moved.
func Move(devices []config.NetDevice, pid int) error {
	if len(devices) == 0 {
		return nil
	}
	ns, err := procfs.OpenNamespace(pid, "net")
	if err != nil {
		return fmt.Errorf("linux.netDevices: %w", err)
	}
	defer ns.Close()
	return moveAll(devices, ns)
}

func moveAll(devices []config.NetDevice, ns *os.File) error {
	inside, err := netlink.NewHandleAt(netns.NsHandle(ns.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("linux.netDevices: cannot enter the container's network namespace: %w", err)
	}
	defer inside.Close()
	moves := make([]move, len(devices))
	for i, d := range devices {
		moves[i] = move{NetDevice: d, ns: ns, inside: inside}
		if err := moves[i].prepare(); err != nil {
			return moves[i].error(err)
		}
	}
	for i := range moves {
		if err := moves[i].do(); err != nil {
			return moves[i].error(err)
		}
	}
	return nil
}

// move is one device on its way.
type move struct {
	config.NetDevice
	ns     *os.File
	inside *netlink.Handle

	link  netlink.Link
	addrs []netlink.Addr
}

func (m *move) error(err error) error {
	return fmt.Errorf("linux.netDevices[%q]: %w", m.HostName, err)
}

// template says whether the kernel is to put a number into the new name.
func (m *move) template() bool { return strings.Contains(m.Name, "%d") }

// prepare looks at the device and changes nothing.
func (m *move) prepare() error {
	if m.Name == "" {
		m.Name = m.HostName
	}
	var err error
	if m.link, err = netlink.LinkByName(m.HostName); err != nil {
		return fmt.Errorf("cannot find the device: %w", err)
	}
	if !m.template() {
		_, err := m.inside.LinkByName(m.Name)
		if err == nil {
			return fmt.Errorf("the container has a device %q already: %w", m.Name, unix.EEXIST)
		}
		if !errors.As(err, &netlink.LinkNotFoundError{}) {
			return fmt.Errorf("cannot look for %q in the container: %w", m.Name, err)
		}
	}
	all, err := addresses(m.link)
	if err != nil {
		return fmt.Errorf("cannot list the addresses: %w", err)
	}
	m.addrs = permanent(all)
	return nil
}

// addresses lists all addresses of a device, again if they changed meanwhile.
func addresses(link netlink.Link) (all []netlink.Addr, err error) {
	for range maxDumps {
		all, err = netlink.AddrList(link, netlink.FAMILY_ALL)
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}

// permanent keeps the addresses that the spec wants kept: somebody set them
// (IFA_F_PERMANENT), and they mean the same everywhere (RT_SCOPE_UNIVERSE).
func permanent(all []netlink.Addr) []netlink.Addr {
	var kept []netlink.Addr
	for _, a := range all {
		if a.Flags&unix.IFA_F_PERMANENT == 0 || a.Scope != int(netlink.SCOPE_UNIVERSE) {
			continue
		}
		// No label: it begins with the old name. No lifetime: it is unlimited.
		kept = append(kept, netlink.Addr{IPNet: a.IPNet, Peer: a.Peer, Broadcast: a.Broadcast, Flags: a.Flags & keptFlags})
	}
	return kept
}

// do moves the device. A renamed one must be down; and moving flushes the
// addresses.
func (m *move) do() error {
	before, err := m.names()
	if err != nil {
		return fmt.Errorf("cannot list the container's devices: %w", err)
	}
	if err := netlink.LinkSetDown(m.link); err != nil {
		return fmt.Errorf("cannot set the device down: %w", err)
	}
	if err := m.send(); err != nil {
		if m.link.Attrs().Flags&net.FlagUp != 0 {
			_ = netlink.LinkSetUp(m.link) // as it was; the first error is the one to tell
		}
		return fmt.Errorf("cannot move the device to %q in the container: %w", m.Name, err)
	}
	link, err := m.arrived(before)
	if err != nil {
		return fmt.Errorf("cannot find the device in the container: %w", err)
	}
	for i := range m.addrs {
		if err := m.inside.AddrReplace(link, &m.addrs[i]); err != nil {
			return fmt.Errorf("cannot set address %s again: %w", m.addrs[i].IPNet, err)
		}
	}
	if err := m.inside.LinkSetUp(link); err != nil {
		return fmt.Errorf("cannot set the device up: %w", err)
	}
	return nil
}

// send is one message for both, so that neither name need be free on the
// other side. The library has none for it.
func (m *move) send() error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(m.link.Attrs().Index)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(m.ns.Fd()))))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(m.Name)))
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// names returns the container's devices, if that is how the new one is found.
func (m *move) names() (map[string]bool, error) {
	if !m.template() {
		return nil, nil
	}
	links, err := m.inside.LinkList()
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, l := range links {
		names[l.Attrs().Name] = true
	}
	return names, nil
}

// arrived finds the device in the container: by name, or as the only one that
// was not there before. Its index may have changed.
func (m *move) arrived(before map[string]bool) (netlink.Link, error) {
	if !m.template() {
		return m.inside.LinkByName(m.Name)
	}
	links, err := m.inside.LinkList()
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		if !before[l.Attrs().Name] {
			return l, nil
		}
	}
	return nil, unix.ENODEV
}
