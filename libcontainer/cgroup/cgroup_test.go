// SPDX-License-Identifier: Apache-2.0

package cgroup_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/cgroup"
	"berth/libcontainer/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/<name>.golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\ngot:\n%s\nwant:\n%s", name, got, want)
	}
}

func v1(controllers ...string) cgroup.Hierarchy {
	name := strings.TrimPrefix(strings.Join(controllers, ","), "name=")
	return cgroup.Hierarchy{Controllers: controllers, Mountpoint: "/sys/fs/cgroup/" + name, Root: "/"}
}

// hosts are invented facts of the kinds of host there are.
func hosts() map[string]cgroup.Facts {
	return map[string]cgroup.Facts{
		"v1": {
			Hierarchies: []cgroup.Hierarchy{
				v1("cpu", "cpuacct"), v1("cpuset"), v1("memory"), v1("devices"), v1("freezer"), v1("blkio"),
				v1("pids"), v1("hugetlb"), v1("net_cls", "net_prio"), v1("rdma"), v1("name=systemd"),
			},
			Own: map[string]string{"memory": "/user/me", "cpu,cpuacct": "/"},
		},
		"hybrid": {
			Hierarchies:   []cgroup.Hierarchy{v1("cpu"), v1("cpuset"), v1("memory"), v1("devices"), v1("freezer"), v1("blkio"), v1("pids")},
			V2Mount:       "/sys/fs/cgroup/unified",
			V2Root:        "/",
			V2Controllers: []string{"hugetlb", "rdma"},
			Own:           map[string]string{"": "/", "memory": "/user/me"},
		},
		"v2": {
			Unified:       true,
			V2Mount:       "/sys/fs/cgroup",
			V2Root:        "/",
			V2Controllers: []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"},
			Own:           map[string]string{"": "/user.slice/session-1.scope"},
		},
		"nested": { // a container without cgroup namespace sees a bound subtree
			Hierarchies: []cgroup.Hierarchy{{Controllers: []string{"memory"}, Mountpoint: "/sys/fs/cgroup/memory", Root: "/docker/abc"}},
			Own:         map[string]string{"memory": "/docker/abc/inner"},
		},
	}
}

func TestResolve(t *testing.T) {
	for host, facts := range hosts() {
		var b strings.Builder
		for _, path := range []string{"", "/engine/web", "engine/web", "/a//b/./c/"} {
			p, err := cgroup.Resolve(config.Cgroup{Driver: config.CgroupFS, Path: path}, "web", false, facts)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%q\n", path)
			for _, d := range p.V1 {
				fmt.Fprintf(&b, "  %s: %s\n", strings.Join(d.Controllers, ","), d.Path)
			}
			if p.V2 != nil {
				fmt.Fprintf(&b, "  v2: %s\n", p.V2.Path)
			}
		}
		golden(t, "resolve-"+host, b.String())
	}
}

func TestResolveRefuses(t *testing.T) {
	facts := hosts()["v1"]
	for _, path := range []string{"/", ".", "..", "/..", "../x", "/a/../../b", "a/..", "//", "/./", "a\nb"} {
		p, err := cgroup.Resolve(config.Cgroup{Path: path}, "web", false, facts)
		if err == nil || !strings.HasPrefix(err.Error(), "linux.cgroupsPath: ") {
			t.Errorf("path %q: got %v, %v, want an error about linux.cgroupsPath", path, p.V1, err)
		}
	}
	if p, err := cgroup.Resolve(config.Cgroup{Driver: config.CgroupDisabled}, "web", false, facts); err != nil || !p.Empty() {
		t.Errorf("disabled: got %v, %v, want no paths", p, err)
	}
}

func TestPathsSurviveJSON(t *testing.T) {
	for host, facts := range hosts() {
		want, err := cgroup.Resolve(config.Cgroup{}, "web", true, facts)
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got cgroup.Paths
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", host, got, want)
		}
	}
}

func resources(t *testing.T, s string) *specs.LinuxResources {
	t.Helper()
	var r specs.LinuxResources
	if err := json.Unmarshal([]byte(s), &r); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return &r
}

// limitSets are resources, by the name of their golden files.
var limitSets = map[string]string{
	"none":    `{}`,
	"memory":  `{"memory":{"limit":1048576,"reservation":524288,"swap":2097152,"swappiness":60,"disableOOMKiller":true,"checkBeforeUpdate":true}}`,
	"nolimit": `{"memory":{"limit":-1},"pids":{"limit":0},"cpu":{"quota":-1}}`,
	"noswap":  `{"memory":{"limit":1048576,"swap":1048576,"kernel":1}}`,
	"cpu":     `{"cpu":{"shares":512,"quota":50000,"period":100000,"burst":10000,"cpus":"0-1","mems":"0","realtimeRuntime":1000,"realtimePeriod":1000000}}`,
	"idle":    `{"cpu":{"shares":512,"idle":1,"period":50000}}`,
	"blockio": `{"blockIO":{"weight":500,"weightDevice":[{"major":8,"minor":0,"weight":300}],
		"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1000}],"throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":0}],
		"throttleReadIOPSDevice":[{"major":8,"minor":16,"rate":30}],"throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":40}]}}`,
	"hugetlb": `{"hugepageLimits":[{"pageSize":"2MB","limit":9437184}],"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10000}},"pids":{"limit":1024}}`,
	"docker": `{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":5,"access":"rwm"},
		{"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":9,"access":"rwm"},
		{"allow":true,"type":"c","major":1,"minor":8,"access":"rwm"},{"allow":true,"type":"c","major":5,"minor":0,"access":"rwm"},
		{"allow":true,"type":"c","major":5,"minor":1,"access":"rwm"},{"allow":false,"type":"c","major":10,"minor":229,"access":"rwm"}],
		"memory":{"disableOOMKiller":false},"cpu":{"shares":0},"blockIO":{"weight":0}}`,
	"privileged": `{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"a","access":"rwm"},{"allow":false,"type":"b","major":8,"access":"w"}]}`,
}

func TestCompile(t *testing.T) {
	facts := hosts()
	for name, s := range limitSets {
		r := resources(t, s)
		var b strings.Builder
		for _, host := range []string{"v1", "hybrid", "v2"} {
			limits, err := cgroup.Compile(r, facts[host])
			fmt.Fprintf(&b, "== %s\n%s%s", host, devicesOf(name, limits), limits.Writes)
			for _, w := range limits.Warnings {
				fmt.Fprintf(&b, "warning: %s\n", w)
			}
			if err != nil {
				fmt.Fprintf(&b, "error: %v\n", err)
			}
		}
		golden(t, "compile-"+name, b.String())
	}
}

// devicesOf leaves out the default device rules where they are not the matter.
func devicesOf(name string, l cgroup.Limits) string {
	if name == "none" || name == "docker" || name == "privileged" {
		return l.Devices.String()
	}
	return ""
}

func TestCompileUnified(t *testing.T) {
	facts := hosts()
	limits, err := cgroup.Compile(resources(t, `{"unified":{"memory.high":" 1000\n","io.max":"8:0 rbps=1\n8:16 rbps=2","cgroup.max.depth":"3"}}`), facts["v2"])
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "compile-unified", limits.Writes.String())
	if _, err := cgroup.Compile(resources(t, `{"unified":{"memory.high":"1"}}`), facts["hybrid"]); !errors.Is(err, cgroup.ErrNoUnified) {
		t.Errorf("hybrid: got %v, want %v", err, cgroup.ErrNoUnified)
	}
}

func TestCompileRefuses(t *testing.T) {
	facts := hosts()
	for _, c := range []struct{ host, resources, want string }{
		{"v2", `{"memory":{"swap":1000}}`, "linux.resources.memory.swap: unable to set swap limit without memory limit"},
		{"v2", `{"memory":{"limit":2000,"swap":1000}}`, "linux.resources.memory.swap: memory+swap limit should be >= memory limit"},
		{"v1", `{"memory":{"limit":2000,"swap":1000}}`, "linux.resources.memory.swap: memory+swap limit should be >= memory limit"},
		{"v1", `{"memory":{"limit":-2}}`, "linux.resources.memory.limit: invalid value -2: must be -1 or more"},
		{"v1", `{"memory":{"swappiness":101}}`, "linux.resources.memory.swappiness: invalid memory swappiness value: 101 (valid range is 0-100)"},
		{"v1", `{"cpu":{"shares":1}}`, "linux.resources.cpu.shares: the minimum allowed cpu-shares is 2"},
		{"v1", `{"cpu":{"shares":262145}}`, "linux.resources.cpu.shares: the maximum allowed cpu-shares is 262144"},
		{"v2", `{"cpu":{"idle":2}}`, "linux.resources.cpu.idle: invalid value 2: must be 0 or 1"},
		{"v2", `{"cpu":{"quota":1000,"burst":2000}}`, "linux.resources.cpu.burst: burst 2000 is larger than the quota 1000"},
		{"v1", `{"cpu":{"cpus":"one"}}`, `linux.resources.cpu.cpus: invalid list "one"`},
		{"v1", `{"hugepageLimits":[{"pageSize":"2M","limit":1}]}`, `linux.resources.hugepageLimits[0].pageSize: invalid page size "2M": must be like 64KB, 2MB or 1GB`},
		{"v2", `{"hugepageLimits":[{"pageSize":"../2MB","limit":1}]}`, `linux.resources.hugepageLimits[0].pageSize: invalid page size "../2MB": must be like 64KB, 2MB or 1GB`},
		{"v1", `{"devices":[{"allow":true,"type":"x"}]}`, `linux.resources.devices[0].type: invalid device type "x"`},
		{"v1", `{"devices":[{"allow":true,"type":"c","access":"rx"}]}`, `linux.resources.devices[0].access: invalid access "rx"`},
		{"v1", `{"devices":[{"allow":true,"type":"c","major":10,"access":"rw"},{"allow":false,"type":"c","major":10,"minor":5,"access":"w"}]}`,
			`linux.resources.devices[1]: cgroup v1 cannot deny "c 10:5 w", a part of the allowed "c 10:* rw"`},
		{"v2", `{"unified":{"../x":"1"}}`, `linux.resources.unified[../x]: unified resource "../x" must be a file name (no slashes)`},
		{"v2", `{"unified":{"x":"1"}}`, `linux.resources.unified[x]: unified resource "x" must be in the form CONTROLLER.PARAMETER`},
		{"v2", `{"unified":{"net.x":"1"}}`, `linux.resources.unified[net.x]: unified resource "net.x" can't be set: controller "net" not available`},
		{"nested", `{"pids":{"limit":5}}`, "linux.resources.pids.limit: cannot set pids limit: no mounted cgroup hierarchy has the pids controller"},
		{"v1", `{"blockIO":{"throttleReadBpsDevice":[{"major":-8,"minor":0,"rate":1}]}}`, "linux.resources.blockIO.throttleReadBpsDevice[0]: invalid device number -8:0"},
	} {
		if _, err := cgroup.Compile(resources(t, c.resources), facts[c.host]); err == nil || err.Error() != c.want {
			t.Errorf("%s %s: got %v, want %s", c.host, c.resources, err, c.want)
		}
	}
}

func TestMountPlan(t *testing.T) {
	var b strings.Builder
	for _, host := range []string{"v1", "hybrid", "v2"} {
		facts := hosts()[host]
		p, err := cgroup.Resolve(config.Cgroup{Path: "/web"}, "web", false, facts)
		if err != nil {
			t.Fatal(err)
		}
		for _, denied := range []bool{false, true} {
			fmt.Fprintf(&b, "== %s, denied %t\n", host, denied)
			for _, h := range facts.MountPlan(p, func(cgroup.Dir) bool { return denied }) {
				fmt.Fprintf(&b, "%s <- %s links=%v options=%q v2=%v\n", h.Name, h.Source, h.Links, h.Options, h.V2)
			}
		}
	}
	golden(t, "mountplan", b.String())
}
