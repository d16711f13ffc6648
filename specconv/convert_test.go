// SPDX-License-Identifier: Apache-2.0

package specconv

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/config"
)

// minimalConfig is a config with all that must be set, and the namespaces that most
// sections ask for.
const minimalConfig = `{
	"ociVersion": "1.3.0",
	"root": {"path": "rootfs"},
	"process": {"args": ["sh"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
	"linux": {"namespaces": [{"type": "mount"}, {"type": "uts"}, {"type": "ipc"}, {"type": "network"}, {"type": "pid"}]}
}`

// patched returns minimalConfig with a JSON merge patch (RFC 7396).
func patched(t testing.TB, patch string) *specs.Spec {
	t.Helper()
	var base, change map[string]any
	if err := json.Unmarshal([]byte(minimalConfig), &base); err != nil {
		t.Fatal(err)
	}
	if patch != "" {
		if err := json.Unmarshal([]byte(patch), &change); err != nil {
			t.Fatalf("patch %s: %v", patch, err)
		}
	}
	mergeInto(base, change)
	data, err := json.Marshal(base)
	if err != nil {
		t.Fatal(err)
	}
	var s specs.Spec
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatalf("patch %s: %v", patch, err)
	}
	return &s
}

func mergeInto(into, change map[string]any) {
	for key, value := range change {
		if value == nil {
			delete(into, key)
			continue
		}
		object, ok := value.(map[string]any)
		old, ok2 := into[key].(map[string]any)
		if ok && ok2 {
			mergeInto(old, object)
			continue
		}
		into[key] = value
	}
}

var testOptions = Options{ID: "test", Bundle: "/bundle"}

func TestConvertMinimal(t *testing.T) {
	out, warnings, err := Convert(patched(t, ""), testOptions)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("got warnings %q, error %v", warnings, err)
	}
	if out.Rootfs != "/bundle/rootfs" {
		t.Errorf("Rootfs is %q", out.Rootfs)
	}
	if len(out.Namespaces) != 5 {
		t.Errorf("Namespaces are %v", out.Namespaces)
	}
	if len(out.Devices) != len(defaultDevices) {
		t.Errorf("Devices are %v", out.Devices)
	}
	if out.Process == nil || out.Process.Umask != 0o022 {
		t.Errorf("Process is %+v", out.Process)
	}
	if out.Cgroup.Driver != config.CgroupFS {
		t.Errorf("Cgroup.Driver is %v", out.Cgroup.Driver)
	}
}

func TestConvertExamples(t *testing.T) {
	rootless := testOptions
	rootless.Rootless = true
	for name, c := range map[string]struct {
		spec *specs.Spec
		o    Options
	}{
		"privileged": {Example(), testOptions},
		"rootless":   {ExampleRootless(1000, 1000), rootless},
	} {
		if _, warnings, err := Convert(c.spec, c.o); err != nil || len(warnings) > 0 {
			t.Errorf("%s: got warnings %q, error %v", name, warnings, err)
		}
	}
}

// TestConvertNoLinux: the section may be missing, and the caller's config
// stays as it is.
func TestConvertNoLinux(t *testing.T) {
	s := patched(t, `{"linux": null}`)
	if _, _, err := Convert(s, testOptions); err != nil {
		t.Fatal(err)
	}
	if s.Linux != nil {
		t.Error("the caller's config was changed")
	}
}

const (
	userNS   = `"namespaces": [{"type": "mount"}, {"type": "user"}]`
	goodMaps = `"uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}], "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}]`
	noNS     = `"namespaces": []`
	bindA    = `"destination": "/a", "source": "/b", "type": "bind"`
	oneMap   = `[{"containerID": 0, "hostID": 1000, "size": 1}]`
)

func asRootless(o *Options) { o.Rootless = true }
func asSystemd(o *Options)  { o.CgroupDriver = config.CgroupSystemd }
func asNoPivot(o *Options)  { o.NoPivot = true }

func TestConvertRefusesFields(t *testing.T) {
	manyMaps := strings.TrimSuffix(strings.Repeat(`{"containerID": 0, "hostID": 0, "size": 1},`, 341), ",")
	long := strings.Repeat("x", 65)
	for _, c := range []struct {
		name, patch, want string
		option            func(*Options)
	}{
		// Version.
		{"version missing", `{"ociVersion": null}`, `ociVersion: must be set`, nil},
		{"version a word", `{"ociVersion": "new"}`, `ociVersion: "new" is not a version like 1.3.0`, nil},
		{"version short", `{"ociVersion": "1.3"}`, `ociVersion: "1.3" is not a version like 1.3.0`, nil},
		{"version minor", `{"ociVersion": "1.x.0"}`, `ociVersion: "1.x.0" is not a version like 1.3.0`, nil},
		{"version major 2", `{"ociVersion": "2.0.0"}`, `ociVersion: "2.0.0" is not supported, only 1.x is`, nil},
		{"version major 0", `{"ociVersion": "0.9.0"}`, `ociVersion: "0.9.0" is not supported, only 1.x is`, nil},

		// Root.
		{"root missing", `{"root": null}`, `root.path: must be set`, nil},
		{"root empty", `{"root": {"path": ""}}`, `root.path: must be set`, nil},
		{"root of host", `{"root": {"path": "/"}}`, `root.path: must not be the host's root`, nil},
		{"root of host, unclean", `{"root": {"path": "/a/.."}}`, `root.path: must not be the host's root`, nil},
		{"root of host, relative", `{"root": {"path": "../.."}}`, `root.path: must not be the host's root`, nil},
		{"propagation unknown", `{"linux": {"rootfsPropagation": "wild"}}`, `linux.rootfsPropagation: unknown value "wild"`, nil},
		{"propagation a flag", `{"linux": {"rootfsPropagation": "ro"}}`, `linux.rootfsPropagation: unknown value "ro"`, nil},
		{"propagation private", `{"linux": {"rootfsPropagation": "rprivate"}}`, `linux.rootfsPropagation: private cannot be used with --no-pivot`, asNoPivot},

		// Namespaces.
		{"namespace unknown", `{"linux": {"namespaces": [{"type": "mnt"}]}}`, `linux.namespaces[0].type: unknown namespace "mnt"`, nil},
		{"namespace empty", `{"linux": {"namespaces": [{"type": "pid"}, {}]}}`, `linux.namespaces[1].type: unknown namespace ""`, nil},
		{"namespace twice", `{"linux": {"namespaces": [{"type": "pid"}, {"type": "pid"}]}}`, `linux.namespaces[1].type: malformed spec file: duplicated ns "pid"`, nil},
		{"namespace twice, joined", `{"linux": {"namespaces": [{"type": "pid"}, {"type": "pid", "path": "/a"}]}}`, `linux.namespaces[1].type: malformed spec file: duplicated ns "pid"`, nil},
		{"namespace path", `{"linux": {"namespaces": [{"type": "pid", "path": "a"}]}}`, `linux.namespaces[0].path: "a" is not an absolute path`, nil},

		// Mappings.
		{"mappings without user", `{"linux": {` + goodMaps + `}}`, `linux.uidMappings, linux.gidMappings: given without a user namespace; add one to linux.namespaces`, nil},
		{"user without uids", `{"linux": {` + userNS + `}}`, `linux.uidMappings: a new user namespace needs them`, nil},
		{"user without gids", `{"linux": {` + userNS + `, "uidMappings": ` + oneMap + `}}`, `linux.gidMappings: a new user namespace needs them`, nil},
		{"mapping size", `{"linux": {` + userNS + `, "uidMappings": [{"containerID": 0, "hostID": 0, "size": 0}]}}`, `linux.uidMappings[0].size: must not be 0`, nil},
		{"mapping range", `{"linux": {` + userNS + `, "uidMappings": [{"containerID": 1, "hostID": 0, "size": 4294967295}]}}`, `linux.uidMappings[0]: exceeds the range of ids`, nil},
		{"mapping range of host", `{"linux": {` + userNS + `, "gidMappings": [{"containerID": 0, "hostID": 4294967295, "size": 1}]}}`, `linux.gidMappings[0]: exceeds the range of ids`, nil},
		{"mapping overlap", `{"linux": {` + userNS + `, "uidMappings": [{"containerID": 0, "hostID": 0, "size": 10}, {"containerID": 9, "hostID": 100, "size": 1}]}}`, `linux.uidMappings[1]: overlaps with [0]`, nil},
		{"mapping overlap of host", `{"linux": {` + userNS + `, "gidMappings": [{"containerID": 0, "hostID": 5, "size": 10}, {"containerID": 10, "hostID": 0, "size": 6}]}}`, `linux.gidMappings[1].hostID: overlaps with [0]`, nil},
		{"mappings many", `{"linux": {` + userNS + `, "uidMappings": [` + manyMaps + `]}}`, `linux.uidMappings: 341 lines, the kernel takes 340`, nil},

		// Time offsets.
		{"offsets without time", `{"linux": {"timeOffsets": {"monotonic": {"secs": 1}}}}`, `linux.timeOffsets: need a new time namespace; add one to linux.namespaces`, nil},
		{"offsets of joined time", `{"linux": {"namespaces": [{"type": "time", "path": "/a"}], "timeOffsets": {"monotonic": {"secs": 1}}}}`, `linux.timeOffsets: need a new time namespace; add one to linux.namespaces`, nil},
		{"offsets nanosecs", `{"linux": {"namespaces": [{"type": "time"}], "timeOffsets": {"boottime": {"nanosecs": 1000000000}}}}`, `linux.timeOffsets.boottime.nanosecs: 1000000000 is a second or more`, nil},
		{"offsets clock", `{"linux": {"namespaces": [{"type": "time"}], "timeOffsets": {"monotonic": {"secs": 1}, "realtime": {"secs": 1}}}}`, `linux.timeOffsets: unknown clock "realtime"`, nil},

		// Names.
		{"hostname without uts", `{"hostname": "a", "linux": {` + noNS + `}}`, `hostname: cannot be set without a uts namespace; add one to linux.namespaces`, nil},
		{"domainname without uts", `{"domainname": "a", "linux": {` + noNS + `}}`, `domainname: cannot be set without a uts namespace; add one to linux.namespaces`, nil},
		{"hostname long", `{"hostname": "` + long + `"}`, `hostname: longer than 64 bytes`, nil},
		{"domainname long", `{"domainname": "` + long + `"}`, `domainname: longer than 64 bytes`, nil},

		// Mounts.
		{"mounts without mount namespace", `{"mounts": [{` + bindA + `}], "linux": {` + noNS + `}}`, `mounts: need a mount namespace; add one to linux.namespaces`, asRootless},
		{"mount destination", `{"mounts": [{"source": "/b", "type": "bind"}]}`, `mounts[0].destination: must be set`, nil},
		{"mount on root", `{"mounts": [{` + bindA + `}, {"destination": "/a/..", "source": "/b", "type": "bind"}]}`, `mounts[1].destination: / is the root filesystem itself`, nil},
		{"mount bind source", `{"mounts": [{"destination": "/a", "options": ["rbind"]}]}`, `mounts[0].source: must be set for a bind mount`, nil},
		{"mount type", `{"mounts": [{"destination": "/a", "source": "/b"}]}`, `mounts[0].type: must be set`, nil},
		{"mount tmpcopyup", `{"mounts": [{"destination": "/a", "type": "sysfs", "options": ["tmpcopyup"]}]}`, `mounts[0].options: tmpcopyup is for tmpfs alone`, nil},
		{"mount proc type", `{"mounts": [{"destination": "/proc", "type": "tmpfs"}]}`, `mounts[0].destination: "/proc" cannot be mounted because it is not of type proc (tmpfs)`, nil},
		{"mount proc bind", `{"mounts": [{"destination": "/proc/", "source": "/b", "type": "bind"}]}`, `mounts[0].destination: "/proc" cannot be mounted because it is not of type proc (bind)`, nil},
		{"mount in proc", `{"mounts": [{"destination": "/proc/self/attr", "type": "tmpfs"}]}`, `mounts[0].destination: "/proc/self/attr" cannot be mounted because it is inside /proc`, nil},
		{"mount in proc, relative", `{"mounts": [{"destination": "a/../proc/sys", "type": "tmpfs"}]}`, `mounts[0].destination: "/proc/sys" cannot be mounted because it is inside /proc`, nil},

		// Id-mapped mounts.
		{"idmap remount", `{"mounts": [{` + bindA + `, "options": ["idmap", "remount"]}]}`, `mounts[0].options: a remount cannot be id-mapped`, nil},
		{"idmap not bind", `{"mounts": [{"destination": "/a", "type": "tmpfs", "options": ["ridmap"]}]}`, `mounts[0].options: idmap is for bind mounts alone`, nil},
		{"idmap by mappings, not bind", `{"mounts": [{"destination": "/a", "type": "tmpfs", "uidMappings": ` + oneMap + `}]}`, `mounts[0].options: idmap is for bind mounts alone`, nil},
		{"idmap rootless", `{"mounts": [{` + bindA + `, "options": ["idmap"]}]}`, `mounts[0].options: idmap needs root in the initial user namespace`, asRootless},
		{"idmap without uids", `{"mounts": [{` + bindA + `, "gidMappings": ` + oneMap + `}]}`, `mounts[0].uidMappings: must be given together with gidMappings`, nil},
		{"idmap without gids", `{"mounts": [{` + bindA + `, "uidMappings": ` + oneMap + `}]}`, `mounts[0].gidMappings: must be given together with uidMappings`, nil},
		{"idmap without user", `{"mounts": [{` + bindA + `, "options": ["idmap"]}]}`, `mounts[0].uidMappings: an idmap option without mappings needs a new user namespace, whose mappings it takes`, nil},
		{"idmap size", `{"mounts": [{` + bindA + `, "uidMappings": ` + oneMap + `, "gidMappings": [{"containerID": 0, "hostID": 0, "size": 0}]}]}`, `mounts[0].gidMappings[0].size: must not be 0`, nil},

		// Devices.
		{"device path", `{"linux": {"devices": [{"path": "dev/a", "type": "c"}]}}`, `linux.devices[0].path: "dev/a" is not an absolute path`, nil},
		{"device root", `{"linux": {"devices": [{"path": "/", "type": "c"}]}}`, `linux.devices[0].path: "/" is not an absolute path`, nil},
		{"device type", `{"linux": {"devices": [{"path": "/dev/a", "type": "x"}]}}`, `linux.devices[0].type: unknown type "x", must be c, b, u or p`, nil},
		{"device type cub", `{"linux": {"devices": [{"path": "/dev/a", "type": "cub"}]}}`, `linux.devices[0].type: unknown type "cub", must be c, b, u or p`, nil},
		{"device type a", `{"linux": {"devices": [{"path": "/dev/a", "type": "a"}]}}`, `linux.devices[0].type: unknown type "a", must be c, b, u or p`, nil},
		{"device major", `{"linux": {"devices": [{"path": "/dev/a", "type": "c", "major": 4096}]}}`, `linux.devices[0].major: 4096 is out of range`, nil},
		{"device major negative", `{"linux": {"devices": [{"path": "/dev/a", "type": "b", "major": -1}]}}`, `linux.devices[0].major: -1 is out of range`, nil},
		{"device minor", `{"linux": {"devices": [{"path": "/dev/a", "type": "u", "major": 1, "minor": 1048576}]}}`, `linux.devices[0].minor: 1048576 is out of range`, nil},
		{"device uid", `{"linux": {"devices": [{"path": "/dev/a", "type": "p", "uid": 4294967295}]}}`, `linux.devices[0].uid, gid: 4294967295 is no id`, nil},
		{"device gid", `{"linux": {"devices": [{"path": "/dev/a", "type": "p", "gid": 4294967295}]}}`, `linux.devices[0].uid, gid: 4294967295 is no id`, nil},

		// Network devices.
		{"netdev rootless", `{"linux": {"netDevices": {"eth0": {}}}}`, `linux.netDevices: moving a network device needs root in the initial user namespace`, asRootless},
		{"netdev without network", `{"linux": {` + noNS + `, "netDevices": {"eth0": {}}}}`, `linux.netDevices: need a network namespace; add one to linux.namespaces`, nil},
		{"netdev name", `{"linux": {"netDevices": {"a/b": {}}}}`, `linux.netDevices: invalid network device name "a/b"`, nil},
		{"netdev new name", `{"linux": {"netDevices": {"eth0": {"name": "abcdefghijklmnop"}}}}`, `linux.netDevices: invalid network device name "abcdefghijklmnop"`, nil},
		{"netdev empty", `{"linux": {"netDevices": {"": {"name": "eth0"}}}}`, `linux.netDevices: invalid network device name ""`, nil},
		{"netdev dots", `{"linux": {"netDevices": {"..": {}}}}`, `linux.netDevices: invalid network device name ".."`, nil},
		{"netdev twice", `{"linux": {"netDevices": {"eth0": {}, "eth1": {"name": "eth0"}}}}`, `linux.netDevices: two devices would be called "eth0"`, nil},

		// Paths.
		{"masked without mount", `{"linux": {` + noNS + `, "maskedPaths": ["/a"]}}`, `linux.maskedPaths, linux.readonlyPaths: need a mount namespace; add one to linux.namespaces`, nil},
		{"masked relative", `{"linux": {"maskedPaths": ["/a", "b"]}}`, `linux.maskedPaths[1]: "b" is not an absolute path`, nil},
		{"masked root", `{"linux": {"maskedPaths": ["/a/.."]}}`, `linux.maskedPaths[0]: must not be the root`, nil},
		{"readonly relative", `{"linux": {"readonlyPaths": [""]}}`, `linux.readonlyPaths[0]: "" is not an absolute path`, nil},
		{"readonly root", `{"linux": {"readonlyPaths": ["//"]}}`, `linux.readonlyPaths[0]: must not be the root`, nil},

		// Sysctls.
		{"sysctl key dots", `{"linux": {"sysctl": {"net..a": "1"}}}`, `linux.sysctl: invalid key "net..a"`, nil},
		{"sysctl key up", `{"linux": {"sysctl": {"net/../kernel/panic": "1"}}}`, `linux.sysctl: invalid key "net/../kernel/panic"`, nil},
		{"sysctl key up, dotted", `{"linux": {"sysctl": {"net.//.a": "1"}}}`, `linux.sysctl: invalid key "net.//.a"`, nil},
		{"sysctl key newline", `{"linux": {"sysctl": {"net.a\nb": "1"}}}`, `linux.sysctl: invalid key "net.a\nb"`, nil},
		{"sysctl key empty", `{"linux": {"sysctl": {"": "1"}}}`, `linux.sysctl: invalid key ""`, nil},
		{"sysctl of the host", `{"linux": {"sysctl": {"kernel.panic": "1"}}}`, `linux.sysctl: sysctl "kernel.panic" is not in a separate kernel namespace`, nil},
		{"sysctl hostname", `{"linux": {"sysctl": {"kernel/hostname": "a"}}}`, `linux.sysctl: sysctl "kernel/hostname" is not allowed; use hostname`, nil},
		{"sysctl domainname", `{"domainname": "a", "linux": {"sysctl": {"kernel.domainname": "b"}}}`, `linux.sysctl: "kernel.domainname" contradicts domainname`, nil},
		{"sysctl twice", `{"linux": {"sysctl": {"net.a": "1", "net/a": "2"}}}`, `linux.sysctl: "net/a" is given twice, with dots and with slashes`, nil},

		// Intel RDT.
		{"rdt up", `{"linux": {"intelRdt": {"closID": ".."}}}`, `linux.intelRdt.closID: invalid group name ".."`, nil},
		{"rdt dot", `{"linux": {"intelRdt": {"closID": "."}}}`, `linux.intelRdt.closID: invalid group name "."`, nil},
		{"rdt slash", `{"linux": {"intelRdt": {"closID": "a/b"}}}`, `linux.intelRdt.closID: invalid group name "a/b"`, nil},
		{"rdt newline", `{"linux": {"intelRdt": {"closID": "a\n"}}}`, `linux.intelRdt.closID: invalid group name "a\n"`, nil},

		// Cgroup and resources.
		{"cgroup up", `{"linux": {"cgroupsPath": "/a/../b"}}`, `linux.cgroupsPath: "/a/../b" must not contain ".."`, nil},
		{"cgroup NUL", `{"linux": {"cgroupsPath": "/a\u0000"}}`, `linux.cgroupsPath: "/a\x00" contains a newline or a NUL byte`, nil},
		{"cgroup newline", `{"linux": {"cgroupsPath": "/a\nb"}}`, `linux.cgroupsPath: "/a\nb" contains a newline or a NUL byte`, nil},
		{"cgroup systemd", `{"linux": {"cgroupsPath": "/a"}}`, `linux.cgroupsPath: expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "/a" instead`, asSystemd},
		{"hugepage", `{"linux": {"resources": {"hugepageLimits": [{"pageSize": "2MB", "limit": 1}, {"pageSize": "../a", "limit": 1}]}}}`, `linux.resources.hugepageLimits[1].pageSize: invalid size "../a"`, nil},
		{"hugepage empty", `{"linux": {"resources": {"hugepageLimits": [{"limit": 1}]}}}`, `linux.resources.hugepageLimits[0].pageSize: invalid size ""`, nil},
		{"unified slash", `{"linux": {"resources": {"unified": {"a/b.c": "1"}}}}`, `linux.resources.unified: invalid file name "a/b.c"`, nil},
		{"unified no dot", `{"linux": {"resources": {"unified": {"memory": "1"}}}}`, `linux.resources.unified: invalid file name "memory"`, nil},
		{"unified up", `{"linux": {"resources": {"unified": {"..": "1"}}}}`, `linux.resources.unified: invalid file name ".."`, nil},
		{"rdma", `{"linux": {"resources": {"rdma": {"a b": {}}}}}`, `linux.resources.rdma: invalid device name "a b"`, nil},
		{"cgroup device type", `{"linux": {"resources": {"devices": [{"type": "p"}]}}}`, `linux.resources.devices[0].type: unknown type "p"`, nil},
		{"cgroup device type ab", `{"linux": {"resources": {"devices": [{"type": "ab"}]}}}`, `linux.resources.devices[0].type: unknown type "ab"`, nil},
		{"cgroup device access", `{"linux": {"resources": {"devices": [{"access": "rwx"}]}}}`, `linux.resources.devices[0].access: "rwx" is not made of r, w and m`, nil},
		{"network priority", `{"linux": {"resources": {"network": {"priorities": [{"name": "a b", "priority": 1}]}}}}`, `linux.resources.network.priorities[0].name: invalid network device name "a b"`, nil},
		{"memory swap", `{"linux": {"resources": {"memory": {"limit": 2, "swap": 1}}}}`, `linux.resources.memory.swap: must not be less than limit, it counts memory and swap`, nil},
		{"memory swappiness", `{"linux": {"resources": {"memory": {"swappiness": 101}}}}`, `linux.resources.memory.swappiness: 101 is more than 100`, nil},

		// Process.
		{"seccomp without execve", `{"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ERRNO"}}}`, `linux.seccomp: no rule allows execve, which starts the process (hint: add a rule with SCMP_ACT_ALLOW for it)`, nil},
		{"process missing", `{"process": null}`, `process: must be set`, nil},
		{"args missing", `{"process": {"args": null}}`, `process.args: must name a program: process args cannot be empty`, nil},
		{"args empty", `{"process": {"args": [""]}}`, `process.args: must name a program: process args cannot be empty`, nil},
		{"cwd missing", `{"process": {"cwd": ""}}`, `process.cwd: must be set: cwd property must not be empty`, nil},
		{"cwd relative", `{"process": {"cwd": "a"}}`, `process.cwd: cwd must be an absolute path, "a" is none`, nil},
		{"oom low", `{"process": {"oomScoreAdj": -1001}}`, `process.oomScoreAdj: -1001 is not between -1000 and 1000`, nil},
		{"oom high", `{"process": {"oomScoreAdj": 1001}}`, `process.oomScoreAdj: 1001 is not between -1000 and 1000`, nil},
		{"uid -1", `{"process": {"user": {"uid": 4294967295}}}`, `process.user.uid: 4294967295 is no id`, nil},
		{"gid -1", `{"process": {"user": {"gid": 4294967295}}}`, `process.user.gid: 4294967295 is no id`, nil},
		{"groups -1", `{"process": {"user": {"additionalGids": [1, 4294967295]}}}`, `process.user.additionalGids[1]: 4294967295 is no id`, nil},
		{"uid unmapped", `{"process": {"user": {"uid": 10}}, "linux": {` + userNS + `, ` + goodMaps + `}}`, `process.user.uid: 10 is unmapped, see linux.uidMappings`, nil},
		{"gid unmapped", `{"process": {"user": {"gid": 10}}, "linux": {` + userNS + `, ` + goodMaps + `}}`, `process.user.gid: 10 is unmapped, see linux.gidMappings`, nil},
		{"groups unmapped", `{"process": {"user": {"additionalGids": [9, 10]}}, "linux": {` + userNS + `, ` + goodMaps + `}}`, `process.user.additionalGids[1]: 10 is unmapped, see linux.gidMappings`, nil},
		{"groups rootless", `{"process": {"user": {"additionalGids": [0]}}, "linux": {` + userNS + `, "uidMappings": ` + oneMap + `, "gidMappings": ` + oneMap + `}}`, `process.user.additionalGids: cannot set any additional groups in a rootless container with one gid mapped; map more with newgidmap`, asRootless},
		{"umask", `{"process": {"user": {"umask": 512}}}`, `process.user.umask: 01000 is more than 0777`, nil},
		{"env form", `{"process": {"env": ["A=1", "SECRET"]}}`, `process.env[1]: is not of the form NAME=VALUE`, nil},
		{"env no name", `{"process": {"env": ["=1"]}}`, `process.env[0]: is not of the form NAME=VALUE`, nil},
		{"env NUL", `{"process": {"env": ["A=secret\u0000"]}}`, `process.env[0]: "A" has a NUL byte`, nil},
		{"rlimit unknown", `{"process": {"rlimits": [{"type": "RLIMIT_FOO", "soft": 1, "hard": 1}]}}`, `process.rlimits[0].type: unknown rlimit "RLIMIT_FOO"`, nil},
		{"rlimit twice", `{"process": {"rlimits": [{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}, {"type": "RLIMIT_CPU", "soft": 1, "hard": 1}]}}`, `process.rlimits[1].type: duplicate RLIMIT_CPU`, nil},
		{"rlimit soft", `{"process": {"rlimits": [{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}]}}`, `process.rlimits[0].soft: RLIMIT_CPU: 2 exceeds hard, 1`, nil},
		{"console", `{"process": {"terminal": true, "consoleSize": {"height": 65536, "width": 1}}}`, `process.consoleSize: 65536 rows, 1 columns are too many`, nil},

		// Scheduler, ioPriority, affinity.
		{"scheduler empty", `{"process": {"scheduler": {}}}`, `process.scheduler.policy: scheduler policy is required`, nil},
		{"scheduler unknown", `{"process": {"scheduler": {"policy": "SCHED_FOO"}}}`, `process.scheduler.policy: invalid scheduler policy "SCHED_FOO"`, nil},
		{"scheduler nice", `{"process": {"scheduler": {"policy": "SCHED_OTHER", "nice": 20}}}`, `process.scheduler.nice: invalid scheduler.nice: 20`, nil},
		{"scheduler nice low", `{"process": {"scheduler": {"policy": "SCHED_OTHER", "nice": -21}}}`, `process.scheduler.nice: invalid scheduler.nice: -21`, nil},
		{"scheduler priority", `{"process": {"scheduler": {"policy": "SCHED_BATCH", "priority": 1}}}`, `process.scheduler.priority: is for SCHED_FIFO and SCHED_RR alone, not for SCHED_BATCH`, nil},
		{"scheduler priority range", `{"process": {"scheduler": {"policy": "SCHED_RR", "priority": 100}}}`, `process.scheduler.priority: 100 is not between 0 and 99`, nil},
		{"scheduler priority 0", `{"process": {"scheduler": {"policy": "SCHED_FIFO"}}}`, `process.scheduler.priority: SCHED_FIFO needs one from 1 to 99`, nil},
		{"scheduler runtime", `{"process": {"scheduler": {"policy": "SCHED_IDLE", "runtime": 1}}}`, `process.scheduler: runtime, deadline and period are for SCHED_DEADLINE alone, not for SCHED_IDLE`, nil},
		{"scheduler deadline", `{"process": {"scheduler": {"policy": "SCHED_DEADLINE", "runtime": 2, "deadline": 1}}}`, `process.scheduler.deadline: must not be less than runtime`, nil},
		{"scheduler no runtime", `{"process": {"scheduler": {"policy": "SCHED_DEADLINE", "deadline": 1}}}`, `process.scheduler.runtime: must be set for SCHED_DEADLINE`, nil},
		{"scheduler flag", `{"process": {"scheduler": {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RECLAIM", "SCHED_FLAG_FOO"]}}}`, `process.scheduler.flags[1]: invalid scheduler flag "SCHED_FLAG_FOO"`, nil},
		{"io class", `{"process": {"ioPriority": {"class": "IOPRIO_CLASS_FOO"}}}`, `process.ioPriority.class: invalid class "IOPRIO_CLASS_FOO"`, nil},
		{"io class empty", `{"process": {"ioPriority": {"priority": 1}}}`, `process.ioPriority.class: invalid class ""`, nil},
		{"io priority", `{"process": {"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}}}`, `process.ioPriority.priority: 8 is not between 0 and 7`, nil},
		{"affinity initial", `{"process": {"execCPUAffinity": {"initial": "3-1"}}}`, `process.execCPUAffinity.initial: "3-1" is not a list like 0-3,7`, nil},
		{"affinity final", `{"process": {"execCPUAffinity": {"initial": "0-3,", "final": "8192"}}}`, `process.execCPUAffinity.final: "8192" is not a list like 0-3,7`, nil},

		// Personality and memory policy.
		{"personality", `{"linux": {"personality": {"domain": "BSD"}}}`, `linux.personality.domain: unknown domain "BSD"`, nil},
		{"memory mode", `{"linux": {"memoryPolicy": {"mode": "MPOL_FOO"}}}`, `linux.memoryPolicy.mode: invalid memory policy mode "MPOL_FOO"`, nil},
		{"memory flag", `{"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_FOO"]}}}`, `linux.memoryPolicy.flags[0]: invalid memory policy flag "MPOL_F_FOO"`, nil},
		{"memory nodes", `{"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "a"}}}`, `linux.memoryPolicy.nodes: "a" is not a list like 0-3,7`, nil},
		{"memory no nodes", `{"linux": {"memoryPolicy": {"mode": "MPOL_INTERLEAVE"}}}`, `linux.memoryPolicy.nodes: MPOL_INTERLEAVE needs some`, nil},
		{"memory local nodes", `{"linux": {"memoryPolicy": {"mode": "MPOL_LOCAL", "nodes": "0"}}}`, `linux.memoryPolicy: MPOL_LOCAL takes neither nodes nor flags`, nil},
		{"memory default flags", `{"linux": {"memoryPolicy": {"mode": "MPOL_DEFAULT", "flags": ["MPOL_F_STATIC_NODES"]}}}`, `linux.memoryPolicy: MPOL_DEFAULT takes neither nodes nor flags`, nil},
		{"memory static relative", `{"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]}}}`, `linux.memoryPolicy.flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			refuse(t, c.patch, c.option, c.want)
		})
	}
}

func refuse(t *testing.T, patch string, option func(*Options), want string) {
	t.Helper()
	o := testOptions
	if option != nil {
		option(&o)
	}
	out, _, err := Convert(patched(t, patch), o)
	switch {
	case err == nil:
		t.Errorf("accepted, want %s", want)
	case err.Error() != want:
		t.Errorf("got  %s\nwant %s", err, want)
	case out != nil:
		t.Error("a container came with the error")
	}
}

// TestConvertRefusesHooks: the rules are the same for all six lists.
func TestConvertRefusesHooks(t *testing.T) {
	for _, p := range hookPoints {
		for _, c := range []struct{ hook, want string }{
			{`{"path": "a"}`, `.path: "a" is not an absolute path`},
			{`{}`, `.path: "" is not an absolute path`},
			{`{"path": "/a\u0000"}`, `: "/a\x00" contains a NUL byte`},
			{`{"path": "/a", "args": ["b\u0000"]}`, `: "b\x00" contains a NUL byte`},
			{`{"path": "/a", "env": ["B=\u0000"]}`, `: "B=\x00" contains a NUL byte`},
			{`{"path": "/a", "timeout": 0}`, `.timeout: must be greater than 0 and less than 2^31 seconds`},
			{`{"path": "/a", "timeout": -1}`, `.timeout: must be greater than 0 and less than 2^31 seconds`},
			{`{"path": "/a", "timeout": 2147483648}`, `.timeout: must be greater than 0 and less than 2^31 seconds`},
		} {
			t.Run(p.name+" "+c.hook, func(t *testing.T) {
				refuse(t, fmt.Sprintf(`{"hooks": {%q: [{"path": "/ok"}, %s]}}`, p.name, c.hook), nil, "hooks."+p.name+"[1]"+c.want)
			})
		}
	}
}

// TestSysctlNamespaces: a sysctl is accepted with its namespace alone.
func TestSysctlNamespaces(t *testing.T) {
	all := []config.NamespaceType{config.IPCNS, config.NetworkNS, config.UTSNS, config.PIDNS, config.MountNS, config.CgroupNS}
	need := map[string]config.NamespaceType{
		"net.ipv4.ip_forward": config.NetworkNS, "net/ipv4/conf/eth0.1/forwarding": config.NetworkNS,
		"fs.mqueue.msg_max": config.IPCNS, "kernel.domainname": config.UTSNS,
	}
	for _, path := range ipcSysctls {
		need[strings.ReplaceAll(path, "/", ".")] = config.IPCNS
	}
	for key, own := range need {
		for _, have := range all {
			s := patched(t, "")
			s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.LinuxNamespaceType(have)}}
			s.Linux.Sysctl = map[string]string{key: "1"}
			_, _, err := Convert(s, testOptions)
			if have == own {
				if err != nil {
					t.Errorf("%s with %s: %v", key, have, err)
				}
				continue
			}
			want := fmt.Sprintf("linux.sysctl: sysctl %q is not allowed in the host %s namespace; add a %s namespace", key, own, own)
			if err == nil || err.Error() != want {
				t.Errorf("%s with %s: got %v, want %s", key, have, err, want)
			}
		}
	}
	refuse(t, `{"linux": {"sysctl": {"user.max_user_namespaces": "1"}}}`, nil,
		`linux.sysctl: sysctl "user.max_user_namespaces" is not allowed in the host user namespace; add a user namespace`)
}

// TestConvertWarns: what the spec has ignored is told.
func TestConvertWarns(t *testing.T) {
	for _, c := range []struct{ name, patch, want string }{
		{"host mounts", `{"mounts": [{` + bindA + `}], "linux": {` + noNS + `}}`, `mounts: there is no mount namespace, so they are made on the host, below root.path, until delete`},
		{"relative destination", `{"mounts": [{"destination": "a", "type": "tmpfs"}]}`, `mounts[0].destination: "a" is not absolute, taken as "/a"`},
		{"bind data", `{"mounts": [{` + bindA + `, "options": ["size=1", "mode=700"]}]}`, `mounts[0].options: "size=1,mode=700": a bind mount takes no options of a filesystem`},
		{"ptmx", `{"linux": {"devices": [{"path": "/dev/ptmx", "type": "c"}]}}`, `linux.devices[0]: ignored, /dev/ptmx is a link to the container's own devpts`},
		{"joined user", `{"linux": {"namespaces": [{"type": "user", "path": "/a"}], ` + goodMaps + `}}`, `linux.uidMappings, linux.gidMappings: ignored, the user namespace is joined and has its own`},
		{"personality flags", `{"linux": {"personality": {"domain": "LINUX32", "flags": ["A"]}}}`, `linux.personality.flags: ignored, none are defined`},
		{"capability unknown", `{"process": {"capabilities": {"bounding": ["CAP_FOO"]}}}`, `process.capabilities.bounding: unknown capability "CAP_FOO" is ignored`},
		{"capability effective", `{"process": {"capabilities": {"effective": ["CAP_KILL"]}}}`, `process.capabilities.effective: CAP_KILL are not permitted, and dropped`},
		{"capability ambient", `{"process": {"capabilities": {"permitted": ["CAP_KILL"], "ambient": ["CAP_KILL"]}}}`, `process.capabilities.ambient: CAP_KILL are not both permitted and inheritable, and dropped`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, warnings, err := Convert(patched(t, c.patch), testOptions)
			if err != nil {
				t.Fatal(err)
			}
			if len(warnings) != 1 || warnings[0] != c.want {
				t.Errorf("got %q\nwant %q", warnings, c.want)
			}
		})
	}
}
