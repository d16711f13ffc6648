// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"fmt"
	"time"
)

// State is where a process is in its life.
type State uint8

// The states. An exec is Created once it is registered; Exited is a process
// whose end is known while its start is still being reported.
const (
	Creating State = iota
	Created
	Starting
	Exited
	Running
	Stopped
	Deleting
	Gone
)

var stateNames = [...]string{"creating", "created", "starting", "starting", "running", "stopped", "deleting", "deleted"}

func (s State) String() string { return stateNames[s] }

// Happening is what a process meets: a request, its result, or its end.
type Happening uint8

// The happenings.
const (
	Made Happening = iota // the runtime has created it
	NotMade
	AskStart
	Begun // the runtime has started it
	NotBegun
	Ended // it has exited
	AskDelete
	Removed
	NotRemoved
)

var happeningNames = [...]string{"made", "not made", "start", "started", "not started", "exit", "delete", "deleted", "not deleted"}

func (h Happening) String() string { return happeningNames[h] }

// Action is what follows. Actions do not block and cannot fail.
type Action uint8

// The actions, performed in the order in which Machine returns them.
const (
	TellCreate Action = iota
	TellStart
	TellExit
	TellDelete
)

// Errors of requests that the state does not allow. Front ends turn them into
// the codes of their protocols.
var (
	ErrNotFound = errors.New("not found")
	// ErrNotImplemented is for what a runtime cannot do.
	ErrNotImplemented = errors.New("not implemented")
	// ErrState is for what could be done in another state.
	ErrState  = errors.New("failed precondition")
	ErrExists = errors.New("already exists")
)

// step is one cell of the table.
type step struct {
	to      State
	actions []Action
}

// table has every transition of a process. A happening that is not in it is
// refused if it is a request, and a fault of ours otherwise.
var table = map[State]map[Happening]step{
	Creating: {
		Made:    {Created, []Action{TellCreate}},
		NotMade: {Gone, nil},
	},
	Created: {
		AskStart:  {Starting, nil},
		Ended:     {Stopped, []Action{TellExit}}, // killed before its start
		AskDelete: {Deleting, nil},
	},
	Starting: {
		Begun:    {Running, []Action{TellStart}},
		NotBegun: {Created, nil}, // an exec is Stopped, see Apply
		Ended:    {Exited, nil},  // not told before the start is
	},
	Exited: {
		Begun:    {Stopped, []Action{TellStart, TellExit}},
		NotBegun: {Stopped, []Action{TellExit}},
	},
	Running: {
		Ended: {Stopped, []Action{TellExit}},
	},
	Stopped: {
		AskDelete: {Deleting, nil},
	},
	Deleting: {
		Ended:      {Deleting, []Action{TellExit}}, // a created one: delete kills it
		Removed:    {Gone, []Action{TellDelete}},
		NotRemoved: {Stopped, nil}, // to be asked again
	},
	Gone: {},
}

// NeverRan is the status of an exec that could not be started.
const NeverRan = 255

// Exit is how a process ended.
type Exit struct {
	Pid    int
	Status int // exit code, or 128 and the signal's number
	At     time.Time
}

// process is one line of the Machine. The id of init is "".
type process struct {
	id    string
	state State
	exit  Exit
	// exited says that exit is known, told that it was told.
	exited, told bool
}

// Effect is an action and the process that it is about; "" is init.
type Effect struct {
	Action Action
	ID     string
	Exit   Exit
}

// Machine is the pure state of a container and its execs. The zero value is a
// container that is being created.
type Machine struct {
	init  process
	execs map[string]*process
}

func (m *Machine) find(id string) *process {
	if id == "" {
		return &m.init
	}
	return m.execs[id]
}

// State returns the state of a process as it was told, Gone for one that nobody
// knows: init runs until its end was told.
func (m *Machine) State(id string) State {
	p := m.find(id)
	switch {
	case p == nil:
		return Gone
	case p.exited && !p.told && p.state == Stopped:
		return Running
	}
	return p.state
}

// Exit returns how a process ended, and whether that is known.
func (m *Machine) Exit(id string) (Exit, bool) {
	if p := m.find(id); p != nil {
		return p.exit, p.exited
	}
	return Exit{}, false
}

// Add registers an exec. It needs a container that can have processes.
func (m *Machine) Add(id string) error {
	switch m.init.state {
	case Created, Starting, Running:
	case Gone:
		return fmt.Errorf("container: %w", ErrNotFound)
	default:
		return fmt.Errorf("cannot exec in a container that is %s: %w", m.init.state, ErrState)
	}
	if m.execs[id] != nil {
		return fmt.Errorf("id %s: %w", id, ErrExists)
	}
	if m.execs == nil {
		m.execs = make(map[string]*process)
	}
	m.execs[id] = &process{id: id, state: Created}
	return nil
}

// End notes how a process ended, once.
func (m *Machine) End(id string, x Exit) ([]Effect, error) {
	p := m.find(id)
	if p == nil || p.exited {
		return nil, nil
	}
	p.exit, p.exited = x, true
	return m.Apply(id, Ended)
}

// Apply takes a process through the table. The error of a request is ErrState
// or ErrNotFound, and then nothing has changed.
func (m *Machine) Apply(id string, h Happening) ([]Effect, error) {
	p := m.find(id)
	if p == nil || p.state == Gone {
		return nil, fmt.Errorf("process %q: %w", id, ErrNotFound)
	}
	if h == AskStart && id != "" && m.init.exited {
		return nil, fmt.Errorf("cannot start in a stopped container: %w", ErrState)
	}
	s, ok := table[p.state][h]
	if !ok || h == AskDelete && p.exited && !p.told { // an end is told before it is forgotten
		return nil, fmt.Errorf("cannot %s a process that is %s: %w", h, p.state, ErrState)
	}
	p.state = s.to
	switch {
	case h == NotRemoved && !p.exited:
		p.state = Created
	case h == NotBegun && id != "": // an exec gets one try: whoever waits for it goes on
		p.state, p.exited, p.told = Stopped, true, true
		p.exit.Status = NeverRan
	}
	var effects []Effect
	for _, a := range s.actions {
		switch a {
		case TellExit: // below
		case TellDelete:
			effects = append(effects, m.tellExits()...)
			if id == "" { // who hears of an exec's takes it for the container's
				effects = append(effects, Effect{Action: a, Exit: p.exit})
			}
		default:
			effects = append(effects, Effect{Action: a, ID: id, Exit: p.exit})
		}
	}
	if p.state == Gone && id != "" {
		delete(m.execs, id)
	}
	return append(effects, m.tellExits()...), nil
}

// tellExits tells the ends that can be told now: each once, execs first, and
// init's only when no exec is left whose end is to come.
func (m *Machine) tellExits() []Effect {
	var effects []Effect
	waiting := false
	for _, p := range m.execs {
		effects = p.tellExit(effects)
		waiting = waiting || p.state == Starting || p.state == Running || p.state == Exited
	}
	if !waiting {
		effects = m.init.tellExit(effects)
	}
	return effects
}

func (p *process) tellExit(effects []Effect) []Effect {
	if !p.exited || p.told || p.state == Exited || p.state == Starting {
		return effects
	}
	p.told = true
	return append(effects, Effect{Action: TellExit, ID: p.id, Exit: p.exit})
}
