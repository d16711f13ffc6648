// SPDX-License-Identifier: Apache-2.0

// Command berth-image turns layered images into bundles and back:
//
//	berth-image pull busybox
//	berth-image unpack busybox web
//	berth-image commit web example.com/web:1
//
// A verb is a function of package image; here are its flags and what it prints.
// Results go to stdout, progress and warnings to stderr.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"berth/image"
	"berth/image/layer"
	"berth/image/progress"
	"berth/image/registry"
	"berth/image/userns"
)

// Set by the linker.
var (
	version = "unknown"
	commit  = "unknown"
)

// exitStatus is a container's, of run.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func run(argv []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	// A second one ends us at once. What a process group is sent may come twice.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second/4, stop) })
	err := command().Run(ctx, argv)
	var status exitStatus
	var start *startError
	code := 1
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case ctx.Err() != nil:
		err = errors.New("interrupted")
	case errors.As(err, &start):
		code = start.status()
	}
	fmt.Fprintln(os.Stderr, "berth-image: "+strings.ReplaceAll(err.Error(), "\n", "; "))
	return code
}

func command() *cli.Command {
	cli.HelpPrinterCustom = printHelp
	root := &cli.Command{
		Name:    "berth-image",
		Usage:   "turn layered images into bundles, and back",
		Version: version + " (commit " + commit + ")",
		Flags:   globalFlags(),
		Commands: []*cli.Command{
			pullCommand(), pushCommand(), importCommand(), exportCommand(),
			listCommand(), inspectCommand(), tagCommand(), rmCommand(), gcCommand(), verifyCommand(), volumeCommand(),
			unpackCommand(), mountCommand(), unmountCommand(), commitCommand(), configCommand(), runCommand(), unshareCommand(),
			loginCommand(), logoutCommand(),
		},
		DisableSliceFlagSeparator: true,
		UseShortOptionHandling:    true,
		OnUsageError:              usageError,
		ExitErrHandler:            func(context.Context, *cli.Command, error) {}, // main exits
		Action: func(_ context.Context, c *cli.Command) error {
			if c.NArg() > 0 {
				return fmt.Errorf("no such command: %q (hint: berth-image --help)", c.Args().First())
			}
			return cli.ShowRootCommandHelp(c)
		},
	}
	for _, c := range root.Commands {
		c.OnUsageError, c.DisableSliceFlagSeparator, c.UseShortOptionHandling = usageError, true, true // a verb does not inherit them
	}
	return root
}

func usageError(_ context.Context, c *cli.Command, err error, _ bool) error {
	return fmt.Errorf("%s: %w (hint: %s --help)", c.Name, err, c.FullName())
}

func globalFlags() []cli.Flag {
	d := layer.DefaultLimits()
	return []cli.Flag{
		&cli.StringFlag{Name: "root", Sources: cli.EnvVars(rootEnv), Usage: "store `DIR` (default: /var/lib/berth-image, or $XDG_DATA_HOME/berth-image)"},
		&cli.BoolFlag{Name: "single-id", Usage: "as an ordinary user: all files are yours, without the ids of /etc/subuid"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress and no warnings"},
		&cli.BoolFlag{Name: "json", Usage: "progress and results as JSON"},
		&cli.StringFlag{Name: "ca", Usage: "`FILE` of certificates to trust as well"},
		&cli.BoolFlag{Name: "insecure", Usage: "allow registries without TLS, or with a certificate that nobody vouches for"},
		&cli.StringFlag{Name: "authfile", Usage: "`FILE` of credentials, as docker and podman have it"},
		&cli.StringFlag{Name: "creds", Usage: "`USER:PASSWORD` for the registry"},
		&cli.StringSliceFlag{Name: "mirror", Usage: "try first `REGISTRY=HOST[:PORT][/PREFIX]` when pulling"},
		&cli.IntFlag{Name: "parallel", Usage: "copy `N` blobs at a time", Value: 4},
		&cli.Int64Flag{Name: "max-size", Usage: "at most `BYTES` that a layer may unpack to", Value: d.Bytes},
		&cli.Int64Flag{Name: "max-entries", Usage: "at most `N` files that a layer may have", Value: d.Entries},
		&cli.IntFlag{Name: "max-depth", Usage: "at most `N` components that a path may have", Value: d.Depth},
		&cli.Int64Flag{Name: "max-xattrs", Usage: "at most `BYTES` of extended attributes that a file may have", Value: d.XattrBytes},
	}
}

// with opens the tool that the global flags ask for, and prints its progress.
func with(c *cli.Command, f func(t *image.Tool) error) error {
	o, err := options(c)
	if err != nil {
		return err
	}
	mode := progress.Auto
	switch {
	case c.Bool("quiet"):
		mode = progress.Quiet
	case c.Bool("json"):
		mode = progress.JSON
	}
	printer := progress.New(os.Stderr, mode)
	o.Progress = printer.Update
	o.Warn = warner(c)
	t, err := image.Open(o)
	if err != nil {
		printer.Close()
		return err
	}
	err = f(t)
	printer.Close()
	return errors.Join(err, t.Close())
}

func options(c *cli.Command) (image.Options, error) {
	o := image.Options{
		Root: c.String("root"), Parallel: c.Int("parallel"), Limits: layer.DefaultLimits(), Transient: userns.Entered(os.Args),
	}
	o.Limits.Bytes, o.Limits.Entries = c.Int64("max-size"), c.Int64("max-entries")
	o.Limits.Depth, o.Limits.XattrBytes = c.Int("max-depth"), c.Int64("max-xattrs")
	var err error
	o.Registry, err = registryOptions(c)
	return o, err
}

func registryOptions(c *cli.Command) (registry.Options, error) {
	o := registry.Options{
		CAFile: c.String("ca"), Insecure: c.Bool("insecure"), AuthFile: c.String("authfile"), UserAgent: "berth-image/" + version,
	}
	if s := c.String("creds"); s != "" {
		var ok bool
		if o.Username, o.Password, ok = strings.Cut(s, ":"); !ok {
			return o, errors.New("--creds: want USER:PASSWORD")
		}
	}
	for _, s := range c.StringSlice("mirror") {
		host, mirror, err := registry.ParseMirror(s)
		if err != nil {
			return o, fmt.Errorf("--mirror: %w", err)
		}
		if o.Mirrors == nil {
			o.Mirrors = make(map[string][]string)
		}
		o.Mirrors[host] = append(o.Mirrors[host], mirror)
	}
	return o, nil
}

// args checks how many arguments a verb has, and gives them; max -1 is any number.
func args(c *cli.Command, minimum, maximum int) ([]string, error) {
	n := c.NArg()
	if n < minimum || maximum >= 0 && n > maximum {
		return nil, fmt.Errorf("%s: want %s (hint: %s --help)", c.Name, c.ArgsUsage, c.FullName())
	}
	return append(c.Args().Slice(), make([]string, max(0, maximum-n))...), nil
}
