// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"fmt"
	"slices"
	"strings"
)

// fishEngine is the same for all programs.
const fishEngine = `
# where we are: the command, and how many arguments it has already
function __NAME_place
	set -l command ''
	set -l nth 0
	set -l skip no
	set -l tokens (commandline -opc)
	for token in $tokens[2..-1]
		if test $skip = yes
			set skip no
		else if string match -q -- '-*' $token
			if __NAME_takes_value "$command:$token"
				set skip yes
			end
		else if test -z "$command"
			set command $token
		else
			set nth (math $nth + 1)
		end
	end
	echo "$command:$nth"
end

# __NAME_at COMMAND [NTH...]
function __NAME_at
	set -l place (string split : -- (__NAME_place))
	test "$place[1]" = "$argv[1]"; or return 1
	test (count $argv) -eq 1; or contains -- $place[2] $argv[2..-1]
end

function __NAME_list
	set -l tokens (commandline -opc)
	set -l where
	for i in (seq 2 (count $tokens))
		switch $tokens[$i]
			case WHERE
				set where WHERE $tokens[(math $i + 1)]
			case 'WHERE=*'
				set where $tokens[$i]
		end
	end
	command $tokens[1] $where $argv 2>/dev/null
end

complete -c PROGRAM -f
`

// fish is a program's completion for fish 3 or newer.
func fish(p Program) string {
	var b strings.Builder
	id := identifier(p.Name)
	fmt.Fprintf(&b, "# fish completion for %s, made from its command definitions; do not edit.\n\n", p.Name)
	fmt.Fprintf(&b, "function __%s_takes_value\n\tswitch $argv[1]\n", id)
	p.each(func(c Command, names []string) {
		var valued []string
		for _, f := range c.Flags {
			if f.Value != "" {
				valued = append(valued, cross(names, f.Names)...)
			}
		}
		if len(valued) > 0 {
			fmt.Fprintf(&b, "\t\tcase %s\n\t\t\treturn 0\n", strings.Join(valued, " "))
		}
	})
	b.WriteString("\tend\n\treturn 1\nend\n")
	b.WriteString(strings.NewReplacer("NAME", id, "PROGRAM", p.Name, "WHERE", p.Where).Replace(fishEngine))
	p.each(func(c Command, names []string) {
		for _, name := range names {
			p.fishCommand(&b, c, name)
		}
	})
	return b.String()
}

// fishCommand has the lines of a command under one of its names.
func (p Program) fishCommand(b *strings.Builder, c Command, name string) {
	id := identifier(p.Name)
	line := func(condition, rest string) {
		fmt.Fprintf(b, "complete -c %s -n %s%s\n", p.Name, fishQuote(fmt.Sprintf("__%s_at %s", id, condition)), rest)
	}
	place := shellPattern([]string{name})
	for _, f := range slices.Concat(c.Flags, helpFlags) {
		line(place, fishFlag(f, p.kindOf(f.Value), id))
	}
	for _, sub := range c.Commands {
		line(place, " -a "+sub.Name+" -d "+fishQuote(sub.Summary))
	}
	kinds, more := p.arguments(c)
	for i, k := range kinds {
		condition := fmt.Sprintf("%s %d", place, i)
		if more && i == len(kinds)-1 && i == 0 {
			condition = place
		}
		if !k.empty() && len(c.Commands) == 0 {
			line(condition, fishKind(k, id))
		}
	}
}

func fishFlag(f Flag, k kind, id string) string {
	var b strings.Builder
	for _, n := range f.Names {
		switch long, ok := strings.CutPrefix(n, "--"); {
		case ok:
			b.WriteString(" -l " + long)
		case len(n) == 2:
			b.WriteString(" -s " + n[1:])
		default:
			b.WriteString(" -o " + n[1:])
		}
	}
	switch {
	case f.Value == "":
	case k.files:
		b.WriteString(" -r" + fishKind(k, id))
	default: // no file names beside what is offered
		b.WriteString(" -x" + fishKind(k, id))
	}
	return b.String() + " -d " + fishQuote(f.Usage)
}

// fishKind says what to offer; -F is for files.
func fishKind(k kind, id string) string {
	switch {
	case k.list != "":
		return " -a '(__" + id + "_list " + k.list + ")'"
	case len(k.words) > 0:
		return " -a '" + strings.Join(k.words, " ") + "'"
	case k.files:
		return " -F"
	case k.dirs:
		return " -a '(__fish_complete_directories)'"
	}
	return ""
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
