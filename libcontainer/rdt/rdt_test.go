// SPDX-License-Identifier: Apache-2.0

package rdt

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"berth/libcontainer/config"
)

// group makes a directory like those of resctrl; a plain file keeps what was
// written last.
func group(t *testing.T, path, schemata string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(path, "mon_groups"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"schemata": schemata, "tasks": ""} {
		if err := os.WriteFile(filepath.Join(path, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func content(t *testing.T, elem ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestPlan(t *testing.T) {
	root := t.TempDir()
	group(t, root, "")
	group(t, root+"/gold", "    MB:0=100;1= 20\n    L3:0=00f;1=0ff\n")
	cases := []struct {
		name string
		cfg  config.IntelRDT
		want Group
	}{
		{"own group without a schema", config.IntelRDT{}, Group{Path: root + "/web", Create: true, Own: true}},
		{"own group", config.IntelRDT{Schemata: []string{"L2:0=f"}, MemBwSchema: "MB:0=20", L3CacheSchema: "L3:0=f"},
			Group{Path: root + "/web", Create: true, Own: true, Schemata: []string{"L3:0=f", "MB:0=20", "L2:0=f"}}},
		{"class made by us", config.IntelRDT{ClosID: "silver", L3CacheSchema: "L3:0=f"},
			Group{Path: root + "/silver", Create: true, Schemata: []string{"L3:0=f"}}},
		{"existing class", config.IntelRDT{ClosID: "gold", EnableMonitoring: true},
			Group{Path: root + "/gold", MonPath: root + "/gold/mon_groups/web"}},
		{"existing class, equal schemas", config.IntelRDT{ClosID: "gold", L3CacheSchema: "L3:0=F;1=ff", MemBwSchema: "MB:1=20"},
			Group{Path: root + "/gold", Schemata: []string{"L3:0=F;1=ff", "MB:1=20"}}},
		{"default group", config.IntelRDT{ClosID: "/", EnableMonitoring: true},
			Group{Path: root, MonPath: root + "/mon_groups/web"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := plan(root, "web", &c.cfg)
			if err != nil || !reflect.DeepEqual(*got, c.want) {
				t.Errorf("plan = %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	root := t.TempDir()
	group(t, root, "")
	group(t, root+"/gold", "L3:0=f\n")
	cases := []struct {
		cfg  config.IntelRDT
		want string
	}{
		{config.IntelRDT{ClosID: "none"}, `linux.intelRdt.closID: group "none" does not exist`},
		{config.IntelRDT{ClosID: "none", EnableMonitoring: true}, "does not exist"},
		{config.IntelRDT{ClosID: "gold", L3CacheSchema: "L3:0=3"}, `linux.intelRdt.l3CacheSchema: group "gold" has L3:0=f, not 3`},
		{config.IntelRDT{ClosID: "gold", MemBwSchema: "MB:0=20"}, "linux.intelRdt.memBwSchema"},
		{config.IntelRDT{ClosID: "../x"}, "invalid group name"},
		{config.IntelRDT{ClosID: ".."}, "invalid group name"},
		{config.IntelRDT{ClosID: "info"}, "kernel's own"},
		{config.IntelRDT{Schemata: []string{"a\nb"}}, "newline"},
	}
	for _, c := range cases {
		if g, err := plan(root, "web", &c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("plan of %+v = %+v, %v; want %q", c.cfg, g, err, c.want)
		}
	}
	if _, err := plan(root, "info", &config.IntelRDT{}); err == nil {
		t.Error("a container called info got the kernel's directory")
	}
}

func TestApplyAndRemove(t *testing.T) {
	root := t.TempDir()
	group(t, root+"/gold", "")
	mon := root + "/gold/mon_groups/web"
	// The kernel fills a new directory; here the files must be there before.
	g := &Group{Path: root + "/gold", Schemata: []string{"L3:0=f"}}
	if err := Apply(g, 42); err != nil {
		t.Fatal(err)
	}
	if got := content(t, root, "gold/schemata"); got != "L3:0=f\n" {
		t.Errorf("schemata = %q", got)
	}
	if got := content(t, root, "gold/tasks"); got != "42\n" {
		t.Errorf("tasks = %q", got)
	}
	g.MonPath = mon
	if err := Apply(g, 42); err == nil || !strings.Contains(err.Error(), "enableMonitoring") {
		t.Errorf("Apply without a tasks file = %v, want an error of enableMonitoring", err)
	}
	if _, err := os.Stat(mon); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after a failure the monitoring group = %v, want none", err)
	}
	if err := os.Mkdir(mon, 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing
		if err := Remove(g); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(mon); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the monitoring group = %v, want none", err)
	}
	if _, err := os.Stat(root + "/gold"); err != nil {
		t.Errorf("somebody else's group is gone: %v", err)
	}
}

func TestFailedApplyRemovesItsGroup(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(root+"/info", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/info/last_cmd_status", []byte("unknown resource\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	g := &Group{Path: root + "/web", Create: true, Own: true, Schemata: []string{"XX:0=1"}}
	err := Apply(g, 42) // a plain directory has no schemata file
	if err == nil || !strings.Contains(err.Error(), `schema "XX:0=1"`) {
		t.Errorf("Apply = %v, want an error about the schema", err)
	}
	if _, err := os.Stat(g.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the group = %v, want none", err)
	}
	if got := reason(g.Path, err); got != " (unknown resource)" {
		t.Errorf("reason = %q, want the kernel's", got)
	}
	if err := errors.Join(Remove(g), Remove(nil), Apply(nil, 1)); err != nil {
		t.Error(err)
	}
}

func TestMountPoint(t *testing.T) {
	const other = "24 1 0:22 / /sys rw - sysfs sysfs rw\n"
	for text, want := range map[string]string{
		other: "",
		other + "30 24 0:30 / /sys/fs/resctrl rw,nosuid shared:9 - resctrl resctrl rw\n": "/sys/fs/resctrl",
		"30 24 0:30 / /a\\040b rw - resctrl none rw\n":                                   "/a b",
		"30 24 0:30 /sub /x rw - resctrl none rw\n":                                      "",
		"30 24 0:30 / /x rw - tmpfs resctrl rw\n":                                        "",
		"garbage": "",
	} {
		if got, ok := mountPoint(text); got != want || ok != (want != "") {
			t.Errorf("mountPoint(%q) = %q, %v; want %q", text, got, ok, want)
		}
	}
}

func TestUnsupportedIsSaidSo(t *testing.T) {
	if !errors.Is(ErrUnsupported, errors.ErrUnsupported) {
		t.Error("ErrUnsupported is not errors.ErrUnsupported")
	}
	if _, err := os.Stat("/sys/fs/resctrl/info"); err == nil {
		t.Skip("this machine has resctrl mounted")
	}
	if _, err := Plan("web", &config.IntelRDT{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("Plan = %v, want %v", err, ErrUnsupported)
	}
}
