// SPDX-License-Identifier: Apache-2.0

package main

import "slices"

// samples are the measurements by row and tool.
type samples map[string]map[string][]float64

func (s samples) add(row, tool string, value float64) {
	if s[row] == nil {
		s[row] = map[string][]float64{}
	}
	s[row][tool] = append(s[row][tool], value)
}

// summary is what is reported of a series.
type summary struct {
	min, median, mean, max float64
	n                      int
}

func summarize(values []float64) summary {
	if len(values) == 0 {
		return summary{}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	s := summary{min: sorted[0], max: sorted[n-1], n: n, median: sorted[n/2]}
	if n%2 == 0 {
		s.median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	for _, v := range sorted {
		s.mean += v / float64(n)
	}
	return s
}
