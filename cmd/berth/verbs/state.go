// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"encoding/json"
	"io"
)

// stateCommand is `state`.
type stateCommand struct{}

func (*stateCommand) flags() []flag { return nil }

func (*stateCommand) run(e *env, args []string) (int, error) {
	container, err := load(e, args[0])
	if err != nil {
		return 1, err
	}
	st, err := container.State()
	if err != nil {
		return 1, err
	}
	data, err := st.JSON("  ")
	if err != nil {
		return 1, err
	}
	_, err = e.stdio[1].Write(append(data, '\n'))
	return 0, err
}

// printJSON prints a value indented, with its last newline.
func printJSON(w io.Writer, indent string, v any) error {
	data, err := json.MarshalIndent(v, "", indent)
	if err != nil {
		return err
	}
	_, err = w.Write(append(data, '\n'))
	return err
}
