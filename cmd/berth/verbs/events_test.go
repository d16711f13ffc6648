// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"testing"
	"time"
)

func TestIntervals(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration
		err  string
	}{
		{"5s", 5 * time.Second, ""},
		{"1m30s", 90 * time.Second, ""},
		{"500ms", 500 * time.Millisecond, ""},
		{"0s", 0, "duration interval must be greater than 0"},
		{"-1s", -time.Second, "duration interval must be greater than 0"},
		{"5", time.Second, "must be a duration such as 500ms, 5s or 1m30s"}, // youki's seconds
		{"", time.Second, "must be a duration such as 500ms, 5s or 1m30s"},
	} {
		got := time.Second
		f := duration(&got, "", "interval")
		err := f.set(c.text)
		if err == nil {
			err = checkInterval(got)
		}
		if got != c.want || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%q = %v, %v, want %v, %s", c.text, got, err, c.want, c.err)
		}
	}
}

func TestDefaultIntervals(t *testing.T) {
	if got := newEvents().(*eventsCommand).interval; got != 5*time.Second {
		t.Errorf("events: %v, want 5s", got)
	}
	if got := newTop().(*topCommand).interval; got != time.Second {
		t.Errorf("top: %v, want 1s", got)
	}
}
