// SPDX-License-Identifier: Apache-2.0

package main

import "slices"

// summary is what is reported of a series.
type summary struct {
	min, median, mean float64
	n                 int
}

func summarize(values []float64) summary {
	if len(values) == 0 {
		return summary{}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	s := summary{min: sorted[0], n: n, median: sorted[n/2]}
	if n%2 == 0 {
		s.median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	for _, v := range sorted {
		s.mean += v / float64(n)
	}
	return s
}
