// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// heldStreams are open until their process ends, as its pipes are.
type heldStreams struct {
	noStreams
	ended         func() <-chan int
	begun, closed int
}

func (s *heldStreams) Begun() { s.begun++ }

func (s *heldStreams) Drain(giveUp <-chan struct{}) {
	select {
	case <-s.ended():
	case <-giveUp:
	}
}
func (s *heldStreams) Close() { s.closed++ }

// The init of a container that was never started holds its output open until
// delete kills it: to wait for the end of the output first is to wait in vain.
func TestDeleteOfACreatedOneDoesNotWaitForItsOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{rand: rand.New(rand.NewPCG(1, 1))}
		task := NewTask(Options{Bundle: t.TempDir(), Runtime: f, Publish: func(Event) {}, Warn: func(err error) { t.Error(err) }, DrainTime: time.Hour})
		over := make(chan int)
		s := &heldStreams{ended: func() <-chan int { return over }}
		if _, err := task.Create(s); err != nil {
			t.Fatal(err)
		}
		done, err := task.Done("")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			<-done
			close(over)
		}()
		begin := time.Now()
		x, err := task.Delete("")
		if err != nil || x.Status != 137 || s.closed == 0 {
			t.Errorf("%+v, %v, closed %d times", x, err, s.closed)
		}
		if took := time.Since(begin); took > time.Minute { // of the bubble's clock
			t.Errorf("it took %v", took)
		}
	})
}

// An engine that deletes a container deletes none of its execs afterwards: the
// shim of a group would keep their streams for ever.
func TestExecsGoWithTheirContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{rand: rand.New(rand.NewPCG(1, 1))}
		task := NewTask(Options{Bundle: t.TempDir(), Runtime: f, Publish: func(Event) {}, Warn: func(err error) { t.Error(err) }})
		if _, err := task.Create(noStreams{}); err != nil {
			t.Fatal(err)
		}
		if _, err := task.Start(""); err != nil {
			t.Fatal(err)
		}
		now := make(chan int)
		close(now)
		ran, never := &heldStreams{ended: func() <-chan int { return now }}, &heldStreams{ended: func() <-chan int { return now }}
		for id, s := range map[string]*heldStreams{"ran": ran, "never": never} {
			if err := task.AddExec(id, &specs.Process{}, s); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := task.Start("ran"); err != nil {
			t.Fatal(err)
		}
		waited := make(chan Exit)
		go func() {
			x, err := task.Wait(t.Context(), "never")
			if err != nil {
				t.Error(err)
			}
			waited <- x
		}()
		for _, p := range f.all {
			p.end(0)
		}
		synctest.Wait()
		if _, err := task.Delete(""); err != nil {
			t.Fatal(err)
		}
		if ran.closed == 0 || never.closed == 0 || never.begun == 0 {
			t.Errorf("streams closed: %d and %d times, the process's ends %d times", ran.closed, never.closed, never.begun)
		}
		if x := <-waited; x.Status != NeverRan {
			t.Errorf("a wait for an exec that never ran: %+v", x)
		}
		if _, err := task.Streams("ran"); !errors.Is(err, ErrNotFound) {
			t.Errorf("an exec's streams after the delete: %v", err)
		}
	})
}

// A wait must not see an exec that is deleted meanwhile as one that ended with 0.
func TestWaitIsAnsweredThoughTheProcessIsDeletedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{rand: rand.New(rand.NewPCG(1, 1))}
		task := NewTask(Options{Bundle: t.TempDir(), Runtime: f, Publish: func(Event) {}, Warn: func(err error) { t.Error(err) }})
		if _, err := task.Create(noStreams{}); err != nil {
			t.Fatal(err)
		}
		const waiters = 50
		got := make(chan Exit, waiters)
		for range waiters {
			go func() {
				x, err := task.Wait(t.Context(), "")
				if err != nil {
					t.Error(err)
				}
				got <- x
			}()
		}
		synctest.Wait()
		f.init.end(7)
		if done, err := task.Done(""); err == nil {
			<-done
		}
		if _, err := task.Delete(""); err != nil {
			t.Fatal(err)
		}
		for range waiters {
			if x := <-got; x.Status != 7 || x.Pid != f.init.pid {
				t.Errorf("waited: %+v", x)
			}
		}
	})
}

// slowExec hands an exec's result over when it is told to.
type slowExec struct {
	*fake
	asked  chan struct{}
	answer chan error
}

func (s *slowExec) Exec(id string, spec *specs.Process, w Wiring) (Process, error) {
	close(s.asked)
	if err := <-s.answer; err != nil {
		return nil, err
	}
	return s.fake.process(time.Hour), nil
}

// A created container may have execs; deleting it while one is being started
// closed a channel twice.
func TestDeleteWhileAnExecStarts(t *testing.T) {
	for _, result := range []error{errors.New("no such container"), nil} {
		synctest.Test(t, func(t *testing.T) {
			s := &slowExec{fake: &fake{rand: rand.New(rand.NewPCG(1, 1))}, asked: make(chan struct{}), answer: make(chan error)}
			task := NewTask(Options{Bundle: t.TempDir(), Runtime: s, Publish: func(Event) {}, Warn: func(err error) { t.Error(err) }})
			if _, err := task.Create(noStreams{}); err != nil {
				t.Fatal(err)
			}
			if err := task.AddExec("e", &specs.Process{}, noStreams{}); err != nil {
				t.Fatal(err)
			}
			started := make(chan error)
			go func() {
				_, err := task.Start("e")
				started <- err
			}()
			<-s.asked
			if _, err := task.Delete(""); err != nil {
				t.Fatal(err)
			}
			s.answer <- result
			if err := <-started; err == nil {
				t.Error("started in a container that is gone")
			}
		})
	}
}
