// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// hosts are the versions between which something changed.
func hosts(t *testing.T) map[string]Host {
	t.Helper()
	devices, err := os.ReadFile("testdata/proc-devices")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]Host{
		"v1-239": {Version: 239, ProcDevices: string(devices)},
		"v1-241": {Version: 241},
		"v1-252": {Version: 252},
		"v2-241": {V2: true, Version: 241},
		"v2-252": {V2: true, Version: 252},
		"v2-257": {V2: true, Version: 257},
	}
}

func resources() map[string]*specs.LinuxResources {
	return map[string]*specs.LinuxResources{
		"all": {
			Memory:  &specs.LinuxMemory{Limit: new(int64(512 << 20)), Reservation: new(int64(128 << 20)), Swap: new(int64(768 << 20))},
			CPU:     &specs.LinuxCPU{Shares: new(uint64(1024)), Quota: new(int64(33333)), Period: new(uint64(100000)), Cpus: "0-3,9", Mems: "0"},
			Pids:    &specs.LinuxPids{Limit: new(int64(100))},
			BlockIO: &specs.LinuxBlockIO{Weight: new(uint16(500))},
		},
		"unlimited": {
			Memory: &specs.LinuxMemory{Limit: new(int64(-1)), Reservation: new(int64(-1))},
			CPU:    &specs.LinuxCPU{Quota: new(int64(-1))},
			Pids:   &specs.LinuxPids{Limit: new(int64(-1))},
		},
		"edges": {
			Memory:  &specs.LinuxMemory{Limit: new(int64(1 << 20)), Swap: new(int64(1 << 20))}, // no swap at all
			CPU:     &specs.LinuxCPU{Shares: new(uint64(1024)), Idle: new(int64(1)), Quota: new(int64(1000)), Period: new(uint64(1000000))},
			Pids:    &specs.LinuxPids{Limit: new(int64(0))},
			BlockIO: &specs.LinuxBlockIO{Weight: new(uint16(5))},
		},
		"period": {CPU: &specs.LinuxCPU{Period: new(uint64(50000))}},
		"unset":  {Memory: &specs.LinuxMemory{}, CPU: &specs.LinuxCPU{Shares: new(uint64(0))}, Pids: &specs.LinuxPids{}, BlockIO: &specs.LinuxBlockIO{}},
		"unified": {
			CPU: &specs.LinuxCPU{Shares: new(uint64(512)), Period: new(uint64(50000))},
			Unified: map[string]string{
				"memory.high": "900M", "memory.low": "0", "memory.max": "1G\n", "memory.min": "4096", "memory.swap.max": "max", "memory.oom.group": "1",
				"cpu.weight": "200", "cpu.max": "25000", "cpuset.cpus": "1,3-4", "cpuset.mems": "0-1", "pids.max": "0", "hugetlb.2MB.max": "0",
			},
		},
		"unified-idle": {Unified: map[string]string{"cpu.idle": "1", "cpu.weight": "200", "cpu.max": "max 20000", "memory.oom.group": "0", "pids.max": "max"}},
	}
}

func TestResources(t *testing.T) {
	for host, h := range hosts(t) {
		if host == "v1-239" {
			continue // it differs in devices only
		}
		var b strings.Builder
		all := resources()
		for _, name := range []string{"all", "unlimited", "edges", "period", "unset", "unified", "unified-idle"} {
			fmt.Fprintf(&b, "== %s\n", name)
			p, warnings, err := Resources(all[name], h)
			b.WriteString(p.String())
			for _, w := range warnings {
				fmt.Fprintf(&b, "warning: %s\n", w)
			}
			if err != nil {
				fmt.Fprintf(&b, "error: %v\n", err)
			}
		}
		golden(t, "resources-"+host, b.String())
	}
}

func TestResourcesRefuses(t *testing.T) {
	for _, c := range []struct {
		r    specs.LinuxResources
		v2   bool
		want string
	}{
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: new(int64(-2))}}, false, "linux.resources.memory.limit: invalid value -2: must be -1 or more"},
		{specs.LinuxResources{Memory: &specs.LinuxMemory{Swap: new(int64(5))}}, true, "linux.resources.memory.swap: unable to set swap limit without memory limit"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: new(uint64(1))}}, false, "linux.resources.cpu.shares: the minimum allowed cpu-shares is 2"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: new(uint64(262145))}}, false, "linux.resources.cpu.shares: the maximum allowed cpu-shares is 262144"},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "3-1"}}, true, `linux.resources.cpu.cpus: invalid list "3-1": not a range: "3-1"`},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Mems: ","}}, true, `linux.resources.cpu.mems: invalid list ",": it is empty`},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0-4294967295"}}, true, `linux.resources.cpu.cpus: invalid list "0-4294967295": not a number up to 65535: "4294967295"`},
		{specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "x"}}, true, `linux.resources.cpu.cpus: invalid list "x"`},
		{specs.LinuxResources{Unified: map[string]string{"a.b": ""}}, false, "linux.resources.unified: invalid configuration: cannot use unified on cgroup v1"},
		{specs.LinuxResources{Unified: map[string]string{"a/b.c": ""}}, true, `linux.resources.unified[a/b.c]: unified resource "a/b.c" must be a file name (no slashes)`},
		{specs.LinuxResources{Unified: map[string]string{"ab": ""}}, true, `linux.resources.unified[ab]: unified resource "ab" must be in the form CONTROLLER.PARAMETER`},
		{specs.LinuxResources{Unified: map[string]string{"memory.max": "x"}}, true, `linux.resources.unified[memory.max]: invalid number "x"`},
		{specs.LinuxResources{Unified: map[string]string{"memory.max": "99999999E"}}, true, `linux.resources.unified[memory.max]: invalid number "99999999E"`},
		{specs.LinuxResources{Unified: map[string]string{"cpu.weight": "0"}}, true, `linux.resources.unified[cpu.weight]: invalid weight "0": must be 1 to 10000`},
		{specs.LinuxResources{Unified: map[string]string{"cpu.max": "a b c"}}, true, `linux.resources.unified[cpu.max]: invalid value "a b c": must be "QUOTA [PERIOD]"`},
		{specs.LinuxResources{Unified: map[string]string{"cpu.max": "a"}}, true, `linux.resources.unified[cpu.max]: invalid quota "a"`},
		{specs.LinuxResources{Unified: map[string]string{"cpu.max": "1 0"}}, true, `linux.resources.unified[cpu.max]: invalid period "0"`},
		{specs.LinuxResources{Unified: map[string]string{"memory.oom.group": "2"}}, true, `linux.resources.unified[memory.oom.group]: invalid value "2": must be 0 or 1`},
	} {
		p, _, err := Resources(&c.r, Host{V2: c.v2, Version: 257})
		if err == nil || err.Error() != c.want || p != nil {
			t.Errorf("got %v and\n%v, want\n%s", p, err, c.want)
		}
	}
}

func TestQuotaPerSecond(t *testing.T) {
	for _, c := range []struct{ quota, period, want uint64 }{
		{100000, 100000, 1000000},
		{33333, 100000, 340000}, // 333330 µs
		{10000, 1000000, 10000},
		{10001, 1000000, 20000},
		{1, 1000000, 10000}, // 0 % would be no limit
		{1<<63 - 1, 1, infinity},
		{1<<63 - 1, 1000000, 9223372036854780000},
	} {
		if got := perSecondOf(c.quota, c.period); got != c.want {
			t.Errorf("%d in %d is %d, want %d", c.quota, c.period, got, c.want)
		}
	}
}

func TestBitmap(t *testing.T) {
	for list, want := range map[string]string{
		"0":          "0x01",
		"1,3-5":      "0x3a",
		"0-3,9":      "0x0f02",
		" 0 , 2-3,,": "0x0d",
		"64":         "0x000000000000000001",
		"0-15:2/8":   "0x0303",
		"1-1":        "0x02",
	} {
		got, err := bitmap(list)
		if err != nil || fmt.Sprintf("%#x", got) != want {
			t.Errorf("bitmap(%q) = %#x, %v, want %s", list, got, err, want)
		}
	}
	for _, list := range []string{"", "-1", "1-", "a", "0-3:2", "0-3:3/2", "0-3:0/0", "2-1", "65536", "0-3:0/2"} {
		if got, err := bitmap(list); err == nil {
			t.Errorf("bitmap(%q) = %#x", list, got)
		}
	}
}

func rule(allow bool, kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
	d := specs.LinuxDeviceCgroup{Allow: allow, Type: kind, Access: access}
	if major >= 0 {
		d.Major = &major
	}
	if minor >= 0 {
		d.Minor = &minor
	}
	return d
}

func TestDevices(t *testing.T) {
	deny := rule(false, "", -1, -1, "rwm")
	for host, h := range hosts(t) {
		if h.Version == 252 || host == "v2-241" {
			continue // as the others of its kind
		}
		var b strings.Builder
		for _, c := range []struct {
			name  string
			rules []specs.LinuxDeviceCgroup
		}{
			{"default", nil},
			{"docker", []specs.LinuxDeviceCgroup{deny, rule(true, "b", 8, 0, "r"), rule(true, "c", 10, 229, "rwm"), rule(true, "c", 4, -1, "rw")}},
			{"privileged", []specs.LinuxDeviceCgroup{rule(true, "a", -1, -1, "rwm")}},
			{"all but one", []specs.LinuxDeviceCgroup{rule(true, "a", -1, -1, "rwm"), rule(false, "b", 8, 0, "w")}},
			{"hole", []specs.LinuxDeviceCgroup{deny, rule(true, "c", 4, -1, "rwm"), rule(false, "c", 4, 1, "rwm")}},
			{"minor of all", []specs.LinuxDeviceCgroup{deny, rule(true, "c", -1, 5, "rwm")}},
			{"major without driver", []specs.LinuxDeviceCgroup{deny, rule(true, "b", 77, -1, "rwm")}},
			{"wrong", []specs.LinuxDeviceCgroup{deny, rule(true, "x", 1, 1, "rwm")}},
		} {
			fmt.Fprintf(&b, "== %s\n", c.name)
			p, warnings, err := Devices(&specs.LinuxResources{Devices: c.rules}, h)
			b.WriteString(p.String())
			for _, w := range warnings {
				fmt.Fprintf(&b, "warning: %s\n", w)
			}
			if err != nil {
				fmt.Fprintf(&b, "error: %v\n", err)
			}
			for _, x := range p {
				if s := x.Value.Signature().String(); x.Name == "DeviceAllow" && s != "a(ss)" {
					t.Errorf("DeviceAllow is %s", s)
				}
			}
		}
		golden(t, "devices-"+host, b.String())
	}
}

func TestRequest(t *testing.T) {
	all := resources()
	for name, q := range map[string]Request{
		"scope": {
			Unit: Unit{Name: "berth-web.scope", Slice: "system.slice"}, ID: "web", PID: 4711, Resources: all["unified"],
			Annotations: map[string]string{"org.systemd.property.CollectMode": "'inactive-or-failed'", "org.systemd.property.MemoryMax": "uint64 1"},
		},
		"slice": {Unit: Unit{Name: "a-b.slice", Slice: "a.slice"}, ID: "web", PID: 4711, Resources: all["unified-idle"]},
		"bare":  {Unit: Unit{Name: "berth-web.scope", Slice: "system.slice"}, ID: "web", PID: 4711},
	} {
		p, warnings, err := q.Properties(Host{V2: true, Version: 257})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		golden(t, "request-"+name, p.String()+strings.Join(append(warnings, ""), "\n"))
	}
	p := Base(Unit{Name: "a.scope", Slice: "b.slice"}, "web", 0, false)
	golden(t, "base-v1", p.String())
}

func TestRequestRefuses(t *testing.T) {
	for want, q := range map[string]Request{
		`annotation org.systemd.property.No: incorrect property name: it must have 3 letters or more`: {
			Annotations: map[string]string{"org.systemd.property.No": "1"}},
		`linux.resources.cpu.quota: invalid value -5: must be -1 or more`: {
			Resources: &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: new(int64(-5))}}},
		`linux.resources.devices[0].access: invalid access "z"`: {
			Resources: &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{rule(true, "c", 1, 1, "z")}}},
	} {
		if p, _, err := q.Properties(Host{V2: true, Version: 257}); err == nil || err.Error() != want || p != nil {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestChangeable(t *testing.T) {
	p := Properties{{Name: "OOMPolicy", Value: dbus.MakeVariant("kill")}, {Name: "TasksMax", Value: dbus.MakeVariant(uint64(1))}}
	if got := p.Changeable(); len(got) != 1 || got[0].Name != "TasksMax" || len(p) != 2 {
		t.Errorf("Changeable = %v of %v", got, p)
	}
}

func TestAnnotations(t *testing.T) {
	p, err := Annotations(map[string]string{
		"org.opencontainers.image.title":            "no property",
		"org.systemd.property.CollectMode":          "'inactive-or-failed'",
		"org.systemd.property.TimeoutStopUSec":      "uint64 123456789",
		"org.systemd.property.TimeoutStopSec":       "2",
		"org.systemd.property.RuntimeMaxSec":        "1.5",
		"org.systemd.property.TasksMax":             "uint64 5",
		"org.systemd.property.After":                "['a.service', 'b.service']",
		"org.systemd.property.Delegate":             "false",
		"org.systemd.property.AllowedCPUs":          "[byte 15]",
		"org.systemd.property.WatchdogSec":          "byte 3",
		"org.systemd.property.JobTimeoutSec":        "uint64 18446744073709",
		"org.systemd.property.JobRunningTimeoutSec": "int16 7",
		"org.systemd.property.Sec":                  "1",
	})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "annotations", p.String())
}

func TestAnnotationsRefuses(t *testing.T) {
	const prefix = "annotation org.systemd.property."
	for _, c := range []struct{ name, value, want string }{
		{"", "1", ": incorrect property name: it must have 3 letters or more"},
		{"Ab", "1", "Ab: incorrect property name: it must have 3 letters or more"},
		{"Foo2", "1", "Foo2: incorrect property name: '2' is not a letter"},
		{"Foo.Bar", "1", "Foo.Bar: incorrect property name: '.' is not a letter"},
		{"Füo", "1", "Füo: incorrect property name: 'Ã' is not a letter"},
		{"FooSec", "'1'", `FooSec: cannot use the value "'1'": it is not a number`},
		{"FooSec", "-1", `FooSec: cannot use the value "-1": it is not a time in seconds`},
		{"FooSec", "-0.5", `FooSec: cannot use the value "-0.5": it is not a time in seconds`},
		{"FooSec", "1e300", `FooSec: cannot use the value "1e300": it is not a time in seconds`},
		{"FooSec", "uint64 18446744073710", `FooSec: cannot use the value "uint64 18446744073710": it is not a time in seconds`},
	} {
		p, err := Annotations(map[string]string{AnnotationPrefix + c.name: c.value})
		if err == nil || err.Error() != prefix+c.want || p != nil {
			t.Errorf("got %v, want %s", err, prefix+c.want)
		}
	}
	for _, value := range []string{"", "unquoted", "[1, 'a']", "'", "uint64", strings.Repeat("[", 200) + "1" + strings.Repeat("]", 200), strings.Repeat("1", 1<<17)} {
		_, err := Annotations(map[string]string{AnnotationPrefix + "Foo": value})
		if err == nil || !strings.HasPrefix(err.Error(), prefix+"Foo: cannot parse the value ") {
			t.Errorf("%.20q: %v", value, err)
		}
	}
}

// FuzzAnnotations: no value makes the parser panic, and what comes out can be
// sent and printed.
func FuzzAnnotations(f *testing.F) {
	for _, s := range []string{"1", "'a'", "uint64 5", "[1, 2]", "{'a': <1>}", "('a', true)", "@as []", "b'ab'", "1.5", `"\u00e4"`, "<<<1>>>", "@a(ss) []", "nothing", "@ms nothing", "[byte 1]", "objectpath '/a'"} {
		f.Add("Foo", s)
		f.Add("FooSec", s)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		p, err := Annotations(map[string]string{AnnotationPrefix + name: value})
		if err != nil {
			return
		}
		if len(p) != 1 || p[0].Name == "" {
			t.Fatalf("got %v", p)
		}
		_ = p.String()
		m := dbus.Message{Type: dbus.TypeMethodCall, Body: []any{wire(p)}, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath: dbus.MakeVariant(managerPath), dbus.FieldMember: dbus.MakeVariant("A"),
			dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(wire(p))),
		}}
		_ = m.IsValid() // an error is fine, a panic is not
	})
}
