// SPDX-License-Identifier: Apache-2.0

package verbs

import "berth/libcontainer"

// freezeCommand is `pause` and `resume`.
type freezeCommand struct {
	do func(*libcontainer.Container) error
}

func (*freezeCommand) flags() []flag { return nil }

func (c *freezeCommand) run(e *env, args []string) (int, error) {
	container, err := load(e, args[0])
	if err != nil {
		return 1, err
	}
	return 0, c.do(container)
}
