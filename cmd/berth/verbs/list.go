// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"berth/libcontainer"
)

// listCommand is `list`.
type listCommand struct {
	format string
	quiet  bool
}

func (c *listCommand) flags() []flag {
	return []flag{
		text(&c.format, "table|json", "how to print (default: table)", "format", "f"),
		toggle(&c.quiet, "print the ids only", "quiet", "q"),
	}
}

func (c *listCommand) run(e *env, _ []string) (int, error) {
	root, err := e.global.stateRoot()
	if err != nil {
		return 1, err
	}
	if err := checkFormat(c.format); err != nil {
		return 1, err
	}
	containers, broken, err := libcontainer.List(root)
	// The default root is made by the first create.
	if err != nil && (e.global.root != "" || !errors.Is(err, os.ErrNotExist)) {
		return 1, err
	}
	if c.quiet {
		complain(e, broken)
		for _, container := range containers {
			fmt.Fprintln(e.stdio[1], container.ID())
		}
		return 0, nil
	}
	var states []libcontainer.State
	for _, container := range containers {
		st, err := container.State()
		if err == nil {
			st.Owner, err = owner(container.StateDir())
		}
		if err != nil {
			// Deleted while we were looking, or broken.
			if _, gone := os.Lstat(container.StateDir()); gone == nil {
				broken = append(broken, fmt.Errorf("container %s: %w", container.ID(), err))
			}
			continue
		}
		states = append(states, st)
	}
	complain(e, broken)
	if c.format == "json" {
		return 0, json.NewEncoder(e.stdio[1]).Encode(states)
	}
	return 0, printTable(e.stdio[1], states)
}

// complain reports containers that cannot be read. They are no error of list:
// the others are there.
func complain(e *env, broken []error) {
	for _, err := range broken {
		fmt.Fprintln(e.stdio[2], message(err))
	}
}

func checkFormat(format string) error {
	if format != "" && format != "table" && format != "json" {
		return fmt.Errorf("invalid format option %q: must be table or json", format)
	}
	return nil
}

// printTable has runc's columns and widths: scripts cut them out.
func printTable(w io.Writer, states []libcontainer.State) error {
	t := tabwriter.NewWriter(w, 12, 1, 3, ' ', 0)
	fmt.Fprint(t, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n")
	for _, s := range states {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\n", s.ID, s.Pid, s.Status, s.Bundle, s.Created.Format(time.RFC3339Nano), s.Owner)
	}
	return t.Flush()
}

// owner is the name of the user whose directory it is, "#uid" without one.
func owner(dir string) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return "", fmt.Errorf("cannot stat %q: %w", dir, err)
	}
	uid := strconv.FormatUint(uint64(st.Uid), 10)
	u, err := user.LookupId(uid)
	if err != nil {
		return "#" + uid, nil
	}
	return u.Username, nil
}
