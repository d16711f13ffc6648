// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// fake is a runtime whose calls take random times, fail at random, and whose
// processes end when they like.
type fake struct {
	mu   sync.Mutex
	rand *rand.Rand
	pid  int
	init *fakeProcess
	all  []*fakeProcess
	fail int // one call of so many fails; 0 for none
	went bool
}

type fakeProcess struct {
	pid   int
	ended chan int
	once  sync.Once
}

func (p *fakeProcess) Pid() int           { return p.pid }
func (p *fakeProcess) Wait() (int, error) { return <-p.ended, nil }
func (p *fakeProcess) Signal(unix.Signal) error {
	p.end(137)
	return nil
}
func (p *fakeProcess) end(status int) { p.once.Do(func() { p.ended <- status }) }

func (f *fake) pause() {
	f.mu.Lock()
	d := time.Duration(f.rand.IntN(50)) * time.Millisecond
	f.mu.Unlock()
	time.Sleep(d)
}

func (f *fake) process(lives time.Duration) *fakeProcess {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pid++
	p := &fakeProcess{pid: f.pid, ended: make(chan int, 1)}
	f.all = append(f.all, p)
	if lives >= 0 {
		time.AfterFunc(lives, func() { p.end(p.pid % 7) })
	}
	return p
}

func (f *fake) fails() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail > 0 && f.rand.IntN(f.fail) == 0 {
		return errors.New("fake failure")
	}
	return nil
}

func (f *fake) life() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Duration(f.rand.IntN(100)) * time.Millisecond
}

func (f *fake) Create(Wiring) (Process, error) {
	f.pause()
	f.init = f.process(-1)
	return f.init, nil
}
func (f *fake) Start() error {
	f.pause()
	f.went = true
	time.AfterFunc(f.life(), func() { f.init.end(3) }) // often before Start returns
	f.pause()
	return nil
}
func (f *fake) Exec(string, *specs.Process, Wiring) (Process, error) {
	f.pause()
	if err := f.fails(); err != nil {
		return nil, err
	}
	p := f.process(f.life())
	f.pause()
	return p, nil
}
func (f *fake) Kill(unix.Signal, bool) error {
	f.init.end(137)
	return nil
}
func (f *fake) Delete(bool) error {
	f.pause()
	if err := f.fails(); err != nil {
		return err
	}
	f.init.end(137)
	return nil
}
func (f *fake) Pause() error                       { return nil }
func (f *fake) Resume() error                      { return nil }
func (f *fake) Update(*specs.LinuxResources) error { return nil }
func (f *fake) Pids() ([]int, error)               { return nil, nil }
func (f *fake) Checkpoint(CheckpointOptions) error { return ErrNotImplemented }

type noStreams struct{}

func (noStreams) Wiring() Wiring              { return Wiring{Stdio: [3]*os.File{}} }
func (noStreams) Begun()                      {}
func (noStreams) Resize(uint16, uint16) error { return nil }
func (noStreams) CloseStdin() error           { return nil }
func (noStreams) Drain(<-chan struct{})       {}
func (noStreams) Close()                      {}

// TestEveryStartHasOneExitInOrder runs random schedules: requests, ends and
// failures at any time. See doc.go for what must hold.
func TestEveryStartHasOneExitInOrder(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) { schedule(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func schedule(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	f := &fake{rand: rand.New(rand.NewPCG(seed, 2)), fail: 4}
	var mu sync.Mutex
	var told []Event
	oomed := false
	task := NewTask(Options{
		Bundle: t.TempDir(), Runtime: f, DrainTime: time.Second,
		Publish: func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, e)
		},
		WatchOOM: func(_ int, tell func()) (func(), func(), error) {
			return func() {
				mu.Lock()
				first := !oomed
				oomed = true
				mu.Unlock()
				if first {
					tell()
				}
			}, func() {}, nil
		},
		Warn: func(err error) { t.Error(err) },
	})
	if _, err := task.Create(noStreams{}); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	started := make(map[string]bool)
	start := func(id string) {
		if _, err := task.Start(id); err == nil {
			mu.Lock()
			started[id] = true
			mu.Unlock()
		} else if id == "" && f.went {
			t.Errorf("a start that the runtime has done: %v", err)
		}
	}
	all.Go(func() { start("") })
	for n := range r.IntN(6) {
		id := fmt.Sprint("exec", n)
		wait := time.Duration(r.IntN(120)) * time.Millisecond
		remove := r.IntN(2) == 0
		all.Go(func() {
			time.Sleep(wait)
			if task.AddExec(id, &specs.Process{}, noStreams{}) != nil {
				return
			}
			done, err := task.Done(id)
			if err != nil {
				t.Error(err)
				return
			}
			start(id)
			mu.Lock()
			ran := started[id]
			mu.Unlock()
			if ran {
				<-done
			}
			if remove {
				_, _ = task.Delete(id) // refused if it was never begun and init has ended
			}
		})
	}
	if r.IntN(3) == 0 {
		all.Go(func() { time.Sleep(30 * time.Millisecond); _ = task.Kill("", unix.SIGKILL, false) })
	}
	all.Wait()
	done, err := task.Done("")
	if err != nil {
		t.Fatal(err)
	}
	<-done
	for {
		if _, err := task.Delete(""); err == nil {
			break
		}
	}
	synctest.Wait()
	check(t, told, started)
	if x, ok, err := ReadExit(task.o.Bundle); !ok || err != nil || x.Pid != f.init.pid {
		t.Errorf("the bundle says %v, %v, %v", x, ok, err)
	}
}

// check looks at the order of what was told.
func check(t *testing.T, told []Event, started map[string]bool) {
	t.Helper()
	position := func(kind Kind, id string) (at, count int) {
		at = -1
		for i, e := range told {
			if e.Kind == kind && e.Exec == id {
				at = i
				count++
			}
		}
		return at, count
	}
	initEnd, _ := position(Ends, "")
	for id := range started {
		begun, starts := position(Start, id)
		ended, ends := position(Ends, id)
		if starts != 1 || ends != 1 {
			t.Errorf("%q: %d starts, %d exits in %v", id, starts, ends, told)
		}
		if begun > ended || ended > initEnd {
			t.Errorf("%q: start at %d, exit at %d, init's at %d in %v", id, begun, ended, initEnd, told)
		}
		if gone, n := position(Delete, id); n > 0 && gone < ended {
			t.Errorf("%q: delete before exit in %v", id, told)
		}
	}
	if at, n := position(Create, ""); at != 0 || n != 1 {
		t.Errorf("create at %d, %d times in %v", at, n, told)
	}
	if at, n := position(OOM, ""); n != 1 || at > initEnd {
		t.Errorf("out of memory at %d, %d times, the exit at %d", at, n, initEnd)
	}
	if at, n := position(Delete, ""); at != len(told)-1 || n != 1 {
		t.Errorf("delete at %d of %d, %d times", at, len(told), n)
	}
}

func TestWhatTheStateDoesNotAllow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{rand: rand.New(rand.NewPCG(1, 1))}
		task := NewTask(Options{Bundle: t.TempDir(), Runtime: f, Publish: func(Event) {}, Warn: func(error) {}})
		if _, err := task.Start(""); !errors.Is(err, ErrState) {
			t.Errorf("start before create: %v", err)
		}
		if _, err := task.Create(noStreams{}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name string
			err  error
			want error
		}{
			{"start of an unknown exec", second(task.Start("none")), ErrNotFound},
			{"kill of an unknown exec", task.Kill("none", unix.SIGTERM, false), ErrNotFound},
			{"a first exec", task.AddExec("one", nil, noStreams{}), nil},
			{"a second of the same id", task.AddExec("one", nil, noStreams{}), ErrExists},
			{"kill of an exec that has not begun", task.Kill("one", unix.SIGTERM, false), ErrState},
			{"pause", task.Pause(), nil},
			{"exec in a paused one", task.AddExec("two", nil, noStreams{}), ErrState},
			{"resume", task.Resume(), nil},
			{"start", second(task.Start("")), nil},
		} {
			if !errors.Is(c.err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, c.err, c.want)
			}
		}
		f.init.end(0)
		synctest.Wait()
		if _, err := task.Start("one"); !errors.Is(err, ErrState) {
			t.Errorf("exec after the end: %v", err)
		}
		if err := task.Kill("", unix.SIGTERM, false); !errors.Is(err, ErrNotFound) {
			t.Errorf("kill after the end: %v", err)
		}
		if _, err := task.Delete(""); err != nil {
			t.Error(err)
		}
		if _, err := task.Delete(""); !errors.Is(err, ErrNotFound) {
			t.Errorf("a second delete: %v", err)
		}
	})
}

func second[T any](_ T, err error) error { return err }
