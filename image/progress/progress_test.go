// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

var steps = []Step{
	{ID: "sha256:0123456789abcdef", What: "pull", State: Active, Done: 0, Total: 3000},
	{ID: "sha256:0123456789abcdef", What: "pull", State: Active, Done: 1500, Total: 3000},
	{ID: "there", What: "pull", State: Exists, Total: 5},
	{ID: "sha256:0123456789abcdef", What: "pull", State: Finished, Done: 3000, Total: 3000},
	{ID: "broken", What: "unpack", State: Failed, Total: 5},
}

func TestModes(t *testing.T) {
	for mode, want := range map[Mode]string{
		Quiet: "",
		Lines: "pull there: is there already\npull 0123456789ab: done (3kB)\nunpack broken: failed\n",
		JSON: `{"id":"sha256:0123456789abcdef","action":"pull","state":"active","done":0,"total":3000}
{"id":"there","action":"pull","state":"exists","done":0,"total":5}
{"id":"sha256:0123456789abcdef","action":"pull","state":"done","done":3000,"total":3000}
{"id":"broken","action":"unpack","state":"failed","done":0,"total":5}
`,
	} {
		var out bytes.Buffer
		p := newPrinter(&out, mode)
		p.now = func() time.Time { return time.Unix(1e9, 0) } // no time passes
		for _, s := range steps {
			p.Update(s)
		}
		p.Close()
		if out.String() != want {
			t.Errorf("mode %d prints %q, want %q", mode, out.String(), want)
		}
	}
}

// Bars end with their steps, in whatever state those are left.
func TestBars(t *testing.T) {
	var out bytes.Buffer
	p := newPrinter(&out, Bars)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			s := Step{ID: fmt.Sprint(i), What: "pull", State: Active, Total: 100}
			for s.Done = 0; s.Done < 100; s.Done += 10 {
				p.Update(s)
			}
			if i%2 == 0 {
				s.State = Finished
				p.Update(s)
			}
		})
	}
	all.Wait()
	p.Update(Step{ID: "failed", What: "pull", State: Failed})
	p.Close()
	p.Close()
	p.Update(Step{ID: "late", What: "pull", State: Finished})
	if !strings.Contains(out.String(), "pull 4") {
		t.Errorf("no bar: %q", out.String())
	}
}
