// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"context"
	"fmt"
	"sync"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Kind is what an Event tells.
type Kind uint8

// The kinds of events. Start with an exec's id is the start of that exec.
const (
	Create Kind = iota
	Start
	ExecAdded
	OOM
	Paused
	Resumed
	Ends // a process has ended
	Delete
)

// Event is told once, in order. Exec is "" for init.
type Event struct {
	Kind Kind
	Exec string
	Exit Exit // Pid for Start; all of it for Ends and Delete
	At   time.Time
}

// Options of a Task.
type Options struct {
	Bundle  string
	Runtime Runtime
	// Publish gets each event, in order. It must not block; see Queue.
	Publish func(Event)
	// WatchOOM begins to watch the cgroup of a process. check tells what has
	// happened until now; stop ends it. It may be nil.
	WatchOOM func(pid int, tell func()) (check, stop func(), err error)
	// SharedPIDs says that the kernel does not end the other processes with
	// init, so we do.
	SharedPIDs bool
	// DrainTime is how long a delete waits for output that is still to come.
	DrainTime time.Duration
	// Warn gets what goes wrong without failing a request.
	Warn func(error)
}

// Task is one container with its execs, and its supervisor.
type Task struct {
	o Options

	mu       sync.Mutex
	machine  Machine
	procs    map[string]*proc
	paused   bool
	checkOOM func()
	stopOOM  func()
}

// proc is a process beside its line in the Machine.
type proc struct {
	id      string
	spec    *specs.Process
	streams Streams
	process Process
	done    chan struct{} // closed once its end was told
}

// NewTask returns a container that is yet to be created.
func NewTask(o Options) *Task {
	return &Task{o: o, procs: make(map[string]*proc)}
}

// Create has the runtime make the container. On failure there is none, and the
// streams are closed.
func (t *Task) Create(streams Streams) (pid int, err error) {
	p := &proc{streams: streams, done: make(chan struct{})}
	process, err := t.o.Runtime.Create(streams.Wiring())
	streams.Begun()
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		_ = t.apply("", NotMade)
		streams.Close()
		return 0, err
	}
	p.process = process
	t.procs[""] = p
	t.machine.init.exit.Pid = process.Pid()
	if t.o.WatchOOM != nil {
		check, stop, err := t.o.WatchOOM(process.Pid(), func() { t.tell(Event{Kind: OOM}) })
		if err != nil {
			t.o.Warn(fmt.Errorf("no out-of-memory events: %w", err))
		} else {
			t.checkOOM, t.stopOOM = check, stop
		}
	}
	if err := t.apply("", Made); err != nil {
		return 0, err
	}
	go t.await(p)
	return process.Pid(), nil
}

// AddExec registers a process; Start starts it.
func (t *Task) AddExec(id string, spec *specs.Process, streams Streams) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.paused {
		return fmt.Errorf("cannot exec in a paused container: %w", ErrState)
	}
	if err := t.machine.Add(id); err != nil {
		return err
	}
	t.procs[id] = &proc{id: id, spec: spec, streams: streams, done: make(chan struct{})}
	t.publish(Event{Kind: ExecAdded, Exec: id})
	return nil
}

// Start starts init, "", or a registered exec, and returns its pid.
func (t *Task) Start(id string) (int, error) {
	t.mu.Lock()
	p := t.procs[id]
	err := t.apply(id, AskStart)
	t.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if id == "" {
		err = t.o.Runtime.Start()
	} else {
		var process Process
		process, err = t.o.Runtime.Exec(id, p.spec, p.streams.Wiring())
		p.streams.Begun()
		p.process = process
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		_ = t.apply(id, NotBegun) // the first error counts
		if id != "" {
			p.streams.Close()
			p.end()
		}
		return 0, err
	}
	if id != "" {
		if t.procs[id] != p { // its container was deleted meanwhile
			_ = p.process.Signal(unix.SIGKILL) // gone with it, perhaps
			go func() { _, _ = p.process.Wait() }()
			return 0, fmt.Errorf("process %q: %w", id, ErrNotFound)
		}
		t.machine.execs[id].exit.Pid = p.process.Pid()
		go t.await(p)
	}
	return p.process.Pid(), t.apply(id, Begun)
}

// await notes the end of a process, when it comes.
func (t *Task) await(p *proc) {
	status, err := p.process.Wait()
	if err != nil {
		t.o.Warn(err)
		status = NeverRan
	}
	x := Exit{Pid: p.process.Pid(), Status: status, At: time.Now()}
	if p.id == "" {
		if err := WriteExit(t.o.Bundle, x); err != nil {
			t.o.Warn(fmt.Errorf("the exit status is in memory only: %w", err))
		}
		if t.o.SharedPIDs {
			_ = t.o.Runtime.Kill(unix.SIGKILL, true) // nobody may be left
		}
	}
	t.mu.Lock()
	check := t.checkOOM
	t.mu.Unlock()
	if check != nil {
		check()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	effects, err := t.machine.End(p.id, x)
	if err != nil {
		t.o.Warn(err)
	}
	t.perform(effects)
}

// Kill signals init, "", with all every process, or an exec.
func (t *Task) Kill(id string, sig unix.Signal, all bool) error {
	t.mu.Lock()
	state, p := t.machine.State(id), t.procs[id]
	_, exited := t.machine.Exit(id)
	t.mu.Unlock()
	switch {
	case p == nil || state == Gone:
		return fmt.Errorf("process %q: %w", id, ErrNotFound)
	case id == "":
		if exited && !all {
			return fmt.Errorf("process already finished: %w", ErrNotFound)
		}
		return t.o.Runtime.Kill(sig, all)
	case state == Created || state == Starting:
		return fmt.Errorf("process %q is not running yet: %w", id, ErrState)
	case exited:
		return fmt.Errorf("process already finished: %w", ErrNotFound)
	}
	return p.process.Signal(sig)
}

// Delete forgets a process that has ended, or a container that was never
// started, after its output was read. What fails can be asked for again.
func (t *Task) Delete(id string) (Exit, error) {
	t.mu.Lock()
	p := t.procs[id]
	err := t.apply(id, AskDelete)
	t.mu.Unlock()
	if err != nil {
		return Exit{}, err
	}
	if id == "" {
		_, exited := t.exit(id)
		if err = t.o.Runtime.Delete(!exited); err == nil && !exited {
			t.awaitEnd()
		}
	}
	if err == nil {
		p.streams.Begun() // an exec that never began has not got its ends
		t.drain(p)        // after the removal: one that was never started still had its output open
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		_ = t.apply(id, NotRemoved)
		return Exit{}, err
	}
	x, _ := t.machine.Exit(id)
	err = t.apply(id, Removed)
	t.forget(id)
	if id == "" {
		for exec := range t.procs { // with their container: nobody can ask for them any more
			t.forget(exec)
		}
		if t.stopOOM != nil {
			t.stopOOM()
		}
	}
	return x, err
}

// forget lets go of a process that has ended or never began; t.mu is held.
func (t *Task) forget(id string) {
	p := t.procs[id]
	p.streams.Begun()
	p.streams.Close()
	delete(t.procs, id)
	p.end() // if it was never started, nobody is to wait for it
}

// end lets go of those who wait for the process; t.mu is held.
func (p *proc) end() {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
}

// awaitEnd waits a moment for the end of an init that was killed.
func (t *Task) awaitEnd() {
	t.mu.Lock()
	done := t.procs[""].done
	t.mu.Unlock()
	select {
	case <-done:
	case <-time.After(time.Second):
	}
}

func (t *Task) drain(p *proc) {
	giveUp := make(chan struct{})
	timer := time.AfterFunc(t.o.DrainTime, func() { close(giveUp) })
	defer timer.Stop()
	p.streams.Drain(giveUp)
}

// Pause and Resume stop and go on with all processes.
func (t *Task) Pause() error { return t.freeze(true, t.o.Runtime.Pause, Paused) }

// Resume is the reverse of Pause.
func (t *Task) Resume() error { return t.freeze(false, t.o.Runtime.Resume, Resumed) }

func (t *Task) freeze(paused bool, do func() error, kind Kind) error {
	if s := t.State(""); s != Running && s != Created {
		return fmt.Errorf("container is %s: %w", s, ErrState)
	}
	if err := do(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.paused = paused
	t.publish(Event{Kind: kind})
	return nil
}

// State returns the state of a process; see Machine.State.
func (t *Task) State(id string) State {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.machine.State(id)
}

// IsPaused says whether the container is paused.
func (t *Task) IsPaused() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.paused && t.machine.State("") == Running
}

func (t *Task) exit(id string) (Exit, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.machine.Exit(id)
}

// Exit returns the pid of a process, and how it ended once that was told.
func (t *Task) Exit(id string) (Exit, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.machine.find(id) == nil || t.machine.State(id) == Gone {
		return Exit{}, fmt.Errorf("process %q: %w", id, ErrNotFound)
	}
	x, _ := t.machine.Exit(id)
	if s := t.machine.State(id); s != Stopped && s != Deleting {
		x = Exit{Pid: x.Pid}
	}
	return x, nil
}

// Wait waits until the end of a process was told, and returns it, also if the
// process is deleted meanwhile.
func (t *Task) Wait(ctx context.Context, id string) (Exit, error) {
	t.mu.Lock()
	line, p := t.machine.find(id), t.procs[id]
	t.mu.Unlock()
	if line == nil || p == nil {
		return Exit{}, fmt.Errorf("process %q: %w", id, ErrNotFound)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return Exit{}, ctx.Err()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !line.exited { // deleted before it began
		return Exit{Status: NeverRan}, nil
	}
	return line.exit, nil
}

// Done returns a channel that is closed once the end of a process was told.
func (t *Task) Done(id string) (<-chan struct{}, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.procs[id]
	if p == nil {
		return nil, fmt.Errorf("process %q: %w", id, ErrNotFound)
	}
	return p.done, nil
}

// Streams returns those of a process.
func (t *Task) Streams(id string) (Streams, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.procs[id]
	if p == nil {
		return nil, fmt.Errorf("process %q: %w", id, ErrNotFound)
	}
	return p.streams, nil
}

// Execs returns the pids of running execs with their ids.
func (t *Task) Execs() map[int]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	pids := make(map[int]string)
	for id := range t.machine.execs {
		if t.machine.State(id) == Running {
			pids[t.machine.execs[id].exit.Pid] = id
		}
	}
	return pids
}

// apply takes the machine a step and performs what follows; t.mu is held.
func (t *Task) apply(id string, h Happening) error {
	effects, err := t.machine.Apply(id, h)
	if err != nil {
		return err
	}
	t.perform(effects)
	return nil
}

// perform never blocks; t.mu is held.
func (t *Task) perform(effects []Effect) {
	for _, e := range effects {
		kind := [...]Kind{TellCreate: Create, TellStart: Start, TellExit: Ends, TellDelete: Delete}[e.Action]
		t.publish(Event{Kind: kind, Exec: e.ID, Exit: e.Exit})
		if p := t.procs[e.ID]; e.Action == TellExit && p != nil {
			p.end()
		}
	}
}

// tell publishes what is not the machine's.
func (t *Task) tell(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, over := t.machine.Exit(""); over && e.Kind == OOM {
		return // too late: the end was told
	}
	t.publish(e)
}

func (t *Task) publish(e Event) {
	e.At = time.Now()
	t.o.Publish(e)
}
