// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"fmt"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestCompleteCPU(t *testing.T) {
	quota, period := int64(5000), uint64(20000)
	for _, c := range []struct {
		give specs.LinuxCPU
		now  string
		want string
	}{
		{specs.LinuxCPU{Quota: &quota}, "max 50000", "5000 50000"},
		{specs.LinuxCPU{Period: &period}, "7000 100000", "7000 20000"},
		{specs.LinuxCPU{Period: &period}, "max 100000", "- 20000"},
		{specs.LinuxCPU{Quota: &quota, Period: &period}, "7000 100000", "5000 20000"},
		{specs.LinuxCPU{}, "7000 100000", "- -"},
		{specs.LinuxCPU{Quota: &quota}, "", "5000 -"},
	} {
		got := completeCPU(c.give, c.now)
		if s := text(got.Quota) + " " + text(got.Period); s != c.want {
			t.Errorf("with %q in cpu.max: %s, want %s", c.now, s, c.want)
		}
	}
}

func TestCompleteMemory(t *testing.T) {
	n := func(v int64) *int64 { return &v }
	for _, c := range []struct {
		give         specs.LinuxMemory
		memory, swap string
		want         string
	}{
		{specs.LinuxMemory{Swap: n(300)}, "100", "max", "100 300"},
		{specs.LinuxMemory{Limit: n(50)}, "100", "100", "50 200"}, // memory+swap stays
		{specs.LinuxMemory{Limit: n(50)}, "100", "max", "50 -"},
		{specs.LinuxMemory{Limit: n(-1)}, "100", "100", "-1 -"},
		{specs.LinuxMemory{Limit: n(50)}, "max", "max", "50 -"},
		{specs.LinuxMemory{Swap: n(-1)}, "100", "0", "- -1"},
		{specs.LinuxMemory{}, "100", "100", "- -"},
	} {
		got := completeMemory(c.give, c.memory, c.swap)
		if s := text(got.Limit) + " " + text(got.Swap); s != c.want {
			t.Errorf("with %s and %s: %s, want %s", c.memory, c.swap, s, c.want)
		}
	}
}

func text[T any](p *T) string {
	if p == nil {
		return "-"
	}
	return fmt.Sprint(*p)
}

func TestTableChanges(t *testing.T) {
	table := func(rules ...string) Writes {
		var w Writes
		for _, r := range rules {
			w = append(w, Write{Controller: "devices", File: "devices.allow", Value: r})
		}
		return w
	}
	for _, c := range []struct {
		now  string
		new  Writes
		want string
	}{
		{"c 1:3 rwm\n", table("c 1:3 rwm"), ""},
		{"c 1:3 rwm\n", table("c 1:3 r", "b 8:0 r"), "allow b 8:0 r, deny c 1:3 wm"},
		{"c 1:3 r\nc 1:5 rwm\n", table("c 1:3 rwm"), "allow c 1:3 wm, deny c 1:5 rwm"},
		{"", table("c 1:3 rwm"), "allow c 1:3 rwm"},
	} {
		old, listed := parseTable(c.now)
		if !listed {
			t.Fatalf("%q: taken for a table that allows all", c.now)
		}
		var got []string
		for _, w := range tableChanges(old, c.new) {
			got = append(got, strings.TrimPrefix(w.File, "devices.")+" "+w.Value)
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%q to %v: %s, want %s", c.now, c.new, s, c.want)
		}
	}
	if _, listed := parseTable("a *:* rwm\n"); listed {
		t.Error("a table that allows all was taken for a list")
	}
}

// The digest of a privileged container's rules, in each form that engines give.
func TestAllDevices(t *testing.T) {
	all := specs.LinuxDeviceCgroup{Allow: true, Access: "rwm"}
	typed := specs.LinuxDeviceCgroup{Allow: true, Type: "a", Access: "rwm"}
	none := specs.LinuxDeviceCgroup{Access: "rwm"}
	null := specs.LinuxDeviceCgroup{Allow: true, Type: "c", Access: "rwm", Major: new(int64(1)), Minor: new(int64(3))}
	for _, f := range []Facts{{Hierarchies: []Hierarchy{{Controllers: []string{"devices"}, Mountpoint: "/d"}}}, {Unified: true}} {
		for _, rules := range [][]specs.LinuxDeviceCgroup{{all}, {typed}, {none, all}, {none, null, all}} {
			l, err := Compile(&specs.LinuxResources{Devices: rules}, f)
			if err != nil || l.Devices.Digest() != AllDevices(f).Digest() {
				t.Errorf("%v: %v, %v; want %v", rules, l.Devices, err, AllDevices(f))
			}
		}
		l, err := Compile(nil, f)
		if err != nil || l.Devices.Digest() == AllDevices(f).Digest() {
			t.Errorf("the default rules: %v, %v", l.Devices, err)
		}
	}
}

func TestSplitKeepsRoomForTheHolder(t *testing.T) {
	l := Limits{Writes: Writes{{File: "memory.max", Value: "1"}, {File: "pids.max", Value: "1"}}}
	if early, late := l.Split(false); len(early.Writes) != 2 || late != nil {
		t.Errorf("without holder: %v, %v", early, late)
	}
	if early, late := l.Split(true); len(early.Writes) != 1 || len(late) != 1 || late[0].File != "pids.max" {
		t.Errorf("with holder: %v, %v", early, late)
	}
	none := Limits{Writes: Writes{{File: "pids.max", Value: "0", Origin: "linux.resources.unified"}}}
	if early, late := none.Split(true); len(early.Writes) != 0 || len(late) != 1 {
		t.Errorf("no processes at all: %v, %v", early, late)
	}
	one, two := int64(0), int64(2) // 0 is 1, see limit.PIDsMax
	for limit, want := range map[*int64]int64{&one: 2, &two: 2} {
		r := roomForHolder(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: limit}}, 5)
		if *r.Pids.Limit != want {
			t.Errorf("limit %d: %d, want %d", *limit, *r.Pids.Limit, want)
		}
	}
}

func TestChangeString(t *testing.T) {
	w := Write{File: "pids.max", Value: "5", Origin: "linux.resources.pids.limit"}
	for want, c := range map[string]Change{
		"/c/pids.max: max → 5  # linux.resources.pids.limit":       {w, "/c/pids.max", "max", true},
		"/c/pids.max: 5 (unchanged)  # linux.resources.pids.limit": {w, "/c/pids.max", "5", true},
		"/c/pids.max: (empty) → 5  # linux.resources.pids.limit":   {w, "/c/pids.max", "", true},
		"/c/pids.max: (unset) → 5  # linux.resources.pids.limit":   {w, "/c/pids.max", "", false},
	} {
		if got := c.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
