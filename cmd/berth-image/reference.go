// SPDX-License-Identifier: Apache-2.0

//go:build reference

package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"berth/internal/reference"
)

// With the tag reference, this program writes its manual pages and completions
// into the directory that it is given.
func main() {
	root := command()
	p := reference.Program{
		Section: 1,
		Command: describe(root),
		Lists: map[string]string{
			"IMAGE": "--quiet list",
		},
		Where: "--root",
		Files: []reference.Item{
			{Name: "/var/lib/berth-image", Text: "root's store: an OCI image layout with unpacked layers and volumes beside it"},
			{Name: "~/.local/share/berth-image", Text: "that of an ordinary user, or below $XDG_DATA_HOME"},
			{Name: "/etc/subuid, /etc/subgid", Text: "the ids that files of an ordinary user's containers have"},
			{Name: "~/.docker/config.json, $XDG_RUNTIME_DIR/containers/auth.json", Text: "credentials for registries"},
		},
		Examples: examples,
		SeeAlso:  []string{"berth(8)", "skopeo(1)", "umoci(1)", "subuid(5)"},
	}
	p.Description = about
	p.Exit = []reference.Item{
		{Name: "0", Text: "It is done."},
		{Name: "1", Text: "It failed, or the command line is wrong. One line on stderr says why."},
	}
	for _, c := range root.Commands {
		p.Commands = append(p.Commands, describe(c))
	}
	if err := reference.Write(os.Args[1], p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func describe(c *cli.Command) reference.Command {
	r := reference.Command{
		Name: c.Name, Aliases: c.Aliases, Summary: c.Usage, Args: strings.TrimSpace(c.ArgsUsage), Description: c.Description,
		Exit: statuses[c.Name],
	}
	for _, f := range c.Flags {
		if v, ok := f.(cli.VisibleFlag); ok && !v.IsVisible() {
			continue
		}
		left, right := describeFlag(f)
		names, value, _ := strings.Cut(strings.TrimSuffix(left, " …"), " ")
		for strings.HasSuffix(names, ",") { // more names follow
			var next string
			next, value, _ = strings.Cut(value, " ")
			names += next
		}
		r.Flags = append(r.Flags, reference.Flag{
			Names: strings.Split(names, ","), Value: value, Usage: right, Repeats: strings.HasSuffix(left, " …"),
		})
	}
	return r
}

const about = `
berth-image copies images between registries, layouts, archives and a store of its own, makes bundles for berth(8) or another OCI runtime of them, and
images of what changed in a bundle. There is no daemon: the store is a directory.

A layer is stored and unpacked once for all images and bundles; an overlay bundle has shared layers under a directory for what is written, a
copy has files of its own. Whatever an image contains, it is applied by a process that can reach nothing but the directory it fills.

IMAGE is a name in the store, as busybox, registry.example/web:1 or a digest; pull also takes oci:DIR[:TAG], oci-archive:FILE[:TAG] and
docker-archive:FILE[:TAG].`

const examples = `
berth-image pull docker.io/library/busybox
berth-image run busybox echo hello
berth-image unpack busybox web && berth run --bundle web web1
berth-image commit web registry.example/web:1
berth-image push registry.example/web:1`

// statuses are those beside 0 and 1.
var statuses = map[string][]reference.Item{
	"run": {
		{Name: "the process's", Text: "when it has ended; 128 and the signal's number if one ended it"},
		{Name: "126, 127", Text: "The program cannot be executed, or is not there."},
	},
	"unshare": {
		{Name: "the command's", Text: "when it has ended"},
		{Name: "126, 127", Text: "The command cannot be executed, or is not there."},
	},
}
