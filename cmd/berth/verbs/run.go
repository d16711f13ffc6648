// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"fmt"

	"berth/libcontainer"
)

// runCommand is `run`: create and start, and in the foreground wait and delete.
type runCommand struct {
	bundleFlags
	detach      bool
	keep        bool
	noSubreaper bool
}

func (c *runCommand) flags() []flag {
	return append(c.bundleFlags.flags(),
		toggle(&c.detach, "return once the process runs", "detach", "d"),
		toggle(&c.keep, "do not delete the container when its process has ended", "keep"),
		toggle(&c.noSubreaper, "do not adopt the container's orphans", "no-subreaper"),
	)
}

func (c *runCommand) run(e *env, args []string) (int, error) {
	status, err := c.launch(e, args[0])
	if err != nil {
		return 1, fmt.Errorf("berth run failed: %w", c.unmounted(err))
	}
	return status, nil
}

func (c *runCommand) launch(e *env, id string) (int, error) {
	o, err := c.options(e, id)
	if err != nil {
		return 1, err
	}
	if err := checkTerminal(o.Config.Process, c.detach, o.ConsoleSocket); err != nil {
		return 1, err
	}
	if o.Root, err = e.global.makeRoot(); err != nil {
		return 1, err
	}
	o.Start = true
	if c.detach {
		_, err := libcontainer.Create(o)
		return 0, err
	}
	return c.attend(e, o)
}

// attend runs a container in the foreground.
func (c *runCommand) attend(e *env, o libcontainer.CreateOptions) (int, error) {
	f, err := newForeground(!c.noSubreaper, e.stdio)
	if err != nil {
		return 1, err
	}
	defer f.end(e.log)
	o.Console = f.attach
	container, err := libcontainer.Create(o)
	if err != nil {
		return 1, err
	}
	if !c.keep {
		defer func() {
			if err := container.Delete(true, e.log.warn); err != nil {
				e.log.warn("cannot delete the container: " + err.Error())
			}
		}()
	}
	init, err := container.Init()
	if err != nil {
		return 1, err
	}
	return f.wait(init.Pid())
}
