// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// psCommand is `ps`.
type psCommand struct{ format string }

func (c *psCommand) flags() []flag {
	return []flag{text(&c.format, "table|json", "how to print (default: table)", "format", "f")}
}

func (c *psCommand) run(e *env, args []string) (int, error) {
	if err := checkFormat(c.format); err != nil {
		return 1, err
	}
	container, err := load(e, args[0])
	if err != nil {
		return 1, err
	}
	pids, err := container.PIDs()
	if err != nil {
		return 1, err
	}
	slices.Sort(pids)
	if c.format == "json" {
		return 0, json.NewEncoder(e.stdio[1]).Encode(append([]int{}, pids...)) // [], not null
	}
	options := args[1:]
	if len(options) == 0 {
		options = []string{"-ef"}
	}
	out, err := exec.Command("ps", options...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && len(exit.Stderr) > 0 {
			return 1, fmt.Errorf("ps: %w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return 1, fmt.Errorf("ps: %w", err)
	}
	return 0, filterPs(e.stdio[1], string(out), pids)
}

// filterPs prints the lines of ps whose PID column holds one of the pids.
func filterPs(w io.Writer, out string, pids []int) error {
	header, rest, _ := strings.Cut(out, "\n")
	column := slices.Index(strings.Fields(header), "PID")
	if column < 0 {
		return errors.New("couldn't find PID field in ps output")
	}
	fmt.Fprintln(w, header)
	for line := range strings.Lines(rest) {
		fields := strings.Fields(line)
		if column >= len(fields) {
			continue
		}
		if pid, err := strconv.Atoi(fields[column]); err == nil && slices.Contains(pids, pid) {
			if _, err := io.WriteString(w, line); err != nil {
				return err
			}
		}
	}
	return nil
}
