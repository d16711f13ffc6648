// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	"berth/libcontainer"
)

// planCommand is `plan`: what create would do.
type planCommand struct {
	bundleFlags
	format string
}

func (c *planCommand) flags() []flag {
	return append(c.bundleFlags.flags(), oneOf(&c.format, []string{"text", "json"}, "how to print (default: text)", "format"))
}

func (c *planCommand) run(e *env, args []string) (int, error) {
	id := "container-id" // what the plan calls it
	if len(args) > 0 {
		id = args[0]
	}
	o, err := c.options(e, id)
	if err != nil {
		return 1, err
	}
	o.Root, err = e.global.nameRoot()
	if errors.Is(err, errNoRoot) { // nothing is there or will be made: a name does
		o.Root, err = fmt.Sprintf("/run/user/%d/berth", os.Geteuid()), nil
	}
	if err != nil {
		return 1, err
	}
	p, err := libcontainer.Plan(o)
	if err != nil {
		return 1, err
	}
	w := bufio.NewWriter(e.stdio[1])
	write := p.Text
	if c.format == "json" {
		write = p.JSON
	}
	if err := write(w); err != nil {
		return 1, err
	}
	return 0, w.Flush()
}
