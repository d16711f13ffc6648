// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"fmt"

	"berth/libcontainer"
)

// createCommand is `create`.
type createCommand struct{ bundleFlags }

func (c *createCommand) run(e *env, args []string) (int, error) {
	_, err := c.create(e, args[0])
	if err != nil {
		err = c.unmounted(err)
		return 1, fmt.Errorf("berth create failed: %w", err)
	}
	return 0, nil
}

func (c *createCommand) create(e *env, id string) (*libcontainer.Container, error) {
	o, err := c.options(e, id)
	if err != nil {
		return nil, err
	}
	if err := checkTerminal(o.Config.Process, true, o.ConsoleSocket); err != nil {
		return nil, err
	}
	if o.Root, err = e.global.makeRoot(); err != nil {
		return nil, err
	}
	return libcontainer.Create(o)
}
