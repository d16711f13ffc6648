// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"errors"

	"golang.org/x/sys/unix"

	"berth/libcontainer"
)

// killCommand is `kill`.
type killCommand struct {
	all   bool
	regex bool
}

func (c *killCommand) flags() []flag {
	return []flag{
		toggle(&c.all, "signal all processes of the container; a stopped one is no error", "all", "a"),
		toggle(&c.regex, "the id is a regular expression for the containers to signal", "regex", "r"),
	}
}

func (c *killCommand) run(e *env, args []string) (int, error) {
	sig := unix.SIGTERM
	if len(args) == 2 {
		var err error
		if sig, err = parseSignal(args[1]); err != nil {
			return 1, err
		}
	}
	if c.regex {
		return 0, each(e, args[0], func(_ string, container *libcontainer.Container) error {
			return c.kill(container, sig)
		})
	}
	container, err := load(e, args[0])
	if err != nil {
		return 1, err
	}
	return 0, c.kill(container, sig)
}

func (c *killCommand) kill(container *libcontainer.Container, sig unix.Signal) error {
	err := container.Kill(sig, c.all)
	// Engines send --all at the end of a container's life, just in case.
	if c.all && errors.Is(err, libcontainer.ErrNotRunning) {
		return nil
	}
	return err
}
