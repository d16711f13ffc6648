// SPDX-License-Identifier: Apache-2.0

package specconv

import (
	"encoding/json"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/config"
)

// minimal is a config with the namespaces that most fields need.
const minimal = `{"ociVersion":"1.3.0","root":{"path":"rootfs"},
	"process":{"args":["sh"],"cwd":"/","user":{"uid":0,"gid":0}},
	"linux":{"namespaces":[{"type":"pid"},{"type":"mount"},{"type":"uts"},{"type":"ipc"},{"type":"network"}]}}`

// merged returns the minimal config with a JSON merge on top (RFC 7396 in
// spirit: objects merge, everything else replaces).
func merged(t *testing.T, patch string) *specs.Spec {
	t.Helper()
	var base, over any
	if err := json.Unmarshal([]byte(minimal), &base); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(patch), &over); err != nil {
		t.Fatalf("%s: %v", patch, err)
	}
	data, err := json.Marshal(merge(base, over))
	if err != nil {
		t.Fatal(err)
	}
	var s specs.Spec
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

func merge(base, over any) any {
	b, ok1 := base.(map[string]any)
	o, ok2 := over.(map[string]any)
	if !ok1 || !ok2 {
		return over
	}
	for k, v := range o {
		if v == nil {
			delete(b, k)
			continue
		}
		b[k] = merge(b[k], v)
	}
	return b
}

func TestConvertRefuses(t *testing.T) {
	const user = `"namespaces":[{"type":"user"},{"type":"mount"}],"uidMappings":[{"containerID":0,"hostID":1000,"size":1}],"gidMappings":[{"containerID":0,"hostID":1000,"size":1}]`
	for _, c := range []struct{ patch, want string }{
		{`{"ociVersion":""}`, "ociVersion: must be set"},
		{`{"ociVersion":"2.0.0"}`, `ociVersion: "2.0.0" is not supported, only 1.x is`},
		{`{"ociVersion":"one"}`, `ociVersion: "one" is not a version like 1.3.0`},
		{`{"root":null}`, "root.path: must be set"},
		{`{"root":{"path":"/"}}`, "root.path: must not be the host's root"},
		{`{"process":null}`, "process: must be set"},
		{`{"process":{"args":[]}}`, "process.args: must name a program: process args cannot be empty"},
		{`{"process":{"cwd":"a"}}`, `process.cwd: cwd must be an absolute path, "a" is none`},
		{`{"process":{"cwd":""}}`, "process.cwd: must be set: cwd property must not be empty"},
		{`{"process":{"env":["NOVALUE"]}}`, "process.env[0]: is not of the form NAME=VALUE"},
		{`{"process":{"oomScoreAdj":1001}}`, "process.oomScoreAdj: 1001 is not between -1000 and 1000"},
		{`{"process":{"user":{"uid":4294967295}}}`, "process.user.uid: 4294967295 is no id"},
		{`{"process":{"user":{"umask":4096}}}`, "process.user.umask: 010000 is more than 0777"},
		{`{"process":{"rlimits":[{"type":"RLIMIT_X","soft":1,"hard":1}]}}`, `process.rlimits[0].type: unknown rlimit "RLIMIT_X"`},
		{`{"process":{"rlimits":[{"type":"RLIMIT_CPU","soft":2,"hard":1}]}}`, "process.rlimits[0].soft: RLIMIT_CPU: 2 exceeds hard, 1"},
		{`{"process":{"rlimits":[{"type":"RLIMIT_CPU","soft":1,"hard":1},{"type":"RLIMIT_CPU","soft":1,"hard":1}]}}`, "process.rlimits[1].type: duplicate RLIMIT_CPU"},
		{`{"process":{"scheduler":{"policy":"SCHED_X"}}}`, `process.scheduler.policy: invalid scheduler policy "SCHED_X"`},
		{`{"process":{"scheduler":{"policy":"SCHED_OTHER","nice":20}}}`, "process.scheduler.nice: invalid scheduler.nice: 20"},
		{`{"process":{"scheduler":{"policy":"SCHED_FIFO"}}}`, "process.scheduler.priority: SCHED_FIFO needs one from 1 to 99"},
		{`{"process":{"ioPriority":{"class":"IOPRIO_CLASS_RT","priority":8}}}`, "process.ioPriority.priority: 8 is not between 0 and 7"},
		{`{"process":{"execCPUAffinity":{"initial":"3-1"}}}`, `process.execCPUAffinity.initial: "3-1" is not a list like 0-3,7`},
		{`{"linux":{"namespaces":[{"type":"pid"},{"type":"pid"}]}}`, `linux.namespaces[1].type: malformed spec file: duplicated ns "pid"`},
		{`{"linux":{"namespaces":[{"type":"space"}]}}`, `linux.namespaces[0].type: unknown namespace "space"`},
		{`{"linux":{"namespaces":[{"type":"pid","path":"x"}]}}`, `linux.namespaces[0].path: "x" is not an absolute path`},
		{`{"linux":{"uidMappings":[{"containerID":0,"hostID":0,"size":1}]}}`, "linux.uidMappings, linux.gidMappings: given without a user namespace; add one to linux.namespaces"},
		{`{"linux":{"namespaces":[{"type":"user"}]}}`, "linux.uidMappings: a new user namespace needs them"},
		{`{"process":{"user":{"uid":5}},"linux":{` + user + `}}`, "process.user.uid: 5 is unmapped, see linux.uidMappings"},
		{`{"linux":{"namespaces":[{"type":"user"}],"uidMappings":[{"containerID":0,"hostID":0,"size":2},{"containerID":1,"hostID":9,"size":1}]}}`, "linux.uidMappings[1]: overlaps with [0]"},
		{`{"linux":{"timeOffsets":{"boottime":{"secs":1}}}}`, "linux.timeOffsets: need a new time namespace; add one to linux.namespaces"},
		{`{"hostname":"h","linux":{"namespaces":[{"type":"mount"}]}}`, "hostname: cannot be set without a uts namespace; add one to linux.namespaces"},
		{`{"mounts":[{"destination":"/x","type":"tmpfs"}],"linux":{"namespaces":[]}}`, ""},
		{`{"mounts":[{"type":"tmpfs"}]}`, "mounts[0].destination: must be set"},
		{`{"mounts":[{"destination":"/","type":"tmpfs"}]}`, "mounts[0].destination: / is the root filesystem itself"},
		{`{"mounts":[{"destination":"/x"}]}`, "mounts[0].type: must be set"},
		{`{"mounts":[{"destination":"/x","options":["bind"]}]}`, "mounts[0].source: must be set for a bind mount"},
		{`{"mounts":[{"destination":"/proc","type":"tmpfs","source":"t"}]}`, `mounts[0].destination: "/proc" cannot be mounted because it is not of type proc (tmpfs)`},
		{`{"mounts":[{"destination":"/proc/sys/kernel","type":"bind","source":"/tmp"}]}`, `mounts[0].destination: "/proc/sys/kernel" cannot be mounted because it is inside /proc`},
		{`{"mounts":[{"destination":"/x","type":"tmpfs","options":["idmap"]}]}`, "mounts[0].options: idmap is for bind mounts alone"},
		{`{"mounts":[{"destination":"/x","type":"proc","source":"p","options":["tmpcopyup"]}]}`, "mounts[0].options: tmpcopyup is for tmpfs alone"},
		{`{"linux":{"devices":[{"path":"dev/x","type":"c"}]}}`, `linux.devices[0].path: "dev/x" is not an absolute path`},
		{`{"linux":{"devices":[{"path":"/dev/x","type":"x"}]}}`, `linux.devices[0].type: unknown type "x", must be c, b, u or p`},
		{`{"linux":{"devices":[{"path":"/dev/x","type":"c","major":4096}]}}`, "linux.devices[0].major: 4096 is out of range"},
		{`{"linux":{"netDevices":{"a/b":{}}}}`, `linux.netDevices: invalid network device name "a/b"`},
		{`{"linux":{"netDevices":{"a":{"name":"n"},"b":{"name":"n"}}}}`, `linux.netDevices: two devices would be called "n"`},
		{`{"linux":{"maskedPaths":["x"]}}`, `linux.maskedPaths[0]: "x" is not an absolute path`},
		{`{"linux":{"sysctl":{"kernel.panic":"1"}}}`, `linux.sysctl: sysctl "kernel.panic" is not in a separate kernel namespace`},
		{`{"linux":{"sysctl":{"kernel.hostname":"1"}}}`, `linux.sysctl: sysctl "kernel.hostname" is not allowed; use hostname`},
		{`{"linux":{"sysctl":{"net/../kernel/panic":"1"}}}`, `linux.sysctl: invalid key "net/../kernel/panic"`},
		{`{"linux":{"sysctl":{"net.a":"1","net/a":"2"}}}`, `linux.sysctl: "net/a" is given twice, with dots and with slashes`},
		{`{"linux":{"sysctl":{"user.max":"1"}}}`, `linux.sysctl: sysctl "user.max" is not allowed in the host user namespace; add a user namespace`},
		{`{"hooks":{"prestart":[{"path":"x"}]}}`, `hooks.prestart[0].path: "x" is not an absolute path`},
		{`{"hooks":{"poststop":[{"path":"/x","timeout":0}]}}`, "hooks.poststop[0].timeout: must be greater than 0 and less than 2^31 seconds"},
		{`{"hooks":{"poststop":[{"path":"/x","args":["a\u0000"]}]}}`, `hooks.poststop[0]: "a\x00" contains a NUL byte`},
		{`{"linux":{"cgroupsPath":"/a/../b"}}`, `linux.cgroupsPath: "/a/../b" must not contain ".."`},
		{`{"linux":{"resources":{"hugepageLimits":[{"pageSize":"../x","limit":1}]}}}`, `linux.resources.hugepageLimits[0].pageSize: invalid size "../x"`},
		{`{"linux":{"resources":{"unified":{"a/b":"1"}}}}`, `linux.resources.unified: invalid file name "a/b"`},
		{`{"linux":{"resources":{"devices":[{"allow":true,"type":"ab"}]}}}`, `linux.resources.devices[0].type: unknown type "ab"`},
		{`{"linux":{"resources":{"memory":{"limit":10,"swap":5}}}}`, "linux.resources.memory.swap: must not be less than limit, it counts memory and swap"},
		{`{"linux":{"intelRdt":{"closID":"../x"}}}`, `linux.intelRdt.closID: invalid group name "../x"`},
		{`{"linux":{"memoryPolicy":{"mode":"MPOL_BIND"}}}`, "linux.memoryPolicy.nodes: MPOL_BIND needs some"},
		{`{"linux":{"personality":{"domain":"BSD"}}}`, `linux.personality.domain: unknown domain "BSD"`},
		{`{"linux":{"rootfsPropagation":"up"}}`, `linux.rootfsPropagation: unknown value "up"`},
	} {
		_, _, err := Convert(merged(t, c.patch), Options{ID: "x", Bundle: "/bundle"})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if c.want == "" && err == nil {
			continue
		}
		if got != c.want {
			t.Errorf("%s\n got %q\nwant %q", c.patch, got, c.want)
		}
	}
}

func TestConvertLeavesTheCallersSpec(t *testing.T) {
	s := &specs.Spec{Version: "1.0.0", Root: &specs.Root{Path: "r"}, Process: &specs.Process{Args: []string{"a"}, Cwd: "/"}}
	if _, _, err := Convert(s, Options{Bundle: "/b"}); err != nil || s.Linux != nil {
		t.Errorf("error = %v, Linux = %v", err, s.Linux)
	}
}

func TestEveryMountOptionIsKnown(t *testing.T) {
	for _, word := range MountOptions() {
		var m config.Mount
		applyOption(&m, word)
		if len(m.Data) > 0 {
			t.Errorf("%q is taken for data", word)
		}
	}
}

func TestLaterMountOptionWins(t *testing.T) {
	for _, c := range []struct {
		options            []string
		set, clear, recSet uint64
	}{
		{[]string{"ro", "rw"}, 0, 1, 0},
		{[]string{"rw", "ro"}, 1, 0, 0},
		{[]string{"rro", "rrw"}, 0, 0, 0},
		{[]string{"rnoatime", "rstrictatime"}, 0, 0, 0x20},
	} {
		var m config.Mount
		for _, o := range c.options {
			applyOption(&m, o)
		}
		if m.Set != c.set || m.Clear != c.clear || m.RecSet != c.recSet {
			t.Errorf("%v: set %#x, clear %#x, recursive %#x", c.options, m.Set, m.Clear, m.RecSet)
		}
	}
}
