// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	bootstrap "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	"github.com/containerd/containerd/api/types"
	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	runtimeoptions "github.com/containerd/containerd/api/types/runtimeoptions/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"berth/libcontainer/config"
)

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func wrap(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anyOf(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestBootstrapOfEveryContainerd has what each version sends and must be told.
func TestBootstrapOfEveryContainerd(t *testing.T) {
	options := &runcoptions.Options{BinaryName: "/x/runc", SystemdCgroup: true}
	params := &bootstrap.BootstrapParams{InstanceID: "web", Namespace: "k8s.io", ContainerdTtrpcAddress: "/t"}
	if err := params.AddExtension(options); err != nil {
		t.Fatal(err)
	}
	modern := marshal(t, &bootstrap.BootstrapResult{Version: 3, Address: "unix:///s", Protocol: "ttrpc"})
	for _, c := range []struct {
		name, want string
		stdin      []byte
		env        map[string]string
		binary     string
	}{
		{"1.6 without options", "unix:///s", nil, nil, ""},
		{"1.6 with options", "unix:///s", marshal(t, wrap(t, options)), nil, "/x/runc"},
		{"1.7", `{"version":2,"address":"unix:///s","protocol":"ttrpc"}`, marshal(t, wrap(t, options)), map[string]string{"MAX_SHIM_VERSION": "2"}, "/x/runc"},
		{"2.2", `{"version":2,"address":"unix:///s","protocol":"ttrpc"}`, nil, map[string]string{"MAX_SHIM_VERSION": "2"}, ""},
		{"2.3", string(modern), marshal(t, params), map[string]string{"MAX_SHIM_VERSION": "2"}, "/x/runc"},
		{"parameters of another container are options of none", "", marshal(t, &bootstrap.BootstrapParams{InstanceID: "else", Namespace: "k8s.io"}), nil, ""},
	} {
		i := &Invocation{ID: "web", Namespace: "k8s.io", Stdin: bytes.NewReader(c.stdin), Env: func(k string) string { return c.env[k] }}
		r, err := readRequest(i)
		if c.want == "" {
			if !errors.Is(err, errInvalid) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got, err := reply(i, r, "unix:///s")
		if err != nil || string(got) != c.want || r.options.BinaryName != c.binary {
			t.Errorf("%s: %q %q, %v", c.name, got, r.options.BinaryName, err)
		}
	}
}

func TestOptionsOfBothTypes(t *testing.T) {
	body := "BinaryName = \"/usr/bin/crun\"\n# a comment\nSystemdCgroup = true\nIoUid = 1000\nRoot = '/r'\nSomething = 3\n"
	o, err := decodeOptions(wrap(t, &runtimeoptions.Options{TypeUrl: "x", ConfigBody: []byte(body)}))
	if err != nil || o.BinaryName != "/usr/bin/crun" || !o.SystemdCgroup || o.IoUid != 1000 || o.Root != "/r" {
		t.Errorf("%v, %v", o, err)
	}
	if _, err := decodeOptions(wrap(t, &runtimeoptions.Options{ConfigBody: []byte("SystemdCgroup = maybe")})); !errors.Is(err, errInvalid) {
		t.Errorf("a bad value: %v", err)
	}
	if _, err := decodeOptions(&anypb.Any{TypeUrl: "what.is.This"}); !errors.Is(err, errInvalid) {
		t.Errorf("a foreign type: %v", err)
	}
	dir := t.TempDir()
	if err := saveOptions(dir, o); err != nil {
		t.Fatal(err)
	}
	if back, err := loadOptions(dir); err != nil || !proto.Equal(back, o) {
		t.Errorf("read back: %v, %v", back, err)
	}
}

// What `ctr run --uidmap` of containerd 1.6 sends to io.containerd.berth.v2.
func TestOptionsOfContainerd1ForAnUnknownRuntime(t *testing.T) {
	typeURL := "containerd.linux.runc.CreateOptions"
	// no_pivot_root, file_locks, empty_namespaces, no_new_keyring, shim_cgroup, io_uid, io_gid
	value := []byte("\x08\x01\x28\x01\x32\x03net\x40\x01\x4a\x02/a\x50\xa0\x8d\x06\x58\xc0\x9a\x0c")
	o, err := decodeOptions(&anypb.Any{TypeUrl: typeURL, Value: value})
	want := &runcoptions.Options{NoPivotRoot: true, NoNewKeyring: true, ShimCgroup: "/a", IoUid: 100000, IoGid: 200000}
	if err != nil || !proto.Equal(o, want) {
		t.Errorf("got %v, %v; want %v", o, err, want)
	}
	if _, err := decodeOptions(&anypb.Any{TypeUrl: typeURL, Value: value[:len(value)-1]}); !errors.Is(err, errInvalid) {
		t.Errorf("cut off: %v, want invalid", err)
	}
}

func TestGroupIsTheFirstAnnotation(t *testing.T) {
	for _, c := range []struct{ annotations, want string }{
		{`{}`, "web"},
		{`{"io.kubernetes.cri.sandbox-id":"pod"}`, "pod"},
		{`{"io.kubernetes.cri.sandbox-id":"pod","io.containerd.runc.v2.group":"group"}`, "group"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"annotations":`+c.annotations+`}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := group(dir, "web"); err != nil || got != c.want {
			t.Errorf("%s: %q, %v", c.annotations, got, err)
		}
	}
}

func TestSocketPaths(t *testing.T) {
	a, err := socketPath("/run/s", "/run/containerd/containerd.sock", "ns", "web")
	if err != nil || len(a) != len("/run/s/")+64 {
		t.Errorf("%q, %v", a, err)
	}
	b, err := socketPath("/run/s", "/run/containerd/containerd.sock", "ns", "web2")
	if err != nil || a == b {
		t.Errorf("%q and %q, %v", a, b, err)
	}
	if _, err := socketPath("/"+strings.Repeat("x", 43), "", "ns", "web"); err == nil {
		t.Error("a path that no socket can have")
	}
}

func TestListenReplacesADeadSocketAndFindsALiveOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode: %v, %v", st.Mode(), err)
	}
	if _, err := listen(path); !errors.Is(err, errServed) {
		t.Errorf("a second listener: %v", err)
	}
	_ = first.Close()
	again, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}

func TestMountsOfContainerd(t *testing.T) {
	c, err := parseMount("/b/rootfs", &types.Mount{Type: "overlay", Source: "overlay", Options: []string{"index=off", "lowerdir=/a:/b", "ro", "nosuid"}})
	if err != nil || strings.Join(c.data, ",") != "index=off,lowerdir=/a:/b" || c.flags != 3 {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = parseMount("/b/rootfs", &types.Mount{Type: "bind", Source: "/x", Options: []string{"rbind", "rw"}})
	if err != nil || c.flags != 0x5000 {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = parseMount("/b/rootfs", &types.Mount{Type: "overlay", Options: []string{"lowerdir=/a", "uidmap=0:1000:1,1:5000:9", "gidmap=0:2000:65536"}})
	want := &idmaps{uids: []config.IDMap{{ContainerID: 0, HostID: 1000, Size: 1}, {ContainerID: 1, HostID: 5000, Size: 9}},
		gids: []config.IDMap{{ContainerID: 0, HostID: 2000, Size: 65536}}}
	if err != nil || !reflect.DeepEqual(c.maps, want) || len(c.data) != 1 {
		t.Errorf("maps of a pod's user namespace: %+v, %v", c, err)
	}
	if _, err := parseMount("/b/rootfs", &types.Mount{Type: "overlay", Options: []string{"uidmap=0:1000", "gidmap=0:1000"}}); !errors.Is(err, errInvalid) {
		t.Errorf("half a map: %v", err)
	}
	if _, err := parseMount("/b/rootfs", &types.Mount{Type: "bind", Target: "../../etc"}); !errors.Is(err, errInvalid) {
		t.Errorf("a target outside: %v", err)
	}
}

// The first one counts, so each may be there once.
func TestShimEnv(t *testing.T) {
	got := shimEnv([]string{"GOMAXPROCS=2", "PATH=/bin", "TTRPC_ADDRESS=/old"}, "/new")
	want := []string{"PATH=/bin", "GOMAXPROCS=1", "TTRPC_ADDRESS=/new"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
