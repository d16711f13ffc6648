// SPDX-License-Identifier: Apache-2.0

package options

import (
	"bytes"
	"errors"
	"fmt"
)

const (
	// MaxLine is the longest line of a control fifo in bytes, newline included.
	MaxLine = 200
	// maxDimension is the most rows or columns that a terminal may have.
	maxDimension = 1000
)

// Control is an order from the ctl fifo: open the logs again, or give the
// terminal this many rows and columns, 0 to 1000.
type Control struct {
	Reopen        bool
	Height, Width uint16
}

// ParseControl reads a line of the ctl fifo, with or without its newline:
// "1 HEIGHT WIDTH" or "2 0 0", decimal numbers between blanks and nothing else.
func ParseControl(line []byte) (Control, error) {
	n, err := parseNumbers(line, 3)
	if err != nil {
		return Control{}, fmt.Errorf("cannot parse control line: %w", err)
	}
	switch {
	case n[0] == 1:
		return Control{Height: n[1], Width: n[2]}, nil
	case n[0] == 2 && n[1] == 0 && n[2] == 0:
		return Control{Reopen: true}, nil
	}
	return Control{}, fmt.Errorf("cannot parse control line: %q is not an order", line)
}

// ParseWindow reads a line "HEIGHT WIDTH" of the winsz fifo in the same way.
func ParseWindow(line []byte) (height, width uint16, err error) {
	n, err := parseNumbers(line, 2)
	if err != nil {
		return 0, 0, fmt.Errorf("cannot parse window size: %w", err)
	}
	return n[0], n[1], nil
}

func parseNumbers(line []byte, want int) ([]uint16, error) {
	if len(line) > MaxLine {
		return nil, fmt.Errorf("line is longer than %d bytes", MaxLine)
	}
	fields := bytes.FieldsFunc(bytes.TrimSuffix(line, []byte("\n")), func(r rune) bool { return r == ' ' || r == '\t' })
	if len(fields) != want {
		return nil, fmt.Errorf("%q has %d fields, not %d", line, len(fields), want)
	}
	numbers := make([]uint16, want)
	for i, field := range fields {
		n, err := parseNumber(field)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		numbers[i] = n
	}
	return numbers, nil
}

// parseNumber takes digits only: strconv would take signs.
func parseNumber(field []byte) (uint16, error) {
	n := 0
	for _, c := range field {
		if c < '0' || c > '9' {
			return 0, errors.New("not a decimal number")
		}
		if n = n*10 + int(c-'0'); n > maxDimension {
			return 0, fmt.Errorf("number above %d", maxDimension)
		}
	}
	return uint16(n), nil
}

// Lines cuts what is read from a control fifo into lines. A line longer than
// MaxLine is given once, cut to MaxLine+1 bytes so that the parsers refuse it,
// and its rest is skipped. The zero value is ready.
type Lines struct{ begun []byte }

// Feed takes bytes as they were read and calls line for each line that is
// complete, newline included. The slice is valid during the call only.
func (l *Lines) Feed(p []byte, line func([]byte)) {
	for len(p) > 0 {
		part, ended := p, false
		if i := bytes.IndexByte(p, '\n'); i >= 0 {
			part, ended = p[:i+1], true
		}
		p = p[len(part):]
		room := MaxLine + 1 - len(l.begun)
		l.begun = append(l.begun, part[:min(len(part), room)]...)
		if ended {
			line(l.begun)
			l.begun = l.begun[:0]
		}
	}
}
