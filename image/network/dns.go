// SPDX-License-Identifier: Apache-2.0

package network

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// DNS is what resolv.conf(5) says.
type DNS struct {
	Servers []string // addresses
	Search  []string // domains
	Options []string
}

// check refuses what would be another line or word of resolv.conf.
func (d DNS) check() error {
	for _, s := range d.Servers {
		if _, err := netip.ParseAddr(s); err != nil {
			return fmt.Errorf("name server %q: no address", s)
		}
	}
	for _, list := range [][]string{d.Search, d.Options} {
		for _, s := range list {
			if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
				return fmt.Errorf("%q: no word for resolv.conf", s)
			}
		}
	}
	return nil
}

// or is d, and other where d says nothing.
func (d DNS) or(other DNS) DNS {
	if len(d.Servers) == 0 {
		d.Servers = other.Servers
	}
	if len(d.Search) == 0 {
		d.Search = other.Search
	}
	if len(d.Options) == 0 {
		d.Options = other.Options
	}
	return d
}

// parseDNS reads a resolv.conf of the host, without the servers that only the
// host itself can reach: those on its loopback, and IPv6 ones on a link of its
// own. IPv4 ones of that kind are a cloud's, and can be routed to.
func parseDNS(text []byte) DNS {
	var d DNS
	for l := range strings.Lines(string(text)) {
		words := strings.Fields(l)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			a, err := netip.ParseAddr(words[1])
			if err == nil && !a.IsLoopback() && !a.IsUnspecified() && !(a.Is6() && a.IsLinkLocalUnicast()) {
				d.Servers = append(d.Servers, words[1])
			}
		case "search", "domain": // the last one counts
			d.Search = words[1:]
		case "options":
			d.Options = append(d.Options, words[1:]...)
		}
	}
	return d
}

// hostResolvConfs: with systemd-resolved, the first names its stub on the
// loopback alone, and the second what that asks.
var hostResolvConfs = []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"}

// hostDNS is the host's, as far as a container can use it. There may be no
// servers: we do not choose a third party that is told all names.
func hostDNS() (DNS, error) {
	var d DNS
	for _, path := range hostResolvConfs {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return d, err
		}
		if d = d.or(parseDNS(text)); len(d.Servers) > 0 {
			break
		}
	}
	return d, nil
}

// resolvConf is the file for the container.
func (d DNS) resolvConf() []byte {
	var b bytes.Buffer
	for _, l := range []struct {
		key   string
		words []string
	}{{"search", d.Search}, {"options", d.Options}} {
		if len(l.words) > 0 {
			fmt.Fprintln(&b, l.key, strings.Join(l.words, " "))
		}
	}
	for _, s := range d.Servers {
		fmt.Fprintln(&b, "nameserver", s)
	}
	return b.Bytes()
}

// hosts is /etc/hosts for a container with these names.
func hosts(addresses []netip.Prefix, names ...string) []byte {
	var b bytes.Buffer
	b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	for _, a := range addresses {
		fmt.Fprintf(&b, "%s\t%s\n", a.Addr(), strings.Join(names, " "))
	}
	return b.Bytes()
}
