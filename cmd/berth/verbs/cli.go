// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v3"
)

// thoroughly reads a command line with urfave/cli, which knows help, grouped
// short flags, and how to say what is wrong. Without error and verb there is
// nothing left to do: it printed help. The global flags before an error are
// returned with it.
func thoroughly(argv []string, stdio [3]*os.File) (*invocation, error) {
	g := newGlobal()
	found := &invocation{global: g}
	stop := 1
	root := &cli.Command{
		Name:                   filepath.Base(argv[0]),
		Usage:                  "run containers from OCI bundles",
		UsageText:              filepath.Base(argv[0]) + " [global flags] <command> [flags] [arguments]",
		Flags:                  cliFlags(g.flags()),
		HideVersion:            true, // ours prints five lines, and has -V
		StopOnNthArg:           &stop,
		UseShortOptionHandling: true,
		// Commas are part of values, such as exec's --env.
		DisableSliceFlagSeparator: true,
		Reader:                    stdio[0], Writer: stdio[1], ErrWriter: stdio[2],
		OnUsageError:   usageError,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // main exits
	}
	root.Action = func(_ context.Context, c *cli.Command) error {
		switch {
		case g.version:
			return nil
		case c.NArg() > 0:
			return fmt.Errorf("no such command: %q; %s --help lists them", c.Args().First(), root.Name)
		}
		return cli.ShowRootCommandHelp(root)
	}
	for i := range verbs {
		v := &verbs[i]
		root.Commands = append(root.Commands, cliCommand(v, func(c command, args []string) {
			found.verb, found.command, found.args = v, c, args
		}))
	}
	return found, root.Run(context.Background(), argv)
}

func cliCommand(v *verb, found func(command, []string)) *cli.Command {
	c := v.new()
	cmd := &cli.Command{
		Name: v.name, Usage: v.summary, ArgsUsage: v.usage, Flags: cliFlags(c.flags()),
		HideHelpCommand: true, DisableSliceFlagSeparator: true, OnUsageError: usageError,
		Action: func(_ context.Context, cmd *cli.Command) error {
			found(c, cmd.Args().Slice())
			return nil
		},
	}
	if v.stop > 0 {
		cmd.StopOnNthArg = &v.stop
	}
	return cmd
}

// usageError keeps cli from printing the whole help: the engine that called us
// shows what is on stderr to its user.
func usageError(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	return fmt.Errorf("%s: %w; %s --help lists the flags", cmd.Name, err, cmd.FullName())
}

func cliFlags(flags []flag) []cli.Flag {
	list := make([]cli.Flag, len(flags))
	for i := range flags {
		f := &flags[i]
		c := &cli.GenericFlag{Name: f.names[0], Aliases: f.names[1:], Hidden: f.hidden, Local: true, Value: cliValue{f}}
		c.SetStringer(func(cli.Flag) string { return f.help() })
		list[i] = c
	}
	return list
}

// help is the flag's line; cli aligns what follows the tab.
func (f *flag) help() string {
	names := make([]string, len(f.names))
	for i, n := range f.names {
		names[i] = "--" + n
		if len(n) == 1 {
			names[i] = "-" + n
		}
	}
	return strings.TrimSpace(strings.Join(names, ", ")+" "+f.value) + "\t" + f.usage
}

// cliValue is a flag as cli.GenericFlag wants it.
type cliValue struct{ f *flag }

func (v cliValue) Set(s string) error { return v.f.set(s) }
func (v cliValue) String() string     { return "" }
func (v cliValue) Get() any           { return nil }
func (v cliValue) IsBoolFlag() bool   { return v.f != nil && v.f.value == "" }
