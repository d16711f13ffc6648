// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"berth/image"
	"berth/image/diff"
)

// editFlags change an image's config: of config, commit and import.
func editFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "image-user", Usage: "`USER[:GROUP]` of the process"},
		&cli.StringFlag{Name: "image-workdir", Usage: "working `DIR`ectory"},
		&cli.StringFlag{Name: "image-entrypoint", Usage: "`COMMAND`, a JSON list or words"},
		&cli.StringFlag{Name: "image-cmd", Usage: "`COMMAND` or arguments of the entrypoint, a JSON list or words"},
		&cli.StringSliceFlag{Name: "image-env", Usage: "`NAME=VALUE` to set"},
		&cli.StringSliceFlag{Name: "image-env-rm", Usage: "`NAME` to remove"},
		&cli.StringSliceFlag{Name: "label", Usage: "`NAME=VALUE` to set"},
		&cli.StringSliceFlag{Name: "label-rm", Usage: "`NAME` to remove"},
		&cli.StringSliceFlag{Name: "image-volume", Usage: "`PATH` to add"},
		&cli.StringSliceFlag{Name: "expose", Usage: "`PORT[/PROTOCOL]` to add"},
		&cli.StringFlag{Name: "image-stop-signal", Usage: "`SIGNAL` that ends the process"},
		&cli.StringFlag{Name: "author", Usage: "`WHO` made it"},
		&cli.StringFlag{Name: "created", Usage: "`TIME`, RFC 3339"},
		&cli.StringSliceFlag{Name: "clear", Usage: "`FIELD` to empty: " + strings.Join(diff.Fields(), ", ")},
	}
}

// words reads a command: a JSON list, or words between blanks.
func words(s string) ([]string, error) {
	if strings.HasPrefix(s, "[") {
		var list []string
		err := json.Unmarshal([]byte(s), &list)
		return list, err
	}
	if strings.ContainsAny(s, `"'`) {
		return nil, errors.New(`quotes in words mean nothing (hint: a JSON list, such as ["sh", "-c", "echo a"])`)
	}
	return append([]string{}, strings.Fields(s)...), nil
}

func edits(c *cli.Command) (diff.Edits, error) {
	e := diff.Edits{
		Clear: c.StringSlice("clear"), Env: c.StringSlice("image-env"), RemoveEnv: c.StringSlice("image-env-rm"),
		Labels: c.StringSlice("label"), RemoveLabels: c.StringSlice("label-rm"),
		Volumes: c.StringSlice("image-volume"), Ports: c.StringSlice("expose"),
	}
	for flag, field := range map[string]**string{
		"image-user": &e.User, "image-workdir": &e.WorkingDir, "image-stop-signal": &e.StopSignal, "author": &e.Author,
	} {
		if c.IsSet(flag) {
			*field = new(c.String(flag))
		}
	}
	for flag, field := range map[string]*[]string{"image-entrypoint": &e.Entrypoint, "image-cmd": &e.Cmd} {
		if !c.IsSet(flag) {
			continue
		}
		var err error
		if *field, err = words(c.String(flag)); err != nil {
			return e, fmt.Errorf("--%s: %w", flag, err)
		}
	}
	if s := c.String("created"); s != "" {
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return e, fmt.Errorf("--created: %w", err)
		}
		e.Created = &t
	}
	return e, nil
}

func configCommand() *cli.Command {
	return &cli.Command{
		Name: "config", Usage: "change the config of an image, in place or as NAME", ArgsUsage: "IMAGE [NAME]",
		Flags: append(editFlags(), platformFlag(), &cli.BoolFlag{Name: "no-history", Usage: "leave no entry in the history"}),
		Action: func(ctx context.Context, c *cli.Command) error {
			a, err := args(c, 1, 2)
			if err != nil {
				return err
			}
			p, err := platform(c)
			if err != nil {
				return err
			}
			e, err := edits(c)
			if err != nil {
				return err
			}
			return with(c, func(t *image.Tool) error {
				name, d, err := t.Edit(ctx, a[0], a[1], p, e, c.Bool("no-history"))
				if err != nil {
					return err
				}
				return printImage(c, name, d)
			})
		},
	}
}
