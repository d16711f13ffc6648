// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"fmt"
	"strings"
)

// bashEngine is the same for all programs; NAME is the program's, as an identifier.
// Readline splits words at = and :, so they are put together again, and of an
// answer only what follows the last colon is to be given.
const bashEngine = `
_NAME() {
	local cur command='' pending='' nth=0 global=() words=() i word REPLY
	for ((i = 1; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $word == = ]]; then
			((i < COMP_CWORD)) || words+=('')
		elif ((${#words[@]})) && [[ $word == : || ${COMP_WORDS[i - 1]} == : ]]; then
			words[-1]+=$word
		else
			words+=("$word")
		fi
	done
	cur=${words[-1]}
	unset 'words[-1]'
	for word in "${words[@]}"; do
		[[ $command ]] || case $word in -*) global+=("$word") ;; *) [[ ! $pending ]] || global+=("$word") ;; esac
		if [[ $pending ]]; then
			pending=
		elif [[ $word == -* ]]; then
			__NAME_value "$command" "$word"
			pending=$REPLY
		elif [[ $command ]]; then
			nth=$((nth + 1))
		else
			command=$word
		fi
	done
	COMPREPLY=()
	if [[ ! $pending && $cur == -* ]]; then
		__NAME_flags "$command"
		REPLY="words $REPLY"
	elif [[ $pending ]]; then
		REPLY=$pending
	else
		__NAME_argument "$command" "$nth"
	fi
	case $REPLY in
	files) mapfile -t COMPREPLY < <(compgen -f -- "$cur") && compopt -o filenames 2>/dev/null ;;
	dirs) mapfile -t COMPREPLY < <(compgen -d -- "$cur") && compopt -o filenames 2>/dev/null ;;
	words\ *) mapfile -t COMPREPLY < <(compgen -W "${REPLY#words }" -- "$cur") ;;
	list\ *)
		# shellcheck disable=SC2086 # its words are arguments
		mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" "${global[@]}" ${REPLY#list } 2>/dev/null)" -- "$cur")
		;;
	esac
	if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
		COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*:}"}"}")
	fi
}
complete -F _NAME PROGRAM
`

// bash is a program's completion for bash 4.4 or newer.
func bash(p Program) string {
	var b strings.Builder
	id := identifier(p.Name)
	fmt.Fprintf(&b, "# bash completion for %s, made from its command definitions; do not edit.\n", p.Name)
	fmt.Fprintf(&b, "\n__%s_flags() {\n\tcase $1 in\n", id)
	p.each(func(c Command, names []string) {
		fmt.Fprintf(&b, "\t%s) REPLY='%s' ;;\n", shellPattern(names), strings.Join(append(flagNames(c), "--help"), " "))
	})
	fmt.Fprintf(&b, "\t*) REPLY='' ;;\n\tesac\n}\n\n# what follows a flag; any is anything\n__%s_value() {\n\tcase $1:$2 in\n", id)
	p.each(func(c Command, names []string) {
		for _, f := range c.Flags {
			if f.Value != "" {
				fmt.Fprintf(&b, "\t%s) REPLY='%s' ;;\n", shellPattern(cross(names, f.Names)), bashKind(p.kindOf(f.Value), "any"))
			}
		}
	})
	fmt.Fprintf(&b, "\t*) REPLY='' ;;\n\tesac\n}\n\n__%s_argument() {\n\tcase $1:$2 in\n", id)
	var commands []string
	p.each(func(c Command, names []string) {
		if len(c.Commands) > 0 {
			return
		}
		commands = append(commands, names...)
		kinds, more := p.arguments(c)
		for i, k := range kinds {
			nth := fmt.Sprint(i)
			if more && i == len(kinds)-1 {
				nth = "*"
			}
			if !k.empty() {
				fmt.Fprintf(&b, "\t%s) REPLY='%s' ;;\n", shellPattern(cross(names, []string{nth})), bashKind(k, ""))
			}
		}
	})
	fmt.Fprintf(&b, "\t'':*) REPLY='words %s' ;;\n\t*) REPLY='' ;;\n\tesac\n}\n", strings.Join(commands, " "))
	b.WriteString(strings.NewReplacer("NAME", id, "PROGRAM", p.Name).Replace(bashEngine))
	return b.String()
}

// each calls f for the program itself, under the name "", and its commands.
func (p Program) each(f func(c Command, names []string)) {
	f(p.Command, []string{""})
	for _, c := range p.Commands {
		f(c, c.all())
	}
}

func bashKind(k kind, otherwise string) string {
	switch {
	case k.list != "":
		return "list " + k.list
	case len(k.words) > 0:
		return "words " + strings.Join(k.words, " ")
	case k.files:
		return "files"
	case k.dirs:
		return "dirs"
	}
	return otherwise
}

func flagNames(c Command) []string {
	var names []string
	for _, f := range c.Flags {
		names = append(names, f.Names...)
	}
	return names
}

// cross joins each of a with each of b by a colon.
func cross(a, b []string) []string {
	var all []string
	for _, x := range a {
		for _, y := range b {
			all = append(all, x+":"+y)
		}
	}
	return all
}

// shellPattern matches one of these, which are names.
func shellPattern(names []string) string {
	list := make([]string, len(names))
	for i, n := range names {
		if list[i] = n; n == "" {
			list[i] = "''"
		}
	}
	return strings.Join(list, " | ")
}

func identifier(name string) string { return strings.ReplaceAll(name, "-", "_") }
