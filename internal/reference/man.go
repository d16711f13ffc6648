// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// manual gives the pages of a program: one for itself and one for each command.
func manual(p Program) map[string]string {
	files := map[string]string{}
	add := func(page string, text string) {
		files[fmt.Sprintf("man/man%d/%s.%[1]d", p.Section, page)] = text
	}
	add(p.Name, p.page())
	for _, c := range p.Commands {
		add(p.Name+"-"+c.Name, p.commandPage(c))
	}
	return files
}

// page is the program's own.
func (p Program) page() string {
	var r roff
	r.begin(p.Name, p.Section, p.Summary)
	r.section("SYNOPSIS")
	args := " " + p.Args
	if len(p.Commands) > 0 {
		args = " [global options] COMMAND [options] [arguments]"
	}
	r.line(".B " + escape(p.Name))
	r.text(strings.TrimSpace(args))
	r.section("DESCRIPTION")
	r.paragraphs(p.Description)
	if len(p.Commands) > 0 {
		r.section("COMMANDS")
		for _, c := range p.Commands {
			r.item(fmt.Sprintf("\\fB%s\\fP(%d)", escape(p.Name+"-"+c.Name), p.Section), c.Summary)
		}
	}
	r.flags(p.Flags)
	r.items("EXIT STATUS", p.Exit)
	r.items("FILES", p.Files)
	if p.Examples != "" {
		r.section("EXAMPLES")
		r.line(".EX")
		for line := range strings.SplitSeq(strings.TrimSpace(p.Examples), "\n") {
			r.text(line)
		}
		r.line(".EE")
	}
	r.seeAlso(p.SeeAlso)
	return r.String()
}

// commandPage is that of one command.
func (p Program) commandPage(c Command) string {
	var r roff
	r.begin(p.Name+"-"+c.Name, p.Section, c.Summary)
	r.section("SYNOPSIS")
	r.line(".B " + escape(p.Name+" "+c.Name))
	r.text(strings.TrimSpace("[options] " + c.Args))
	if len(c.Aliases) > 0 {
		r.line(".PP")
		r.text("Also called " + strings.Join(c.Aliases, ", ") + ".")
	}
	r.section("DESCRIPTION")
	if c.Description == "" {
		r.text(strings.ToUpper(c.Summary[:1]) + c.Summary[1:] + ".")
	}
	r.paragraphs(c.Description)
	r.flags(c.Flags)
	r.line(".PP")
	r.text("The options before the command are in")
	r.line(fmt.Sprintf(".BR %s (%d).", escape(p.Name), p.Section))
	r.items("EXIT STATUS", slices.Concat(c.Exit, p.Exit))
	r.items("FILES", p.Files)
	r.seeAlso(append([]string{fmt.Sprintf("%s(%d)", p.Name, p.Section)}, p.SeeAlso...))
	return r.String()
}

// roff is a page in the man(7) macros.
type roff struct{ strings.Builder }

func (r *roff) line(s string) { r.WriteString(s + "\n") }

// text is a line that is no request.
func (r *roff) text(s string) { r.line(escape(s)) }

func (r *roff) begin(name string, section int, summary string) {
	r.line(`.\" Made from the command definitions; do not edit.`)
	r.line(fmt.Sprintf(`.TH %s %d "" Berth "Berth manual"`, strings.ToUpper(escape(name)), section))
	r.section("NAME")
	r.line(escape(name) + ` \- ` + escape(summary))
}

func (r *roff) section(title string) { r.line(".SH " + quoted(title)) }

// paragraphs breaks lines after a hundred characters, as sources should be readable.
func (r *roff) paragraphs(text string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			r.line(".PP")
		}
		r.folded(paragraph)
	}
}

func (r *roff) folded(text string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line)+utf8.RuneCountInString(word) >= 100 {
			r.text(line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	if line != "" {
		r.text(line)
	}
}

// item: head is roff already.
func (r *roff) item(head, text string) {
	r.line(".TP")
	r.line(head)
	r.folded(text)
}

func (r *roff) items(title string, items []Item) {
	if len(items) == 0 {
		return
	}
	r.section(title)
	for _, i := range items {
		r.item(`\fB`+escape(i.Name)+`\fP`, i.Text)
	}
}

func (r *roff) flags(flags []Flag) {
	r.section("OPTIONS")
	for _, f := range slices.Concat(flags, helpFlags) {
		names := make([]string, len(f.Names))
		for i, n := range f.Names {
			names[i] = `\fB` + escape(n) + `\fP`
		}
		head := strings.Join(names, ", ")
		if f.Value != "" {
			head += ` \fI` + escape(f.Value) + `\fP`
		}
		usage := f.Usage
		if f.Repeats {
			usage += "; may be given more than once"
		}
		r.item(head, usage)
	}
}

// seeAlso has names with their sections, as berth(8).
func (r *roff) seeAlso(pages []string) {
	r.section("SEE ALSO")
	for i, page := range pages {
		name, section, _ := strings.Cut(page, "(")
		end := ","
		if i == len(pages)-1 {
			end = ""
		}
		r.line(".BR " + escape(name) + " (" + section + end)
	}
}

// roffEscapes: a bare hyphen, quote, backquote, caret and tilde become other
// characters on a terminal, and cannot be pasted into a shell.
var roffEscapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`)

// escape is text that roff prints as it is.
func escape(s string) string {
	s = roffEscapes.Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\[u%04X]`, r)
		}
	}
	return b.String()
}

func quoted(s string) string { return `"` + strings.ReplaceAll(escape(s), `"`, `\(dq`) + `"` }
