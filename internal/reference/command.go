// SPDX-License-Identifier: Apache-2.0

// Package reference renders the definition of a command line as manual pages and
// as completions for bash, zsh and fish. What a program's flags and commands are,
// it is told as a value; nothing here knows any program.
//
//	err := reference.Write("out/share", reference.Program{Section: 8, Command: reference.Command{Name: "berth"}})
package reference

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Program is a command with what there is once in a program.
type Program struct {
	Command
	Section int // of the manual: 1 for everybody, 8 for administrators
	// Lists are command lines that print, one a line, what a word of a synopsis
	// can be: "container-id": "list -q".
	Lists map[string]string
	// Where is the global flag that says where these are, as "--root".
	Where    string
	Files    []Item
	Examples string
	SeeAlso  []string // "berth-image(1)"
}

// Command is a program, or one of its commands.
type Command struct {
	Name        string
	Aliases     []string
	Summary     string // what it does, in a line without full stop
	Args        string // behind the flags in the synopsis
	Description string // paragraphs with empty lines between them
	Flags       []Flag
	Commands    []Command
	Exit        []Item // statuses and their meaning; a command's own go before its program's
}

// Flag is a flag as a user types it.
type Flag struct {
	Names   []string // with their dashes
	Value   string   // a word for its value, or a|b for a choice; "" if it takes none
	Usage   string
	Repeats bool
}

// helpFlags are those of every command, which no definition has.
var helpFlags = []Flag{{Names: []string{"--help", "-h"}, Usage: "print a short description of the options"}}

// Item is a thing and what it is.
type Item struct{ Name, Text string }

// all is the command and its other names.
func (c Command) all() []string { return append([]string{c.Name}, c.Aliases...) }

// Render gives the files of a program, by their path below a share directory.
func Render(p Program) map[string]string {
	files := manual(p)
	if len(p.Commands) > 0 { // the others are started by engines, not typed
		files["bash-completion/completions/"+p.Name] = bash(p)
		files["zsh/site-functions/_"+p.Name] = zsh(p)
		files["fish/vendor_completions.d/"+p.Name+".fish"] = fish(p)
	}
	return files
}

// Write writes the files of a program below dir.
func Write(dir string, p Program) error {
	for name, text := range Render(p) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// signals are those that people send to containers.
var signals = []string{"TERM", "KILL", "HUP", "INT", "QUIT", "USR1", "USR2", "STOP", "CONT", "WINCH", "PIPE", "ALRM", "CHLD"}

// kind is what a completion offers in a place.
type kind struct {
	files, dirs bool
	words       []string
	list        string // arguments of the program that print it
}

func (k kind) empty() bool { return !k.files && !k.dirs && len(k.words) == 0 && k.list == "" }

// kindOf reads a word of a synopsis: "<container-id>", "[FILE...]", "text|json".
func (p Program) kindOf(word string) kind {
	bare := strings.TrimSuffix(strings.TrimSuffix(strings.Trim(word, "<>[]"), "..."), "…")
	if list := p.Lists[bare]; list != "" {
		return kind{list: list}
	}
	var k kind
	for choice := range strings.SplitSeq(bare, "|") {
		switch name := strings.Trim(choice, "[]"); {
		case name == "DIR" || name == "BUNDLE":
			k.dirs = true
		case slices.Contains([]string{"FILE", "PATH", "file:]PATH", "TARBALL", "DESTINATION", "PROGRAM"}, name):
			k.files = true
		case name == "signal" || name == "SIGNAL":
			k.words = append(k.words, signals...)
		case strings.Contains(bare, "|") && name != "-" && name == strings.ToLower(name):
			k.words = append(k.words, name)
		}
	}
	return k
}

// arguments are the kinds of a command's arguments, and whether the last one
// stands for any number of them. What is said after "," is another form.
func (p Program) arguments(c Command) (kinds []kind, more bool) {
	form, _, _ := strings.Cut(c.Args, ",")
	for word := range strings.FieldsSeq(form) {
		kinds = append(kinds, p.kindOf(word))
		more = strings.Contains(word, "...") || strings.Contains(word, "…")
	}
	for len(kinds) > 0 && kinds[len(kinds)-1].empty() {
		kinds, more = kinds[:len(kinds)-1], false
	}
	return kinds, more
}
