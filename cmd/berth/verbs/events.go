// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"berth/libcontainer"
)

// eventsCommand is `events`.
type eventsCommand struct {
	interval time.Duration
	once     bool
}

func newEvents() command { return &eventsCommand{interval: 5 * time.Second} }

func (c *eventsCommand) flags() []flag {
	return []flag{
		duration(&c.interval, "time between two statistics (default: 5s)", "interval"),
		toggle(&c.once, "print the statistics once, and exit", "stats"),
	}
}

// duration is a flag in the notation of Go: 1m30s.
func duration(p *time.Duration, usage string, names ...string) flag {
	return flag{names: names, value: "DURATION", usage: usage, set: func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil {
			return errors.New("must be a duration such as 500ms, 5s or 1m30s")
		}
		*p = d
		return nil
	}}
}

// checkInterval has runc's words.
func checkInterval(d time.Duration) error {
	if d <= 0 {
		return errors.New("duration interval must be greater than 0")
	}
	return nil
}

func (c *eventsCommand) run(e *env, args []string) (int, error) {
	container, err := load(e, args[0])
	if err == nil {
		err = checkInterval(c.interval)
	}
	if err != nil {
		return 1, err
	}
	enc := json.NewEncoder(e.stdio[1]) // one object a line
	emit := func(event libcontainer.Event) error { return enc.Encode(event) }
	if !c.once {
		return 0, container.Events(context.Background(), c.interval, emit)
	}
	data, err := container.Stats()
	if err != nil {
		return 1, err
	}
	return 0, emit(libcontainer.Event{Type: libcontainer.EventStats, ID: container.ID(), Data: data})
}
