// SPDX-License-Identifier: Apache-2.0

package limit

import "testing"

func TestCPUWeight(t *testing.T) {
	for shares, want := range map[uint64]uint64{0: 0, 1: 1, 2: 1, 1024: 100, 262144: 10000, 1 << 40: 10000} {
		if got := CPUWeight(shares); got != want {
			t.Errorf("CPUWeight(%d) = %d, want %d", shares, got, want)
		}
	}
	last := uint64(0)
	for shares := uint64(2); shares <= MaxShares; shares++ {
		w := CPUWeight(shares)
		if w < last || w < 1 || w > 10000 {
			t.Fatalf("CPUWeight(%d) = %d after %d, want a rising value in 1–10000", shares, w, last)
		}
		last = w
	}
}

func TestIOWeight(t *testing.T) {
	for blkio, want := range map[uint16]uint64{1: 1, 10: 1, 11: 11, 500: 4950, 1000: 10000} {
		if got := IOWeight(blkio); got != want {
			t.Errorf("IOWeight(%d) = %d, want %d", blkio, got, want)
		}
	}
}
