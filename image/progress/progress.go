// SPDX-License-Identifier: Apache-2.0

// Package progress shows how far each layer is: a bar each on a terminal, one
// plain line per finished step otherwise, or JSON for programs. All of it goes to
// stderr: stdout is for results.
//
//	p := progress.New(os.Stderr, progress.Auto)
//	p.Update(progress.Step{ID: "sha256:abc…", State: progress.Active, Done: 10, Total: 100})
//	p.Close()
package progress

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/docker/go-units"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/sys/unix"
)

// Mode is a way to show steps.
type Mode int

// The modes; Auto is Bars on a terminal and Lines elsewhere.
const (
	Auto Mode = iota
	Bars
	Lines
	JSON
	Quiet
)

// State of a step.
type State string

// The states: Exists, Finished and Failed are a step's end.
const (
	Active   State = "active"
	Exists   State = "exists"
	Finished State = "done"
	Failed   State = "failed"
)

// Step is what is known of one thing that is being done, such as a layer.
type Step struct {
	ID    string `json:"id"`     // a digest, or what else is one of a kind
	What  string `json:"action"` // "pull", "unpack"
	State State  `json:"state"`
	Done  int64  `json:"done"`  // bytes
	Total int64  `json:"total"` // bytes, 0 for unknown
}

// interval is how often a step in progress is reported to programs.
const interval = 100 * time.Millisecond

// Printer shows steps. Update may be called from several goroutines.
type Printer struct {
	mode Mode
	w    io.Writer
	now  func() time.Time

	mu   sync.Mutex
	told map[string]time.Time // of JSON: when
	all  *mpb.Progress
	bars map[string]*mpb.Bar
}

// New returns a printer to f. Close it.
func New(f *os.File, mode Mode) *Printer {
	if mode == Auto {
		mode = Lines
		// A terminal of no columns, as of some CI systems, has no room for bars.
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			mode = Bars
		}
	}
	return newPrinter(f, mode)
}

func newPrinter(w io.Writer, mode Mode) *Printer {
	p := &Printer{mode: mode, w: w, now: time.Now, told: make(map[string]time.Time), bars: make(map[string]*mpb.Bar)}
	if mode == Bars {
		p.all = mpb.New(mpb.WithOutput(w), mpb.WithWidth(40), mpb.WithAutoRefresh())
	}
	return p
}

// Update shows what a step has come to. After its end a step may begin anew.
func (p *Printer) Update(s Step) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.mode {
	case Bars:
		p.bar(s)
	case Lines:
		if s.State != Active {
			_, _ = io.WriteString(p.w, line(s)) // there is nobody to tell
		}
	case JSON:
		p.object(s)
	}
}

// line is a step's end for people.
func line(s Step) string {
	size := max(s.Total, s.Done)
	switch s.State {
	case Exists:
		return fmt.Sprintf("%s %s: is there already\n", s.What, short(s.ID))
	case Failed:
		return fmt.Sprintf("%s %s: failed\n", s.What, short(s.ID))
	}
	return fmt.Sprintf("%s %s: done (%s)\n", s.What, short(s.ID), units.HumanSizeWithPrecision(float64(size), 3))
}

// short is as much of a digest as people compare.
func short(id string) string {
	const prefix = "sha256:"
	if len(id) > len(prefix)+12 && id[:len(prefix)] == prefix {
		return id[len(prefix) : len(prefix)+12]
	}
	return id
}

func (p *Printer) object(s Step) {
	key, now := s.What+" "+s.ID, p.now()
	if s.State == Active && now.Sub(p.told[key]) < interval {
		return
	}
	p.told[key] = now
	text, err := json.Marshal(s)
	if err != nil {
		return // of strings and numbers: cannot be
	}
	_, _ = p.w.Write(append(text, '\n')) // there is nobody to tell
}

func (p *Printer) bar(s Step) {
	key := s.What + " " + s.ID
	b := p.bars[key]
	if b == nil {
		b = p.all.AddBar(0, // or SetTotal would do nothing
			mpb.PrependDecorators(decor.Name(s.What+" "+short(s.ID), decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.OnComplete(decor.CountersKiloByte("% .1f / % .1f"), "done")))
		p.bars[key] = b
	}
	switch s.State {
	case Active:
		b.SetTotal(s.Total, false)
		b.SetCurrent(s.Done)
	case Failed:
		b.Abort(false)
		delete(p.bars, key)
	default:
		b.SetTotal(max(s.Total, s.Done), true)
		delete(p.bars, key)
	}
}

// Close waits until everything is on the screen; steps that did not end stay as
// they are.
func (p *Printer) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		return
	}
	for _, b := range p.bars {
		b.Abort(false)
	}
	p.all.Wait()
	p.all = nil
	p.mode = Quiet
}
