// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"fmt"
	"slices"
	"strings"
)

// zsh is a program's completion function for zsh.
func zsh(p Program) string {
	var b strings.Builder
	id := identifier(p.Name)
	fmt.Fprintf(&b, "#compdef %s\n# Made from the command definitions of %[1]s; do not edit.\n", p.Name)
	fmt.Fprintf(&b, `
__%s_list() {
	local -a found
	found=(${(f)"$("$program" "${where[@]}" "$@" 2>/dev/null)"})
	compadd -a found
}

_%[1]s() {
	local curcontext=$curcontext state program=$words[1]
	local -a line where commands
	local -A opt_args
	_arguments -C -s %s \
		'1:command:->command' '*::argument:->argument'
	[[ -z $opt_args[%s] ]] || where=(%[3]s $opt_args[%[3]s])
	case $state in
	command)
		commands=(
`, id, strings.Join(p.zshFlags(p.Command), " \\\n\t\t"), p.Where)
	for _, c := range p.Commands {
		for _, name := range c.all() {
			fmt.Fprintf(&b, "\t\t\t%s\n", shellQuote(name+":"+c.Summary))
		}
	}
	b.WriteString("\t\t)\n\t\t_describe command commands\n\t\t;;\n\targument)\n\t\tcase $words[1] in\n")
	for _, c := range p.Commands {
		specs := p.zshFlags(c)
		kinds, more := p.arguments(c)
		for i, k := range kinds {
			place := fmt.Sprint(i + 1)
			if more && i == len(kinds)-1 {
				place = "*"
			}
			specs = append(specs, shellQuote(place+":argument:"+p.zshKind(k)))
		}
		fmt.Fprintf(&b, "\t\t%s)\n\t\t\t_arguments -s %s\n\t\t\t;;\n", shellPattern(c.all()), strings.Join(specs, " \\\n\t\t\t\t"))
	}
	fmt.Fprintf(&b, "\t\tesac\n\t\t;;\n\tesac\n}\n\n_%s \"$@\"\n", id)
	return b.String()
}

// zshFlags are specifications for _arguments.
func (p Program) zshFlags(c Command) []string {
	var specs []string
	for _, f := range slices.Concat(c.Flags, helpFlags) {
		prefix := "(" + strings.Join(f.Names, " ") + ")"
		if f.Repeats {
			prefix = "*"
		}
		for _, name := range f.Names {
			if f.Value != "" && strings.HasPrefix(name, "--") {
				name += "="
			}
			spec := prefix + name + "[" + zshEscapes.Replace(f.Usage) + "]"
			if f.Value != "" {
				spec += ":" + zshEscapes.Replace(f.Value) + ":" + p.zshKind(p.kindOf(f.Value))
			}
			specs = append(specs, shellQuote(spec))
		}
	}
	return specs
}

// zshEscapes are for what ends a part of a specification.
var zshEscapes = strings.NewReplacer(`\`, `\\`, ":", `\:`, "[", `\[`, "]", `\]`)

// zshKind is an action. One that begins with a blank is executed as it is.
func (p Program) zshKind(k kind) string {
	switch {
	case k.list != "":
		return " __" + identifier(p.Name) + "_list " + k.list
	case len(k.words) > 0:
		return "(" + strings.Join(k.words, " ") + ")"
	case k.files:
		return "_files"
	case k.dirs:
		return "_files -/"
	}
	return " "
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
