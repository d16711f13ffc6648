// SPDX-License-Identifier: Apache-2.0

package network

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Port is a port of the container that the host serves.
type Port struct {
	// HostIP is the address of the host; the zero Addr is all of them.
	HostIP netip.Addr
	// Host is the host's port; 0 is a free one, which Connect chooses.
	Host      uint16
	Container uint16
	// Protocol is tcp or udp.
	Protocol string
}

// ParsePort reads [[IP:][HOST]:]CONTAINER[/PROTOCOL], as docker run -p does
// without its ranges; an IPv6 address is in brackets.
func ParsePort(s string) (Port, error) {
	bad := func(what string) (Port, error) {
		return Port{}, fmt.Errorf("port %q: %s, want [[IP:]HOST:]CONTAINER[/udp]", s, what)
	}
	addresses, protocol, given := strings.Cut(s, "/")
	p := Port{Protocol: "tcp"}
	if given {
		p.Protocol = strings.ToLower(protocol)
	}
	if p.Protocol != "tcp" && p.Protocol != "udp" {
		return bad("the protocol is neither tcp nor udp")
	}
	rest, container, hasHost := cutLast(addresses)
	var ok bool
	if p.Container, ok = number(container); !ok {
		return bad("no port of the container")
	}
	if !hasHost {
		return p, nil
	}
	ip, host, hasIP := cutLast(rest)
	if hasIP {
		var err error
		inner, bracketed := strings.CutPrefix(ip, "[")
		if bracketed {
			inner, bracketed = strings.CutSuffix(inner, "]")
		}
		if p.HostIP, err = netip.ParseAddr(inner); err != nil || p.HostIP.Is6() != bracketed || p.HostIP.Zone() != "" {
			return bad("no address")
		}
		if host == "" {
			return p, nil
		}
	}
	if p.Host, ok = number(host); !ok {
		return bad("no port of the host")
	}
	return p, nil
}

// cutLast cuts at the last colon; without one, all is after it.
func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

// number is a port other than 0.
func number(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && n != 0
}

// String is what ParsePort reads.
func (p Port) String() string {
	s := strconv.Itoa(int(p.Container)) + "/" + p.Protocol
	host := ""
	if p.Host != 0 {
		host = strconv.Itoa(int(p.Host))
	}
	switch {
	case p.HostIP.Is6():
		return "[" + p.HostIP.String() + "]:" + host + ":" + s
	case p.HostIP.IsValid():
		return p.HostIP.String() + ":" + host + ":" + s
	case host != "":
		return host + ":" + s
	}
	return s
}

// reserve binds a port of the host, chooses one if it is 0, and returns the
// socket, which the caller closes. Connections never meet it, since the
// plugin's rules redirect them before; it is there so that two containers, or a
// container and a server of the host, are told that they want the same port
// instead of one of them silently getting nothing.
func (p *Port) reserve() (*os.File, error) {
	kind := unix.SOCK_STREAM
	if p.Protocol == "udp" {
		kind = unix.SOCK_DGRAM
	}
	family, at := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(p.Host)})
	switch {
	case p.HostIP.Is4():
		at = &unix.SockaddrInet4{Port: int(p.Host), Addr: p.HostIP.As4()}
	case p.HostIP.Is6():
		family, at = unix.AF_INET6, &unix.SockaddrInet6{Port: int(p.Host), Addr: p.HostIP.As16()}
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("port %s: %w", p, os.NewSyscallError("socket", err))
	}
	f := os.NewFile(uintptr(fd), p.String())
	// No SO_REUSEADDR: without listen(2) two sockets could then share the port.
	if err := unix.Bind(fd, at); err != nil {
		_ = f.Close() // nothing is in it
		return nil, fmt.Errorf("port %s: %w", p, os.NewSyscallError("bind", err))
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		_ = f.Close() // nothing is in it
		return nil, fmt.Errorf("port %s: %w", p, os.NewSyscallError("getsockname", err))
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		p.Host = uint16(a.Port)
	case *unix.SockaddrInet6:
		p.Host = uint16(a.Port)
	}
	return f, nil
}

// portMappings is the capability of plugins that publish ports, and its
// argument's name in runtimeConfig; CNI conventions, "dynamic plugin specific
// fields".
const portMappings = "portMappings"

// portMapping is a port as plugins are told.
type portMapping struct {
	HostPort      uint16 `json:"hostPort"`
	ContainerPort uint16 `json:"containerPort"`
	Protocol      string `json:"protocol"`
	HostIP        string `json:"hostIP,omitempty"`
}

func mappings(ports []Port) []portMapping {
	var out []portMapping
	for _, p := range ports {
		m := portMapping{HostPort: p.Host, ContainerPort: p.Container, Protocol: p.Protocol}
		if p.HostIP.IsValid() && p.HostIP != netip.IPv4Unspecified() {
			m.HostIP = p.HostIP.String()
		}
		out = append(out, m)
	}
	return out
}
