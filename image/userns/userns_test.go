// SPDX-License-Identifier: Apache-2.0

package userns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestSubordinates(t *testing.T) {
	const text = "root:1:1\nme:100000:65536\n# x\nother:5:5\n1000:300000:10\nme:1:0\n"
	own := []specs.LinuxIDMapping{{HostID: 1000, Size: 1}}
	got, err := subordinates(text, []string{"1000", "me"}, own)
	want := []specs.LinuxIDMapping{{HostID: 1000, Size: 1}, {ContainerID: 1, HostID: 100000, Size: 65536}, {ContainerID: 65537, HostID: 300000, Size: 10}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	for _, bad := range []string{"me:x:1", "me:1:4294967295", "me:4294967295:1", "me:-1:5"} {
		if _, err := subordinates(bad, []string{"me"}, own); err == nil || err.Error() != fmt.Sprintf("%q is no range of ids", bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// The kernel refuses a map that has an id twice, and with it all ids.
func TestOverlappingRangesCountOnce(t *testing.T) {
	for text, want := range map[string][]specs.LinuxIDMapping{
		"me:5000:10\n1000:5000:10\n": {{ContainerID: 1, HostID: 5000, Size: 10}},
		"me:5000:10\nme:5004:10\n":   {{ContainerID: 1, HostID: 5000, Size: 10}, {ContainerID: 11, HostID: 5010, Size: 4}},
		"me:5004:2\nme:5000:10\n":    {{ContainerID: 1, HostID: 5004, Size: 2}, {ContainerID: 3, HostID: 5000, Size: 4}, {ContainerID: 7, HostID: 5006, Size: 4}},
		"me:999:3\n":                 {{ContainerID: 1, HostID: 999, Size: 1}, {ContainerID: 2, HostID: 1001, Size: 1}},
		"me:1000:1\n":                nil,
	} {
		own := specs.LinuxIDMapping{HostID: 1000, Size: 1}
		got, err := subordinates(text, []string{"1000", "me"}, []specs.LinuxIDMapping{own})
		if want = append([]specs.LinuxIDMapping{own}, want...); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestAUserWithoutRangesHasNone(t *testing.T) {
	if m, err := Subordinate("nobody-has-this-name", 4_000_000_000, 4_000_000_001); !errors.Is(err, ErrNone) || !m.Initial() {
		t.Errorf("got %v, %v; want ErrNone", m, err)
	}
}

func TestReadMap(t *testing.T) {
	file := filepath.Join(t.TempDir(), "uid_map")
	for text, want := range map[string][]specs.LinuxIDMapping{
		"         0          0 4294967295\n": {{Size: 4294967295}},
		"         0       1000          1\n         1     100000      65536\n": {
			{HostID: 1000, Size: 1}, {ContainerID: 1, HostID: 100000, Size: 65536}},
		"0 1 x\n":   nil,
		"0 1 2 3\n": nil,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readMap(file)
		if (err != nil) != (want == nil) || want != nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestNamesTellMapsApart(t *testing.T) {
	a, b := Single(1000, 1000), Single(1000, 1001)
	if a.Name() == b.Name() || a.Name() != Single(1000, 1000).Name() || (Maps{}).Name() != "" {
		t.Errorf("names are %q, %q and %q", a.Name(), b.Name(), Maps{}.Name())
	}
}

func TestMainLeavesOtherRunsAlone(t *testing.T) {
	for _, args := range [][]string{{"x"}, {"x", "run", argument}} {
		if got, err := Main(args); err != nil || !slices.Equal(got, args) || Entered(args) {
			t.Errorf("%q became %q, %v", args, got, err)
		}
	}
}
