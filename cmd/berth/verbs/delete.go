// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"berth/libcontainer"
)

// deleteCommand is `delete`.
type deleteCommand struct {
	force bool
	regex bool
}

func (c *deleteCommand) flags() []flag {
	return []flag{
		toggle(&c.force, "kill it first; a container that does not exist is no error", "force", "f"),
		toggle(&c.regex, "the id is a regular expression for the containers to delete", "regex", "r"),
	}
}

func (c *deleteCommand) run(e *env, args []string) (int, error) {
	root, err := e.global.stateRoot()
	if err != nil {
		return 1, err
	}
	if c.regex {
		return 0, each(e, args[0], func(id string, container *libcontainer.Container) error {
			if c.force {
				return libcontainer.ForceDelete(root, id, e.log.warn)
			}
			return container.Delete(false, e.log.warn)
		})
	}
	if c.force {
		return 0, libcontainer.ForceDelete(root, args[0], e.log.warn)
	}
	container, err := libcontainer.Load(root, args[0])
	if err != nil {
		return 1, err
	}
	return 0, container.Delete(false, e.log.warn)
}
