// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v3"

	"berth/image"
	"berth/image/document"
)

func platformFlag() cli.Flag {
	return &cli.StringFlag{Name: "platform", Usage: "`OS/ARCH[/VARIANT]` to choose from an index (default: this machine's)"}
}

func platform(c *cli.Command) (*ocispec.Platform, error) {
	s := c.String("platform")
	if s == "" {
		return nil, nil
	}
	p, err := document.ParsePlatform(s)
	if err != nil {
		return nil, fmt.Errorf("--platform: %w", err)
	}
	return &p, nil
}

func compressionFlag() cli.Flag {
	return &cli.StringFlag{Name: "compress", Value: "gzip", Usage: "`gzip|zstd|none` for the layer"}
}

func compression(c *cli.Command) (document.Compression, error) {
	switch s := c.String("compress"); s {
	case "gzip", "zstd":
		return document.Compression(s), nil
	case "none":
		return document.Uncompressed, nil
	default:
		return "", fmt.Errorf("--compress %s: there are gzip, zstd and none", s)
	}
}

// printImage is the result of verbs that make or bring an image.
func printImage(c *cli.Command, name string, d digest.Digest) error {
	if c.Bool("json") {
		return printJSON(struct {
			Name   string        `json:"name,omitempty"`
			Digest digest.Digest `json:"digest"`
		}{name, d})
	}
	if name != "" {
		name += "@"
	}
	_, err := fmt.Fprintf(os.Stdout, "%s%s\n", name, d)
	return err
}

func printJSON(v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(data, '\n'))
	return err
}

func pullCommand() *cli.Command {
	return &cli.Command{
		Name: "pull", Usage: "copy an image from a registry, layout or archive to the store", ArgsUsage: "IMAGE [NAME]",
		Description: "IMAGE is a name in a registry, oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:TAG].",
		Flags:       []cli.Flag{platformFlag(), &cli.BoolFlag{Name: "all-platforms", Usage: "all that is in the index"}},
		Action: func(ctx context.Context, c *cli.Command) error {
			a, err := args(c, 1, 2)
			if err != nil {
				return err
			}
			p, err := platform(c)
			if err != nil {
				return err
			}
			return with(c, func(t *image.Tool) error {
				name, d, err := t.Pull(ctx, a[0], image.PullOptions{Platform: p, AllPlatforms: c.Bool("all-platforms"), As: a[1]})
				if err != nil {
					return err
				}
				return printImage(c, name, d)
			})
		},
	}
}

func pushCommand() *cli.Command {
	return &cli.Command{
		Name: "push", Usage: "copy an image of the store to a registry", ArgsUsage: "IMAGE [DESTINATION]",
		Action: func(ctx context.Context, c *cli.Command) error {
			a, err := args(c, 1, 2)
			if err != nil {
				return err
			}
			return with(c, func(t *image.Tool) error {
				d, err := t.Push(ctx, a[0], a[1])
				if err != nil {
					return err
				}
				return printImage(c, "", d)
			})
		},
	}
}

func importCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "store a saved image, or a plain tar of a root file system", ArgsUsage: "TARBALL [NAME]",
		Description: "A saved image is what docker save, skopeo and export write. NAME is what it calls itself, if you do not say another one. " +
			"A plain tar becomes an image of one layer; the flags --image-*, --label, --expose and so on are for its config.",
		Flags: append(editFlags(), platformFlag(), compressionFlag(),
			&cli.StringFlag{Name: "message", Aliases: []string{"m"}, Usage: "`TEXT` for the history"},
			&cli.StringFlag{Name: "base", Usage: "`IMAGE` that a plain tar becomes another layer of"}),
		Action: func(ctx context.Context, c *cli.Command) error {
			a, err := args(c, 1, 2)
			if err != nil {
				return err
			}
			o := image.ImportOptions{Message: c.String("message"), Base: c.String("base")}
			if o.Platform, err = platform(c); err != nil {
				return err
			}
			if o.Compression, err = compression(c); err != nil {
				return err
			}
			if o.Edits, err = edits(c); err != nil {
				return err
			}
			return with(c, func(t *image.Tool) error {
				name, d, err := t.Import(ctx, a[0], a[1], o)
				if err != nil {
					return err
				}
				return printImage(c, name, d)
			})
		},
	}
}

func exportCommand() *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "copy an image of the store to a layout or an archive", ArgsUsage: "IMAGE DESTINATION",
		Description: "DESTINATION is oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:TAG].",
		Action: func(ctx context.Context, c *cli.Command) error {
			a, err := args(c, 2, 2)
			if err != nil {
				return err
			}
			return with(c, func(t *image.Tool) error { return t.Export(ctx, a[0], a[1]) })
		},
	}
}
