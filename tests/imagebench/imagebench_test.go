// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/tests/series"
)

func TestReportShowsRatiosAndVerdicts(t *testing.T) {
	s := series.Set{}
	for _, v := range []float64{200, 200, 300} {
		s.Add(rowDisk, "berth", v)
		s.Add(rowDisk, "umoci", 4*v)
		s.Add(rowDisk, "tar", 0.8*v)
		s.Add(rowSpace, "berth", 37)
		s.Add(rowFlat, "unpack", 1000)
		s.Add(rowFlat, "unpack, 4 × as large", 1100)
		s.Add(rowFlat, "unpack, the applier", 1000)
		s.Add(rowFlat, "unpack, 4 × as large, the applier", 1200)
	}
	r := &results{opts: options{rounds: 3}, samples: s}
	for text, wants := range map[string][]string{
		r.markdown(): {
			"| " + rowDisk + " (to reach: ≤ 0.6 × umoci, ≤ 1 × tar) | berth | 200 | 200 | 233 | ms | 3 |  |  |\n",
			"|  | umoci | 800 | 800 | 933 | ms | 3 | 0.25 | 0.25 |\n",
		},
		r.table(): {
			"missed: 1.25 × tar\n",
			rowSpace + " (≤ 100 kB): reached\n",
			"missed: unpack, 4 × as large, the applier: 1.20 × the smaller one's\n",
		},
	} {
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in:\n%s", want, text)
			}
		}
	}
}

func TestDiskUseIsThatOfBlocks(t *testing.T) {
	dir := t.TempDir()
	before, err := diskUse(dir)
	if err != nil {
		t.Fatal(err)
	}
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer sparse.Close()
	if err := sparse.Truncate(64 << 20); err != nil {
		t.Fatal(err)
	}
	if after, err := diskUse(dir); err != nil || after-before >= 64<<20 {
		t.Errorf("a hole takes %d bytes, %v", after-before, err)
	}
}
