// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v3"

	"berth/image"
	"berth/image/store"
)

func listCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Aliases: []string{"ls"}, Usage: "list the images of the store", ArgsUsage: " ",
		Action: func(_ context.Context, c *cli.Command) error {
			if _, err := args(c, 0, 0); err != nil {
				return err
			}
			return with(c, func(t *image.Tool) error {
				all, err := t.List()
				if c.Bool("json") {
					return errors.Join(err, printJSON(append([]image.Summary{}, all...)))
				}
				return errors.Join(err, printList(all, c.Bool("quiet")))
			})
		},
	}
}

func printList(all []image.Summary, quiet bool) error {
	if quiet {
		for _, s := range all {
			if _, err := fmt.Fprintln(os.Stdout, s.Name); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tDIGEST\tPLATFORM\tSIZE\tCREATED")
	for _, s := range all {
		created := "-"
		if s.Created != nil {
			created = s.Created.Format(time.DateTime)
		}
		short := s.Digest.Encoded()[:12]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Name, short, s.Platform, units.HumanSizeWithPrecision(float64(s.Size), 3), created)
	}
	return w.Flush()
}

func inspectCommand() *cli.Command {
	return &cli.Command{
		Name: "inspect", Usage: "print an image's documents as JSON", ArgsUsage: "IMAGE", Flags: []cli.Flag{platformFlag()},
		Action: func(ctx context.Context, c *cli.Command) error {
			a, err := args(c, 1, 1)
			if err != nil {
				return err
			}
			p, err := platform(c)
			if err != nil {
				return err
			}
			return with(c, func(t *image.Tool) error {
				i, err := t.Inspect(ctx, a[0], p)
				if err != nil {
					return err
				}
				return printJSON(i)
			})
		},
	}
}

func tagCommand() *cli.Command {
	return &cli.Command{
		Name: "tag", Usage: "give an image of the store another name", ArgsUsage: "IMAGE NAME",
		Action: func(ctx context.Context, c *cli.Command) error {
			a, err := args(c, 2, 2)
			if err != nil {
				return err
			}
			return with(c, func(t *image.Tool) error {
				_, err := t.Tag(ctx, a[0], a[1])
				return err
			})
		},
	}
}

func rmCommand() *cli.Command {
	return &cli.Command{
		Name: "rm", Usage: "take names of images away; gc then frees what nothing uses", ArgsUsage: "IMAGE...",
		Action: func(ctx context.Context, c *cli.Command) error {
			a, err := args(c, 1, -1)
			if err != nil {
				return err
			}
			return with(c, func(t *image.Tool) error { return t.Remove(ctx, a...) })
		},
	}
}

func gcCommand() *cli.Command {
	return &cli.Command{
		Name: "gc", Usage: "remove blobs, layers and leftovers that nothing uses", ArgsUsage: " ",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "only say what would go"},
			&cli.BoolFlag{Name: "wait", Usage: "wait for others that use the store"},
		},
		Action: owned(func(ctx context.Context, c *cli.Command) error {
			if _, err := args(c, 0, 0); err != nil {
				return err
			}
			return with(c, func(t *image.Tool) error {
				report, err := t.GC(ctx, store.GCOptions{DryRun: c.Bool("dry-run"), Wait: c.Bool("wait")})
				return errors.Join(err, printReport(c, report))
			})
		}),
	}
}

func printReport(c *cli.Command, report store.Report) error {
	if c.Bool("json") {
		return printJSON(append(store.Report{}, report...))
	}
	if c.Bool("quiet") {
		return nil
	}
	for _, r := range report {
		if _, err := fmt.Fprintf(os.Stdout, "%s %s %s\n", r.Kind, r.Name, units.HumanSizeWithPrecision(float64(r.Size), 3)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(os.Stdout, "%d removed, %s\n", len(report), units.HumanSizeWithPrecision(float64(report.Size()), 3))
	return err
}

func verifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "read all blobs of the store again and compare them with their digests", ArgsUsage: " ",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "repair", Usage: "remove damaged blobs, so that the next pull brings them again"}},
		Action: func(ctx context.Context, c *cli.Command) error {
			if _, err := args(c, 0, 0); err != nil {
				return err
			}
			return with(c, func(t *image.Tool) error {
				n := 0
				err := t.Verify(ctx, c.Bool("repair"), func(r store.Checked) {
					if n++; r.Err != nil {
						fmt.Fprintf(os.Stdout, "%s: %s\n", r.Digest, strings.ReplaceAll(r.Err.Error(), "\n", "; "))
					}
				})
				if err == nil && !c.Bool("quiet") {
					_, err = fmt.Fprintf(os.Stdout, "%d blobs, all well\n", n)
				}
				return err
			})
		},
	}
}

func volumeCommand() *cli.Command {
	return &cli.Command{
		Name: "volume", Usage: "list named volumes, or remove them with --rm", ArgsUsage: "[NAME...]",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "rm", Usage: "remove the named volumes and what is in them"}},
		Action: owned(func(_ context.Context, c *cli.Command) error {
			return with(c, func(t *image.Tool) error {
				if c.Bool("rm") {
					var failed error
					for _, name := range c.Args().Slice() {
						failed = errors.Join(failed, t.Store().RemoveVolume(name))
					}
					return failed
				}
				names, err := t.Store().Volumes()
				for _, name := range names {
					fmt.Fprintln(os.Stdout, name)
				}
				return err
			})
		}),
	}
}
