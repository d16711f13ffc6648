// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// flag is one flag: its names, and what it does with a value.
type flag struct {
	names []string // the long one first
	// value is the value's name in the help; "" for a switch, which takes a
	// value only as --flag=value.
	value  string
	usage  string
	hidden bool
	set    func(string) error
}

func text(p *string, value, usage string, names ...string) flag {
	return flag{names: names, value: value, usage: usage, set: func(s string) error { *p = s; return nil }}
}

// oneOf is a text that must be one of a few words.
func oneOf(p *string, words []string, usage string, names ...string) flag {
	return flag{names: names, value: strings.Join(words, "|"), usage: usage, set: func(s string) error {
		for _, w := range words {
			if s == w {
				*p = s
				return nil
			}
		}
		return fmt.Errorf("must be one of %s", strings.Join(words, ", "))
	}}
}

// list is a flag that may be given more than once.
func list(p *[]string, value, usage string, names ...string) flag {
	return flag{names: names, value: value, usage: usage, set: func(s string) error { *p = append(*p, s); return nil }}
}

func toggle(p *bool, usage string, names ...string) flag {
	return flag{names: names, usage: usage, set: func(s string) error {
		b, err := parseBool(s)
		*p = b
		return err
	}}
}

func parseBool(s string) (bool, error) {
	b, err := strconv.ParseBool(s)
	if err != nil {
		err = errors.New("must be true or false")
	}
	return b, err
}

// count is a number of things: not negative, and small.
func count(p *int, usage string, names ...string) flag {
	return flag{names: names, value: "N", usage: usage, set: func(s string) error {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			return errors.New("must be a number from 0 to 65535")
		}
		*p = int(n)
		return nil
	}}
}

// ignored is a flag of another runtime that changes nothing here.
func ignored(value, usage string, names ...string) flag {
	return flag{names: names, value: value, usage: usage + " (ignored)", hidden: true, set: func(string) error { return nil }}
}

// hide takes a flag out of the help.
func hide(f flag) flag {
	f.hidden = true
	return f
}

// parse sets flags from args and returns the arguments that are none. After
// stop of them the rest is not looked at (0: all is). False means that args
// are not plainly right; thoroughly then says what is wrong with them.
func parse(flags []flag, args []string, stop int) (rest []string, ok bool) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			return append(rest, args[i+1:]...), true
		case stop > 0 && len(rest) == stop:
			return append(rest, args[i:]...), true
		case a == "" || a == "-" || a[0] != '-' && !spaced(a):
			rest = append(rest, a)
			continue
		case spaced(a) || a[1] != '-' && !letter(a[1]):
			return nil, false
		}
		name, value, given := strings.Cut(strings.TrimPrefix(a[1:], "-"), "=")
		f := findFlag(flags, name)
		if f == nil {
			return nil, false
		}
		switch {
		case f.value == "" && value == "":
			value = "true"
		case f.value != "" && !given:
			if i++; i == len(args) {
				return nil, false
			}
			value = args[i]
		}
		if f.set(value) != nil {
			return nil, false
		}
	}
	return rest, true
}

func spaced(s string) bool { return strings.TrimSpace(s) != s }

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func findFlag(flags []flag, name string) *flag {
	for i := range flags {
		for _, n := range flags[i].names {
			if n == name {
				return &flags[i]
			}
		}
	}
	return nil
}

// quickly reads a command line that is plainly right, as engines' are, in a
// few microseconds. thoroughly would take 0.13 ms for it, which an engine pays
// four times in a container's life. That both agree is tested.
func quickly(argv []string) (*invocation, bool) {
	inv := &invocation{global: newGlobal()}
	if len(argv) < 2 {
		return nil, false
	}
	rest, ok := parse(inv.global.flags(), argv[1:], 1)
	if !ok {
		return nil, false
	}
	if inv.global.version {
		return inv, true
	}
	if len(rest) == 0 {
		return nil, false
	}
	if inv.verb = findVerb(rest[0]); inv.verb == nil {
		return nil, false
	}
	inv.command = inv.verb.new()
	inv.args, ok = parse(inv.command.flags(), afterVerb(argv, rest), inv.verb.stop)
	return inv, ok
}

// afterVerb is what follows the verb on the command line: the arguments that
// parse left, and a "--" right after the verb, which parse took for the end of
// the global flags.
func afterVerb(argv, rest []string) []string {
	n := len(argv) - (len(rest) - 1)
	if argv[n-1] == "--" && argv[n-2] == rest[0] {
		n--
	}
	return argv[n:]
}
