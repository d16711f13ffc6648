// SPDX-License-Identifier: Apache-2.0

package network

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParsePort(t *testing.T) {
	lo, lo6 := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	cases := []struct {
		in   string
		want Port
	}{
		{"80", Port{Container: 80, Protocol: "tcp"}},
		{"53/udp", Port{Container: 53, Protocol: "udp"}},
		{"8080:80", Port{Host: 8080, Container: 80, Protocol: "tcp"}},
		{"8080:80/TCP", Port{Host: 8080, Container: 80, Protocol: "tcp"}},
		{"127.0.0.1:8080:80", Port{HostIP: lo, Host: 8080, Container: 80, Protocol: "tcp"}},
		{"127.0.0.1::80", Port{HostIP: lo, Container: 80, Protocol: "tcp"}},
		{"[::1]:65535:1/udp", Port{HostIP: lo6, Host: 65535, Container: 1, Protocol: "udp"}},
	}
	for _, c := range cases {
		got, err := ParsePort(c.in)
		if err != nil || got != c.want {
			t.Errorf("ParsePort(%q) = %+v, %v, want %+v", c.in, got, err, c.want)
		}
	}
	for in, what := range map[string]string{
		"": "no port of the container", "x": "no port of the container", "0": "no port of the container", "65536": "no port of the container",
		"80:": "no port of the container", "+1": "no port of the container", "80-90:80-90": "no port of the container",
		":80": "no port of the host", "0:80": "no port of the host", "80/sctp": "the protocol is neither tcp nor udp", "80/": "the protocol is neither tcp nor udp",
		"::80:80": "no address", "::1:80:80": "no address", "[127.0.0.1]:80:80": "no address", "[fe80::1%eth0]:80:80": "no address", "host:80:80": "no address",
	} {
		_, err := ParsePort(in)
		if want := fmt.Sprintf("port %q: %s, want [[IP:]HOST:]CONTAINER[/udp]", in, what); err == nil || err.Error() != want {
			t.Errorf("error = %v\nwant    %s", err, want)
		}
	}
}

func FuzzParsePort(f *testing.F) {
	for _, s := range []string{"80", "127.0.0.1:8080:80/udp", "[::1]::80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePort(s)
		if err != nil {
			return
		}
		if again, err := ParsePort(p.String()); err != nil || again != p {
			t.Errorf("%q is %+v, but %q is %+v, %v", s, p, p, again, err)
		}
	})
}

func TestParseListRefuses(t *testing.T) {
	for in, want := range map[string]string{
		`{"cniVersion":"0.2.0","name":"x","plugins":[{"type":"a"}]}`:                         `cniVersion "0.2.0": there are 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0`,
		`{"cniVersion":"1.0.0","name":"../x","plugins":[{"type":"a"}]}`:                      `name "../x": want letters, digits, and after the first also -, _ and dots`,
		`{"cniVersion":"1.0.0","name":"x","plugins":[]}`:                                     `plugins: there are none`,
		`{"cniVersion":"1.0.0","name":"x","plugins":[{}]}`:                                   `plugins[0]: type "", ipam.type "": no names of programs`,
		`{"cniVersion":"1.0.0","name":"x","plugins":[{"type":"/bin/sh"}]}`:                   `plugins[0]: type "/bin/sh", ipam.type "": no names of programs`,
		`{"cniVersion":"1.0.0","name":"x","plugins":[{"type":"a","ipam":{"type":"../sh"}}]}`: `plugins[0]: type "a", ipam.type "../sh": no names of programs`,
	} {
		if _, err := parseList([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("%s:\nerror = %v\nwant    %s", in, err, want)
		}
	}
}

func FuzzParseList(f *testing.F) {
	f.Add([]byte(`{"cniVersion":"1.0.0","name":"x","plugins":[{"type":"a","capabilities":{"portMappings":true},"ipam":{"type":"b"}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := parseList(raw)
		if err != nil {
			return
		}
		for _, p := range l.plugins {
			if _, err := l.request(p, []portMapping{{HostPort: 1}}, []byte("{}")); err != nil {
				t.Error(err)
			}
			if strings.Contains(p.kind, "/") {
				t.Errorf("plugin %q", p.kind)
			}
		}
	})
}

func TestParseResult(t *testing.T) {
	const text = `{"cniVersion":"0.4.0","interfaces":[{"name":"berth0"},{"name":"eth0","sandbox":"/run/netns/x"}],
		"ips":[{"version":"4","address":"10.1.0.1/16","interface":0},{"version":"4","address":"10.1.0.2/16","interface":1},{"address":"fd00::2/64"}],
		"dns":{"nameservers":["10.1.0.1"],"search":["a.example"],"options":["ndots:2"]}}`
	got, err := parseResult([]byte(text))
	want := result{
		addresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.2/16"), netip.MustParsePrefix("fd00::2/64")},
		dns:       DNS{Servers: []string{"10.1.0.1"}, Search: []string{"a.example"}, Options: []string{"ndots:2"}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("result = %+v, %v, want %+v", got, err, want)
	}
}

func FuzzParseResult(f *testing.F) {
	f.Add([]byte(`{"ips":[{"address":"10.1.0.2/16","interface":0}],"interfaces":[{"sandbox":"x"}],"dns":{"nameservers":["::1"]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := parseResult(raw)
		if err != nil {
			return
		}
		for l := range strings.Lines(string(r.dns.resolvConf())) {
			if word, _, _ := strings.Cut(l, " "); !slices.Contains([]string{"search", "options", "nameserver"}, word) {
				t.Errorf("line %q", l)
			}
		}
	})
}

func TestHostsDNS(t *testing.T) {
	const text = "# c\ndomain old\nsearch a.example b.example\nnameserver 127.0.0.53\nnameserver ::1\nnameserver fe80::1%eth0\n" +
		"nameserver 169.254.169.253\n nameserver 9.9.9.9 x\nnameserver\nnameserver x\noptions edns0\noptions ndots:2\n"
	const want = "search a.example b.example\noptions edns0 ndots:2\nnameserver 169.254.169.253\nnameserver 9.9.9.9\n"
	if got := string(parseDNS([]byte(text)).resolvConf()); got != want {
		t.Errorf("resolv.conf:\n%swant:\n%s", got, want)
	}
	given := DNS{Servers: []string{"1.1.1.1"}}
	nothing := DNS{Servers: []string{}, Search: []string{}, Options: []string{}} // flags that were not given
	if got := string(nothing.or(parseDNS([]byte(text))).resolvConf()); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := string(given.or(parseDNS([]byte(text))).resolvConf()); got != "search a.example b.example\noptions edns0 ndots:2\nnameserver 1.1.1.1\n" {
		t.Errorf("resolv.conf:\n%s", got)
	}
}
