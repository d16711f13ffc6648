// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"os"

	"berth/libcontainer"
)

// startCommand is `start`.
type startCommand struct{}

func (*startCommand) flags() []flag { return nil }

func (*startCommand) run(e *env, args []string) (int, error) {
	container, err := load(e, args[0])
	if err != nil {
		return 1, err
	}
	return 0, container.Start(libcontainer.StartOptions{NotifySocket: os.Getenv("NOTIFY_SOCKET"), Warn: e.log.warn})
}

// load finds a container by its id.
func load(e *env, id string) (*libcontainer.Container, error) {
	root, err := e.global.stateRoot()
	if err != nil {
		return nil, err
	}
	return libcontainer.Load(root, id)
}
