// SPDX-License-Identifier: Apache-2.0

// Package series collects the measurements of benchmarks.
//
//	s := series.Set{}
//	s.Add("exec", "berth", 4.5)
//	fmt.Println(series.Summarize(s["exec"]["berth"]).Median)
package series

import "slices"

// Set is the measurements by row and by what was measured.
type Set map[string]map[string][]float64

// Add notes one.
func (s Set) Add(row, of string, value float64) {
	if s[row] == nil {
		s[row] = map[string][]float64{}
	}
	s[row][of] = append(s[row][of], value)
}

// Summary is what is reported of a series of N values.
type Summary struct {
	Min, Median, Mean, Max float64
	N                      int
}

// Summarize gives zeros for no values.
func Summarize(values []float64) Summary {
	if len(values) == 0 {
		return Summary{}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	s := Summary{Min: sorted[0], Max: sorted[n-1], N: n, Median: sorted[n/2]}
	if n%2 == 0 {
		s.Median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	for _, v := range sorted {
		s.Mean += v / float64(n)
	}
	return s
}
