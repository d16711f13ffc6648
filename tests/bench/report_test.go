// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestSummarize(t *testing.T) {
	got := summarize([]float64{4, 1, 3, 2})
	want := summary{min: 1, median: 2.5, mean: 2.5, n: 4}
	if got != want {
		t.Errorf("summary = %+v, want %+v", got, want)
	}
	if got := summarize(nil); got != (summary{}) {
		t.Errorf("summary of nothing = %+v", got)
	}
}

func TestReportShowsRatios(t *testing.T) {
	s := samples{}
	for _, v := range []float64{2, 2, 2} {
		s.add(opSpec, "berth", v)
		s.add(opSpec, "crun", 2*v)
	}
	r := &results{opts: options{first: "berth", rounds: 3}, samples: s, names: []string{"berth", "crun", floorName}, when: time.Unix(0, 0)}
	if text := r.markdown(); !strings.Contains(text, "| crun | 4.00 | 4.00 | 4.00 | ms | 3 | 0.50 | 0.50 |") {
		t.Errorf("no ratio of 0.50 in:\n%s", text)
	}
	for d := xml.NewDecoder(strings.NewReader(r.plot())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the plot is no XML: %v", err)
		}
	}
}
