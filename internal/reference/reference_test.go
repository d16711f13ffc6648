// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// shop has each thing that a program can have, and text that each language would
// take for something else.
var shop = Program{
	Section: 8,
	Command: Command{
		Name: "my-shop", Summary: "sell things", Description: "It isn't closed.\n\n.TH would be a request; a back\\slash is not.",
		Flags: []Flag{
			{Names: []string{"--root"}, Value: "DIR", Usage: "where things are (default: /run/it's)"},
			{Names: []string{"--verbose", "-v"}, Usage: "say [more]: all"},
		},
		Commands: []Command{
			{
				Name: "sell", Aliases: []string{"vend"}, Summary: "sell a thing", Args: "<thing> [signal]",
				Flags: []Flag{
					{Names: []string{"--format", "-f"}, Value: "table|json", Usage: "how to print"},
					{Names: []string{"--list"}, Value: "FILE|-", Usage: "more → things", Repeats: true},
				},
				Exit: []Item{{"7", "It was sold before."}},
			},
			{Name: "show", Summary: "show things", Args: "[thing...]"},
		},
		Exit: []Item{{"0", "It is done."}},
	},
	Lists: map[string]string{"thing": "show -q"}, Where: "--root",
	Files: []Item{{"~/.shop", "what there is"}}, Examples: "my-shop sell 'it'\n.show", SeeAlso: []string{"bash(1)"},
}

func TestRender(t *testing.T) {
	for name, text := range Render(shop) {
		path := filepath.Join("testdata", filepath.Base(name))
		if *update {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if text != string(want) {
			t.Errorf("%s differs from %s; -update rewrites it:\n%s", name, path, text)
		}
	}
}

func TestProgramWithoutCommandsIsNotTyped(t *testing.T) {
	p := shop
	p.Commands = nil
	for name := range Render(p) {
		if name != "man/man8/my-shop.8" {
			t.Errorf("there is %s", name)
		}
	}
}

func TestKindOf(t *testing.T) {
	for word, want := range map[string]kind{
		"<thing>":        {list: "show -q"},
		"[thing...]":     {list: "show -q"},
		"DIR":            {dirs: true},
		"FILE|-":         {files: true},
		"[file:]PATH":    {files: true},
		"text|json":      {words: []string{"text", "json"}},
		"host|none|PATH": {files: true, words: []string{"host", "none"}},
		"[signal]":       {words: signals},
		"N":              {},
		"":               {},
	} {
		if got := shop.kindOf(word); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v", word, got, want)
		}
	}
}

func TestWriteMakesDirectories(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir+"/share", shop); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(dir + "/share/man/man8/my-shop-sell.8")
	if err != nil || !strings.HasPrefix(string(page), `.\" Made`) {
		t.Errorf("%q, %v", page, err)
	}
}
