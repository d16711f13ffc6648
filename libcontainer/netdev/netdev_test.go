// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"berth/libcontainer/config"
)

// inNewNamespaces runs f with a new network namespace as the runtime's, and
// another as the container's. Its thread ends with it, and so do they.
func inNewNamespaces(t *testing.T, f func(ns *os.File, inside *netlink.Handle) error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making network namespaces needs root")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is of no more use
		done <- func() error {
			ns, err := newNamespace()
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			inside, err := netlink.NewHandleAt(netns.NsHandle(ns.Fd()))
			if err != nil {
				return err
			}
			defer inside.Close()
			return f(ns, inside)
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func newNamespace() (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("unshare: %w", err)
	}
	return os.Open("/proc/thread-self/ns/net")
}

// addVeth makes a pair of devices, the first of them with addresses.
func addVeth(name, peer string, addrs ...string) error {
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, MTU: 1400}, PeerName: peer}
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("veth: %w", err)
	}
	for _, text := range addrs {
		addr, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		if strings.HasPrefix(text, "169.254.") {
			addr.Scope = int(netlink.SCOPE_LINK)
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return netlink.LinkSetUp(link)
}

func TestMovedDeviceKeepsWhatMatters(t *testing.T) {
	inNewNamespaces(t, func(ns *os.File, inside *netlink.Handle) error {
		err := errors.Join(
			addVeth("up0", "peer0", "192.0.2.7/24", "2001:db8::7/64", "169.254.1.1/16"),
			addVeth("same0", "peer1"),
		)
		if err != nil {
			return err
		}
		err = moveAll([]config.NetDevice{{HostName: "up0", Name: "eth0"}, {HostName: "same0", Name: "same0"}}, ns)
		if err != nil {
			return err
		}
		for name, want := range map[string][]string{"eth0": {"192.0.2.7/24", "2001:db8::7/64"}, "same0": nil} {
			link, err := inside.LinkByName(name)
			if err != nil {
				return err
			}
			if a := link.Attrs(); a.Flags&net.FlagUp == 0 || a.MTU != 1400 {
				t.Errorf("%s: flags %v, MTU %d; want it up with 1400", name, a.Flags, a.MTU)
			}
			all, err := inside.AddrList(link, netlink.FAMILY_ALL)
			if err != nil {
				return err
			}
			var got []string
			for _, a := range permanent(all) {
				got = append(got, a.IPNet.String())
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: addresses %q, want %q", name, got, want)
			}
		}
		if _, err := netlink.LinkByName("up0"); err == nil {
			t.Error("up0 is still with the runtime")
		}
		return nil
	})
}

func TestNamesThatCollide(t *testing.T) {
	inNewNamespaces(t, func(ns *os.File, inside *netlink.Handle) error {
		if err := errors.Join(addVeth("a0", "a1"), addVeth("b0", "b1")); err != nil {
			return err
		}
		// a0 is in the container under its old name; b0 cannot become it.
		if err := moveAll([]config.NetDevice{{HostName: "a0", Name: "a0"}}, ns); err != nil {
			return err
		}
		err := moveAll([]config.NetDevice{{HostName: "b1", Name: "x"}, {HostName: "b0", Name: "a0"}}, ns)
		if !errors.Is(err, unix.EEXIST) || !strings.HasPrefix(err.Error(), `linux.netDevices["b0"]: `) {
			t.Errorf("moveAll = %v, want EEXIST of b0", err)
		}
		if _, err := netlink.LinkByName("b1"); err != nil {
			t.Errorf("b1 was moved before the error: %v", err)
		}
		// A device whose own name is taken inside comes in under another.
		if err := addVeth("a0", "c1"); err != nil {
			return err
		}
		if err := moveAll([]config.NetDevice{{HostName: "a0", Name: "other"}}, ns); err != nil {
			return err
		}
		_, err = inside.LinkByName("other")
		return err
	})
}

func TestTemplateGetsANumber(t *testing.T) {
	inNewNamespaces(t, func(ns *os.File, inside *netlink.Handle) error {
		if err := errors.Join(addVeth("a0", "a1", "192.0.2.1/24"), addVeth("b0", "b1", "192.0.2.2/24")); err != nil {
			return err
		}
		err := moveAll([]config.NetDevice{{HostName: "a0", Name: "net%d"}, {HostName: "b0", Name: "net%d"}}, ns)
		if err != nil {
			return err
		}
		for name, want := range map[string]string{"net0": "192.0.2.1/24", "net1": "192.0.2.2/24"} {
			link, err := inside.LinkByName(name)
			if err != nil {
				return err
			}
			addrs, err := inside.AddrList(link, netlink.FAMILY_V4)
			if err != nil || len(addrs) != 1 || addrs[0].IPNet.String() != want {
				t.Errorf("%s: addresses %v, %v; want %s", name, addrs, err, want)
			}
		}
		return nil
	})
}

func TestRefusals(t *testing.T) {
	inNewNamespaces(t, func(ns *os.File, _ *netlink.Handle) error {
		if err := addVeth("a0", "a1"); err != nil {
			return err
		}
		err := moveAll([]config.NetDevice{{HostName: "none0", Name: "x"}}, ns)
		if err == nil || !strings.Contains(err.Error(), `linux.netDevices["none0"]: cannot find the device`) {
			t.Errorf("a missing device = %v", err)
		}
		err = moveAll([]config.NetDevice{{HostName: "a0", Name: "in/valid"}}, ns)
		if !errors.Is(err, unix.EINVAL) {
			t.Errorf("an invalid name = %v, want %v", err, unix.EINVAL)
		}
		return nil
	})
	if err := Move(nil, -1); err != nil {
		t.Errorf("no devices = %v, want none", err)
	}
}
