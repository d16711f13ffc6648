// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// errHelp ends scanning at once, as GOption exits there.
var errHelp = errors.New("help")

// scan sets flags by the rules of GLib's goption.c: --x v, --x=v, -x v; -abc is
// -a -b -c, of which one may take the next argument (-cti ID); -xv does not
// exist. A value may begin with a dash. What is no flag is passed over, also
// the number after --api-version; "--" ends the flags. No abbreviations.
func scan(args []string, flags []entry, l locale) error {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		var err error
		switch {
		case arg == "--":
			return nil
		case arg == "--help" || arg == "--help-all":
			return errHelp
		case strings.HasPrefix(arg, "--"):
			args, err = scanLong(arg, args, flags, l)
		case strings.HasPrefix(arg, "-") && arg != "-":
			args, err = scanShort(arg, args, flags, l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scanLong handles --name and --name=value, and returns the arguments left.
func scanLong(arg string, rest []string, flags []entry, l locale) ([]string, error) {
	name, value, attached := strings.Cut(arg[2:], "=")
	for _, f := range flags {
		if f.long != name {
			continue
		}
		if f.takesValue() && !attached {
			if len(rest) == 0 {
				return nil, fmt.Errorf("Missing argument for --%s", name)
			}
			value, rest = rest[0], rest[1:]
		}
		return rest, f.set("--"+name, value, l)
	}
	return nil, fmt.Errorf("Unknown option %s", arg)
}

// scanShort handles a cluster of one-letter flags, and returns the arguments left.
func scanShort(arg string, rest []string, flags []entry, l locale) ([]string, error) {
	taken := false
	for i := 1; i < len(arg); i++ {
		if arg[i] == 'h' || arg[i] == '?' {
			return nil, errHelp
		}
		f, ok := short(flags, arg[i])
		if !ok {
			return nil, fmt.Errorf("Unknown option %s", arg)
		}
		spelled, value := "-"+string(f.short), ""
		if f.takesValue() {
			if taken {
				return nil, fmt.Errorf("Error parsing option %s", spelled)
			}
			if len(rest) == 0 {
				return nil, fmt.Errorf("Missing argument for %s", spelled)
			}
			value, rest, taken = rest[0], rest[1:], true
		}
		if err := f.set(spelled, value, l); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

func short(flags []entry, letter byte) (entry, bool) {
	for _, f := range flags {
		if f.short != 0 && f.short == letter {
			return f, true
		}
	}
	return entry{}, false
}

// parseInt is strtol(3) with base 0: blanks and a sign in front, 0x, 0 for octal.
func parseInt(spelled, value string, bits int) (int64, error) {
	digits, base := strings.TrimLeft(value, " \t\n\v\f\r"), 10
	sign := ""
	if digits != "" && (digits[0] == '-' || digits[0] == '+') {
		sign, digits = digits[:1], digits[1:]
	}
	switch lower := strings.ToLower(digits); {
	case strings.HasPrefix(lower, "0x"):
		digits, base = digits[2:], 16
	case strings.HasPrefix(digits, "0"):
		base = 8
	}
	if digits == "" || digits[0] == '-' || digits[0] == '+' {
		return 0, fmt.Errorf("Cannot parse integer value “%s” for %s", value, spelled)
	}
	n, err := strconv.ParseInt(sign+digits, base, bits)
	if errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("Integer value “%s” for %s out of range", value, spelled)
	}
	if err != nil {
		return 0, fmt.Errorf("Cannot parse integer value “%s” for %s", value, spelled)
	}
	return n, nil
}

// locale is what GLib needs to know of locale(7): the character set.
type locale struct{ charset string }

// localeOf reads the environment as setlocale(3) does. Whether the locale is
// installed (else it would count as C) cannot be told from here.
func localeOf(env func(string) string) locale {
	for _, key := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		name := env(key)
		if name == "" {
			continue
		}
		if name == "C" || name == "POSIX" {
			return locale{ascii}
		}
		_, charset, _ := strings.Cut(name, ".")
		charset, _, _ = strings.Cut(charset, "@")
		return locale{strings.ToLower(strings.ReplaceAll(charset, "-", ""))}
	}
	return locale{ascii}
}

const ascii = "ascii"

// check is g_locale_to_utf8, which GOption applies to values that are strings.
// Character sets other than the two usual ones pass unchanged.
func (l locale) check(value string) error {
	if l.charset == ascii && !isASCII(value) || l.charset == "utf8" && !utf8.ValidString(value) {
		return errors.New("Invalid byte sequence in conversion input")
	}
	return nil
}

// show is what the locale can print of a text.
func (l locale) show(text string) string {
	if l.charset != ascii {
		return text
	}
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return '?'
		}
		return r
	}, text)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
