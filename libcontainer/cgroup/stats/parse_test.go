// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseUint(t *testing.T) {
	for _, c := range []struct {
		text string
		want uint64
		err  string
	}{
		{"0", 0, ""},
		{"18446744073709551615", Unlimited, ""},
		{"18446744073709551616", Unlimited, ""},
		{"99999999999999999999999999", Unlimited, ""},
		{"max", Unlimited, ""},
		{"-4096", 0, ""},
		{"", 0, `"" is not a number`},
		{"-", 0, `"-" is not a number`},
		{"1e3", 0, `"1e3" is not a number`},
		{"--1", 0, `"--1" is not a number`},
		{"+1", 0, `"+1" is not a number`},
		{strings.Repeat("x", 100), 0, `"` + strings.Repeat("x", 80) + `" is not a number`},
	} {
		got, err := parseUint([]byte(c.text))
		if got != c.want || text(err) != c.err {
			t.Errorf("parseUint(%q) = %d, %v, want %d, %s", c.text, got, err, c.want, c.err)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestParseList(t *testing.T) {
	for _, c := range []struct {
		text string
		want []uint16
		ok   bool
	}{
		{"", nil, true},
		{"\n", nil, true},
		{"0\n", []uint16{0}, true},
		{"0-2,7\n", []uint16{0, 1, 2, 7}, true},
		{"65535", []uint16{65535}, true},
		{"65536", nil, false},
		{"1-", nil, false},
		{"2-1", nil, false},
		{"0-65535,0-65535", nil, false},
		{",", nil, false},
		{"max", nil, false},
	} {
		got, err := parseList([]byte(c.text))
		if !reflect.DeepEqual(got, c.want) || (err == nil) != c.ok {
			t.Errorf("parseList(%q) = %v, %v, want %v, ok %v", c.text, got, err, c.want, c.ok)
		}
	}
}

func TestParseBlkio(t *testing.T) {
	for _, c := range []struct {
		text string
		want []BlkioEntry
		err  string
	}{
		{"", nil, ""},
		{"Total 0\n", nil, ""},
		{"8:0 Read 5\n259:1 Nanosleep 7\nTotal 12\n", []BlkioEntry{{8, 0, "Read", 5}, {259, 1, "Nanosleep", 7}}, ""},
		{"8:16 42\n", []BlkioEntry{{8, 16, "", 42}}, ""},
		{"8 Read 5\n", nil, `cannot parse line "8 Read 5"`},
		{"8:0 Read\n", nil, `cannot parse line "8:0 Read"`},
		{"8:0 Read 5 6\n", nil, `cannot parse line "8:0 Read 5 6"`},
		{"8:0\n", nil, `cannot parse line "8:0"`},
	} {
		got, err := parseBlkio([]byte(c.text))
		if !reflect.DeepEqual(got, c.want) || text(err) != c.err {
			t.Errorf("parseBlkio(%q) = %v, %v, want %v, %s", c.text, got, err, c.want, c.err)
		}
	}
}

func TestParseIOStat(t *testing.T) {
	for _, c := range []struct {
		text  string
		bytes []BlkioEntry
		count []BlkioEntry
		err   string
	}{
		{"8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n",
			[]BlkioEntry{{8, 0, "Read", 1}, {8, 0, "Write", 2}}, []BlkioEntry{{8, 0, "Read", 3}, {8, 0, "Write", 4}}, ""},
		// Before Linux 5.19, a device without numbers.
		{"7:0 8:0 rbytes=1\n", []BlkioEntry{{8, 0, "Read", 1}}, nil, ""},
		{"8:0\n", nil, nil, ""},
		{"(unknown) \n8:0 rios=1\n", nil, []BlkioEntry{{8, 0, "Read", 1}}, ""},
		{"(unknown) rios=1\n", nil, nil, `cannot parse line "(unknown) rios=1"`},
		{"8:0 rios=one\n", nil, nil, `cannot parse line "8:0 rios=one"`},
	} {
		var b Blkio
		err := parseIOStat([]byte(c.text), &b)
		if !reflect.DeepEqual(b.IOServiceBytesRecursive, c.bytes) || !reflect.DeepEqual(b.IOServicedRecursive, c.count) || text(err) != c.err {
			t.Errorf("parseIOStat(%q) = %+v, %v, want %v, %v, %s", c.text, b, err, c.bytes, c.count, c.err)
		}
	}
}

func TestParsePSI(t *testing.T) {
	for _, c := range []struct {
		text string
		want *PSI
	}{
		{"", &PSI{}},
		{"some avg10=1.50 avg60=100.00 avg300=0.00 total=7\n", &PSI{Some: PSIData{1.5, 100, 0, 7}}}, // no full before Linux 5.13
		{"some avg10=1 new=x\nfull total=8\nirq y\n", &PSI{Some: PSIData{Avg10: 1}, Full: PSIData{Total: 8}}},
		{"some avg10=NaN\n", nil},
		{"some avg10=-1\n", nil},
		{"full total\n", nil},
	} {
		got, err := parsePSI([]byte(c.text))
		if !reflect.DeepEqual(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("parsePSI(%q) = %+v, %v, want %+v", c.text, got, err, c.want)
		}
	}
}

func TestSwapIsCountedTogetherWithMemory(t *testing.T) {
	for _, c := range []struct{ memory, swap, want MemoryEntry }{
		{MemoryEntry{Limit: 10, Usage: 1, Max: 5}, MemoryEntry{Limit: 20, Usage: 2}, MemoryEntry{Limit: 30, Usage: 3}},
		{MemoryEntry{Limit: 10}, MemoryEntry{Limit: Unlimited}, MemoryEntry{Limit: Unlimited}},
		{MemoryEntry{Limit: Unlimited}, MemoryEntry{Limit: 20}, MemoryEntry{Limit: Unlimited}},
		{MemoryEntry{Limit: Unlimited}, MemoryEntry{Limit: Unlimited}, MemoryEntry{Limit: Unlimited}},
		{MemoryEntry{Limit: Unlimited}, MemoryEntry{}, MemoryEntry{Limit: Unlimited}},
	} {
		if got := withSwap(c.memory, c.swap); got != c.want {
			t.Errorf("withSwap(%+v, %+v) = %+v, want %+v", c.memory, c.swap, got, c.want)
		}
	}
}

func TestDerivedNumbers(t *testing.T) {
	before, now := CPUUsage{Total: 1e9}, CPUUsage{Total: 4e9}
	if got := now.Percent(before, 2*time.Second); got != 150 {
		t.Errorf("CPU = %v, want 150", got)
	}
	if got := before.Percent(now, time.Second) + now.Percent(before, 0); got != 0 {
		t.Errorf("CPU of a new cgroup, or of no time = %v, want 0", got)
	}
	if got := (Throttling{Periods: 30, ThrottledPeriods: 8}).Percent(Throttling{Periods: 10, ThrottledPeriods: 3}); got != 25 {
		t.Errorf("throttled = %v, want 25", got)
	}
	for _, c := range []struct {
		raw  map[string]uint64
		want uint64
	}{
		{nil, 100},
		{map[string]uint64{"inactive_file": 30}, 70},
		{map[string]uint64{"inactive_file": 30, "total_inactive_file": 40}, 60},
		{map[string]uint64{"inactive_file": 101}, 0},
	} {
		m := Memory{Usage: MemoryEntry{Usage: 100}, Raw: c.raw}
		if got := m.WorkingSet(); got != c.want {
			t.Errorf("working set of %v = %d, want %d", c.raw, got, c.want)
		}
	}
	b := Blkio{IOServiceBytesRecursive: []BlkioEntry{{Op: "Read", Value: 1}, {Op: "Write", Value: 2}, {Op: "Total", Value: 3}, {Op: "Read", Value: 4}}}
	if read, written := b.Bytes(); read != 5 || written != 2 {
		t.Errorf("bytes = %d, %d, want 5, 2", read, written)
	}
}

func TestNumbersAreNotAllocated(t *testing.T) {
	flat := []byte("usage_usec 1234567\nuser_usec 1000000\nsystem_usec 234567\n")
	io := []byte("Total 0\n")
	sum := uint64(0)
	n := testing.AllocsPerRun(100, func() {
		_ = parseFlat(flat, func(_ []byte, n uint64) { sum += n })
		_, _ = parseBlkio(io)
	})
	if n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// FuzzParsers: no input makes a parser crash, or give what JSON cannot say.
func FuzzParsers(f *testing.F) {
	for _, s := range []string{"", "max\n", "-1\n", "user 21\nsystem 3\n", "0-2,7\n", "cpu user system\n0 1 2\n", "8:0 Read 5\nTotal 5\n",
		"8:16 8:0 rbytes=1 wios=2\n", "some avg10=1.53 total=8\nfull avg10=inf\n", "mlx4_0 hca_handle=2 hca_object=max\n", "0-65535,1-3"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s Stats
		var err error
		if s.CPU.Usage.Total, err = parseNumber(data); err != nil && s.CPU.Usage.Total != 0 {
			t.Errorf("number %d with %v", s.CPU.Usage.Total, err)
		}
		_, _ = parseInt(data)
		_ = parseFlat(data, func(key []byte, _ uint64) {
			if len(key) == 0 {
				t.Error("empty key")
			}
		})
		s.CPU.Usage.PerCPU, _ = parseNumbers(data)
		user, kernel, _ := parseUsageAll(data)
		if len(user) != len(kernel) {
			t.Errorf("%d CPUs and %d", len(user), len(kernel))
		}
		if s.CPUSet.CPUs, _ = parseList(data); len(s.CPUSet.CPUs) > math.MaxUint16+1 {
			t.Errorf("%d CPUs", len(s.CPUSet.CPUs))
		}
		s.Blkio.IOTimeRecursive, _ = parseBlkio(data)
		_ = parseIOStat(data, &s.Blkio)
		s.CPU.PSI, _ = parsePSI(data)
		rdma, _ := parseRDMA(data)
		s.RDMA = &RDMA{Current: rdma}
		if _, err := json.Marshal(s); err != nil {
			t.Error(err)
		}
	})
}
