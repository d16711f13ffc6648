// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"berth/image"
	"berth/image/bundle"
	"berth/image/store"
	"berth/image/userns"
)

// rootEnv names the store where --root does not, and does so in unshare.
const rootEnv = "BERTH_IMAGE_ROOT"

// owned is the action of a verb that handles the files of containers. An
// ordinary user does that in a user namespace, where files can have owners; one
// who cannot have that owns all of them.
func owned(action cli.ActionFunc) cli.ActionFunc {
	return func(ctx context.Context, c *cli.Command) error {
		if os.Geteuid() == 0 || c.Bool("single-id") {
			return action(ctx, c)
		}
		err := enter(c)
		if !errors.Is(err, userns.ErrNone) && !errors.Is(err, userns.ErrUnavailable) {
			return err
		}
		if slices.Contains([]string{"unpack", "run"}, c.Name) {
			warner(c)("all files will be yours: " + err.Error())
		}
		if errors.Is(err, userns.ErrUnavailable) {
			ctx = context.WithValue(ctx, oneID{}, true)
		}
		return action(ctx, c)
	}
}

// oneID marks a context: the user's subordinate ids cannot be had.
type oneID struct{}

// enter runs this command again in a user namespace.
func enter(c *cli.Command) error {
	maps, err := userns.Subordinate(login(), uint32(os.Geteuid()), uint32(os.Getegid()))
	if err != nil {
		return err
	}
	root := c.String("root")
	if root == "" {
		root, err = store.DefaultRoot()
	} else {
		root, err = filepath.Abs(root)
	}
	if err != nil {
		return err
	}
	if err := endRuns(c, root); err != nil {
		warner(c)(err.Error())
	}
	status, err := userns.Run(maps, os.Args[1:], append(os.Environ(), rootEnv+"="+root))
	if err == nil && status != 0 {
		return exitStatus(status)
	}
	return err
}

// endRuns ends what this command would end as root: all that killed runs have
// left, or the container whose name another run wants.
func endRuns(c *cli.Command, root string) error {
	switch {
	case c.Name == "gc" && !c.Bool("dry-run"):
		return image.EndRuns(root, "")
	case c.Name == "run" && c.String("name") != "":
		return image.EndRuns(root, c.String("name"))
	}
	return nil
}

// login is our name, "" if we have none.
func login() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

// rootless gives an ordinary user's container its ids.
func rootless(ctx context.Context, c *cli.Command, o *bundle.Options) error {
	maps, err := userns.Current()
	if err != nil {
		return err
	}
	inside := os.Geteuid() == 0 && !maps.Initial()
	o.Rootless = os.Geteuid() != 0 || inside
	if c.IsSet("rootless") {
		o.Rootless = c.Bool("rootless")
	}
	if !o.Rootless {
		return nil
	}
	if !inside {
		uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
		maps, err = userns.Subordinate(login(), uid, gid)
		if errors.Is(err, userns.ErrNone) || ctx.Value(oneID{}) != nil {
			maps, err = userns.Single(uid, gid), nil
		}
	}
	o.UIDMaps, o.GIDMaps, o.Inside = maps.UIDs, maps.GIDs, inside
	return err
}

func unshareCommand() *cli.Command {
	return &cli.Command{
		Name: "unshare", ArgsUsage: "[COMMAND...]",
		Usage: "run a command, or $SHELL, in the user namespace of your containers' files",
		Description: "Files of a bundle that are not root's have ids of /etc/subuid, which are yours in this namespace only: " +
			"there you can look at them, change and remove them. What is mounted in it is gone when the command ends. " +
			"Root has them all, and just runs the command.",
		StopOnNthArg: new(1),
		Action: func(_ context.Context, c *cli.Command) error {
			if os.Geteuid() != 0 {
				return enter(c)
			}
			command := c.Args().Slice()
			if len(command) == 0 {
				command = []string{shell()}
			}
			path, err := exec.LookPath(command[0])
			if err != nil {
				return &startError{err}
			}
			return &startError{userns.Exec(path, command, os.Environ())}
		},
	}
}

func shell() string {
	if s := os.Getenv("SHELL"); s != "" {
		return s
	}
	return "/bin/sh"
}

// startError is for a command that could not be started.
type startError struct{ error }

func (e *startError) Unwrap() error { return e.error }

// status is what shells have for it.
func (e *startError) status() int {
	if errors.Is(e, exec.ErrNotFound) || errors.Is(e, os.ErrNotExist) {
		return image.StatusNotFound
	}
	return image.StatusNotExecutable
}

// warner prints warnings, unless nobody wants them.
func warner(c *cli.Command) func(text string) {
	return func(text string) {
		if !c.Bool("quiet") {
			fmt.Fprintln(os.Stderr, "berth-image: warning: "+strings.ReplaceAll(text, "\n", "; "))
		}
	}
}
