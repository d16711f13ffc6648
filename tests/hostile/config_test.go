// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"berth/tests/rig"
)

// at changes the value at a path such as "linux.resources.memory"; numbers are
// places in a list, + appends.
type at struct {
	path  string
	value any
}

// object and list keep the tables short.
type (
	object = map[string]any
	list   = []any
)

// configs are trees that must be refused, with the words the error must have:
// above all the field.
var configs = []struct {
	name   string
	change []at
	words  []string
}{
	{"no process", []at{{"process", nil}}, []string{"process"}},
	{"no root", []at{{"root", nil}}, []string{"root"}},
	{"no args", []at{{"process.args", list{}}}, []string{"args"}},
	{"empty first arg", []at{{"process.args", list{""}}}, nil},
	{"NUL in args", []at{{"process.args", list{"sleep", "a\x00b"}}}, []string{"args"}},
	{"NUL in env", []at{{"process.env", list{"A=b\x00c"}}}, []string{"env"}},
	{"NUL in hostname", []at{{"hostname", "a\x00b"}}, []string{"hostname"}},
	{"hostname too long", []at{{"hostname", strings.Repeat("h", 65)}}, []string{"hostname"}},
	{"relative cwd", []at{{"process.cwd", "tmp"}}, []string{"cwd"}},
	{"cwd on a host descriptor", []at{{"process.cwd", "/proc/self/fd/7"}}, nil},
	{"missing program", []at{{"process.args", list{"no-such-program"}}}, []string{"no-such-program"}},
	{"directory as program", []at{{"process.args", list{"/etc"}}}, []string{"permission denied"}},
	{"unknown rlimit", []at{{"process.rlimits", list{object{"type": "RLIMIT_NONE", "soft": 1, "hard": 1}}}}, []string{"RLIMIT_NONE"}},
	{"soft above hard", []at{{"process.rlimits", list{object{"type": "RLIMIT_NOFILE", "soft": 9, "hard": 1}}}}, []string{"RLIMIT_NOFILE"}},
	{"rlimit twice", []at{{"process.rlimits", list{
		object{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}, object{"type": "RLIMIT_NOFILE", "soft": 2, "hard": 2}}}}, []string{"RLIMIT_NOFILE"}},
	{"oom score out of range", []at{{"process.oomScoreAdj", 1001}}, []string{"oomScoreAdj"}},
	{"negative uid", []at{{"process.user.uid", -1}}, []string{"uid"}},
	{"uid is a string", []at{{"process.user.uid", "root"}}, []string{"uid"}},
	{"args is a string", []at{{"process.args", "sleep 1"}}, []string{"args"}},
	{"rootfs is absent", []at{{"root.path", "nowhere"}}, []string{"nowhere"}},
	{"rootfs is a file", []at{{"root.path", "config.json"}}, []string{"config.json"}},
	{"rootfs is empty", []at{{"root.path", ""}}, []string{"root.path"}},
	{"unknown namespace", []at{{"linux.namespaces.+", object{"type": "moon"}}}, []string{"moon"}},
	{"namespace twice", []at{{"linux.namespaces.+", object{"type": "pid"}}}, []string{"pid"}},
	{"namespace path is absent", []at{{"linux.namespaces.1.path", "/no/such/ns"}}, []string{"/no/such/ns"}},
	{"namespace of another kind", []at{{"linux.namespaces.1.path", "/proc/self/ns/uts"}}, []string{"namespaces"}},
	{"relative namespace path", []at{{"linux.namespaces.1.path", "ns/net"}}, []string{"namespaces"}},
	{"mappings without user namespace", []at{{"linux.uidMappings", list{object{"containerID": 0, "hostID": 1000, "size": 1}}}}, []string{"uidMappings"}},
	{"user namespace without mappings", []at{{"linux.namespaces.+", object{"type": "user"}}}, nil},
	{"overlapping mappings", []at{
		{"linux.namespaces.+", object{"type": "user"}},
		{"linux.uidMappings", list{object{"containerID": 0, "hostID": 1000, "size": 10}, object{"containerID": 5, "hostID": 5000, "size": 10}}},
		{"linux.gidMappings", list{object{"containerID": 0, "hostID": 1000, "size": 10}}},
	}, nil},
	{"mount without destination", []at{{"mounts.+", object{"type": "tmpfs", "source": "tmpfs"}}}, []string{"mounts[7]"}},
	{"mount of unknown type", []at{{"mounts.+", object{"destination": "/tmp", "type": "nofs", "source": "x"}}}, []string{"mounts[7]"}},
	{"bind of nothing", []at{{"mounts.+", object{"destination": "/tmp", "type": "bind", "source": "/no/such/file", "options": list{"bind"}}}}, []string{"/no/such/file"}},
	{"bind onto the root", []at{{"mounts.+", object{"destination": "/", "type": "bind", "source": "/tmp", "options": list{"bind"}}}}, []string{"mounts[7]"}},
	{"mount below proc", []at{{"mounts.+", object{"destination": "/proc/self/attr", "type": "tmpfs", "source": "tmpfs"}}}, []string{"/proc/self/attr"}},
	{"wrong tmpfs option", []at{{"mounts.+", object{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": list{"size=many"}}}}, []string{"mounts[7]"}},
	{"device of unknown type", []at{{"linux.devices", list{object{"path": "/dev/x", "type": "z"}}}}, []string{"devices[0]"}},
	{"device without path", []at{{"linux.devices", list{object{"path": "", "type": "c", "major": 1, "minor": 3}}}}, []string{"devices[0]"}},
	{"cgroup path with dots", []at{{"linux.cgroupsPath", "/a/../../b"}}, []string{"cgroupsPath"}},
	{"hugetlb page size as path", []at{{"linux.resources.hugepageLimits", list{object{"pageSize": "../../x", "limit": 1}}}}, []string{"hugepageLimits"}},
	{"limit as text", []at{{"linux.resources.memory", object{"limit": "512m"}}}, []string{"limit"}},
	{"swap below memory", []at{{"linux.resources.memory", object{"limit": 67108864, "swap": 1048576}}}, []string{"swap"}},
	{"sysctl outside namespaces", []at{{"linux.sysctl", object{"kernel.core_pattern": "|/bin/x"}}}, []string{"kernel.core_pattern"}},
	{"sysctl with dots", []at{{"linux.sysctl", object{"net/../kernel/core_pattern": "x"}}}, []string{"sysctl"}},
	{"network sysctl without namespace", []at{
		{"linux.namespaces", list{object{"type": "mount"}, object{"type": "pid"}}},
		{"hostname", ""}, {"linux.sysctl", object{"net.ipv4.ip_forward": "1"}},
	}, []string{"net.ipv4.ip_forward"}},
	{"hostname without uts namespace", []at{{"linux.namespaces", list{object{"type": "mount"}, object{"type": "pid"}}}}, []string{"hostname"}},
	{"relative masked path", []at{{"linux.maskedPaths", list{"etc"}}}, []string{"maskedPaths"}},
	{"unknown propagation", []at{{"linux.rootfsPropagation", "sideways"}}, []string{"sideways"}},
	{"unknown seccomp action", []at{{"linux.seccomp", object{"defaultAction": "SCMP_ACT_MAYBE"}}}, []string{"SCMP_ACT_MAYBE"}},
	{"unknown seccomp operator", []at{{"linux.seccomp", object{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list{object{
		"names": list{"getpid"}, "action": "SCMP_ACT_ERRNO", "args": list{object{"index": 0, "value": 1, "op": "SCMP_CMP_X"}}}}}}}, []string{"SCMP_CMP_X"}},
	{"seccomp argument seven", []at{{"linux.seccomp", object{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list{object{
		"names": list{"getpid"}, "action": "SCMP_ACT_ERRNO", "args": list{object{"index": 7, "value": 1, "op": "SCMP_CMP_EQ"}}}}}}}, []string{"seccomp"}},
	{"relative hook", []at{{"hooks", object{"createRuntime": list{object{"path": "bin/true"}}}}}, []string{"createRuntime"}},
	{"missing hook", []at{{"hooks", object{"createRuntime": list{object{"path": "/no/such/hook"}}}}}, []string{"/no/such/hook"}},
	{"failing hook", []at{{"hooks", object{"createRuntime": list{object{"path": "/bin/false"}}}}}, []string{"createRuntime"}},
	{"hook too slow", []at{{"hooks", object{"createRuntime": list{object{"path": "/bin/sleep", "args": list{"sleep", "100"}, "timeout": 1}}}}}, []string{"timeout"}},
	{"scheduler unknown", []at{{"process.scheduler", object{"policy": "SCHED_NEVER"}}}, []string{"SCHED_NEVER"}},
	{"console size without room", []at{{"process.consoleSize", "big"}}, []string{"consoleSize"}},
	{"terminal without console socket", []at{{"process.terminal", true}}, []string{"console socket"}},
}

func TestHostileConfigs(t *testing.T) {
	r := rig.Subject(t)
	for _, c := range configs {
		t.Run(c.name, func(t *testing.T) {
			a := newAttempt(t, r)
			tree := good(t)
			for _, change := range c.change {
				put(t, tree, strings.Split(change.path, "."), change.value)
			}
			a.write(t, tree)
			res := a.create(t)
			refused(t, res, c.words...)
			if res.Code == 0 {
				a.remove(t)
			}
			a.clean(t)
		})
	}
}

// put sets the value at path in tree; nil removes it.
func put(t *testing.T, tree map[string]any, path []string, value any) {
	t.Helper()
	name := path[0]
	switch below := tree[name].(type) {
	case map[string]any:
		if len(path) > 1 {
			put(t, below, path[1:], value)
			return
		}
	case []any:
		if len(path) == 1 {
			break
		}
		if path[1] == "+" {
			tree[name] = append(below, value)
			return
		}
		i, err := strconv.Atoi(path[1])
		if err != nil || i >= len(below) {
			t.Fatalf("BUG: no place %v in the config", path)
		}
		put(t, below[i].(map[string]any), path[2:], value)
		return
	}
	if len(path) > 1 {
		below := map[string]any{}
		tree[name] = below
		put(t, below, path[1:], value)
		return
	}
	if value == nil {
		delete(tree, name)
		return
	}
	tree[name] = value
}

// TestMalformedConfigs gives texts that are no configs at all.
func TestMalformedConfigs(t *testing.T) {
	r := rig.Subject(t)
	deep := strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)
	for name, text := range map[string]string{
		"empty": "", "blank": " \n", "null": "null", "number": "7", "list": "[]", "empty object": "{}",
		"half": `{"ociVersion": "1.0.2", "process": {`, "two objects": "{}{}", "not text": "\x00\xff\xfe\x7f",
		"deep": deep, "huge number": `{"ociVersion":"1.0.2","process":{"user":{"uid":1e400}}}`,
		"wrong types": `{"ociVersion":1,"root":[],"process":7,"mounts":{},"linux":"x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttempt(t, r)
			a.write(t, []byte(text))
			res := a.create(t)
			refused(t, res)
			if len(res.Stderr) > 2000 {
				t.Errorf("stderr has %d bytes: it repeats the input", len(res.Stderr))
			}
			a.clean(t)
		})
	}
}

// TestMutatedConfigs changes a good config at random. Whatever comes out may be
// accepted or refused, but cleanly.
func TestMutatedConfigs(t *testing.T) {
	r := rig.Subject(t)
	seed := uint64(20261121)
	if text := os.Getenv("BERTH_HOSTILE_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	rounds := 150
	if testing.Short() {
		rounds = 30
	}
	random := rand.New(rand.NewPCG(seed, 0))
	a := newAttempt(t, r)
	for i := range rounds {
		text := mutate(t, random)
		a.write(t, text)
		res := a.create(t)
		if res.Code != 0 {
			refused(t, res)
		} else {
			tidy(t, res)
			a.remove(t)
		}
		a.clean(t)
		if t.Failed() {
			t.Fatalf("BERTH_HOSTILE_SEED=%d, round %d, config: %s", seed, i, text)
		}
	}
}

// mutate either changes bytes of the text or values of the tree.
func mutate(t *testing.T, random *rand.Rand) []byte {
	t.Helper()
	tree := good(t)
	if random.IntN(2) == 0 {
		for range 1 + random.IntN(3) {
			twist(random, tree)
		}
	}
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	if random.IntN(3) == 0 {
		for range 1 + random.IntN(4) {
			text[random.IntN(len(text))] = byte(random.IntN(256))
		}
	}
	return text
}

// odd are values that fit nowhere. No path of the host is among them, so that
// a config that is accepted does no harm.
var odd = []any{
	nil, -1, 0, 1, 1e18, "", "a", "../..", "/", strings.Repeat("x", 5000), "\x00", true, list{}, object{}, list{nil},
	list{"", "a"}, object{"path": "", "type": "x"},
}

// twist replaces a value somewhere in v. The root and cgroupsPath stay, so that
// the container, if there is one, is where it is looked for.
func twist(random *rand.Rand, v any) {
	switch node := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(node))
		for name := range node {
			if name != "root" && name != "cgroupsPath" && name != "mounts" {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return
		}
		// Maps have no order of their own, and the seed must mean something.
		slices.Sort(names)
		name := names[random.IntN(len(names))]
		if random.IntN(3) == 0 {
			node[name] = odd[random.IntN(len(odd))]
			return
		}
		twist(random, node[name])
	case []any:
		if len(node) == 0 {
			return
		}
		i := random.IntN(len(node))
		if random.IntN(2) == 0 {
			node[i] = odd[random.IntN(len(odd))]
			return
		}
		twist(random, node[i])
	}
}
