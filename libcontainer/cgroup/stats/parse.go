// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"bytes"
	"fmt"
	"strconv"
)

// The parsers work on the bytes of a file, and make strings only of names that
// are kept: a sample reads some hundred numbers.

// parseUint reads a decimal number. "max" is Unlimited, what is larger too. A
// negative one is 0: some counters of the memory controller can be, for a
// moment.
func parseUint(b []byte) (uint64, error) {
	if string(b) == "max" {
		return Unlimited, nil
	}
	digits := b
	negative := len(b) > 1 && b[0] == '-'
	if negative {
		digits = b[1:]
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, notNumber(b)
		}
		v := uint64(c - '0')
		if n > (Unlimited-v)/10 {
			n = Unlimited
			continue
		}
		n = n*10 + v
	}
	switch {
	case len(digits) == 0:
		return 0, notNumber(b)
	case negative:
		return 0, nil
	}
	return n, nil
}

// excerpt bounds what an error quotes.
const excerpt = 80

func notNumber(b []byte) error { return fmt.Errorf("%q is not a number", b[:min(len(b), excerpt)]) }

func badLine(b []byte) error { return fmt.Errorf("cannot parse line %q", b[:min(len(b), excerpt)]) }

// parseNumber reads a file that holds one number.
func parseNumber(text []byte) (uint64, error) { return parseUint(bytes.TrimSpace(text)) }

// parseInt is parseNumber for what may be negative.
func parseInt(text []byte) (int64, error) {
	return strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
}

// parseFlat gives f each line of a flat keyed file, "key number".
func parseFlat(text []byte, f func(key []byte, n uint64)) error {
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\n")
		if len(line) == 0 {
			continue
		}
		key, value, ok := bytes.Cut(line, space)
		if !ok || len(key) == 0 {
			return badLine(line)
		}
		n, err := parseUint(value)
		if err != nil {
			return badLine(line)
		}
		f(key, n)
	}
	return nil
}

var (
	space  = []byte(" ")
	equals = []byte("=")
	colon  = []byte(":")
)

// parseNumbers reads numbers between blanks: cpuacct.usage_percpu.
func parseNumbers(text []byte) ([]uint64, error) {
	var list []uint64
	for field := range bytes.FieldsSeq(text) {
		n, err := parseUint(field)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

// parseList reads a list of CPUs or nodes, "0-2,7", cpuset(7) "List format".
func parseList(text []byte) ([]uint16, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return nil, nil
	}
	var list []uint16
	for part := range bytes.SplitSeq(text, []byte(",")) {
		from, to, isRange := bytes.Cut(part, []byte("-"))
		if !isRange {
			to = from
		}
		first, err := parseUint(from)
		if err != nil {
			return nil, badLine(text)
		}
		last, err := parseUint(to)
		if err != nil || last > 1<<16-1 || first > last {
			return nil, badLine(text)
		}
		// Each number once: what is longer is no list of this kernel's.
		if len(list)+int(last-first) >= 1<<16 {
			return nil, badLine(text)
		}
		for n := first; n <= last; n++ {
			list = append(list, uint16(n))
		}
	}
	return list, nil
}

// parsePSI reads a pressure file, Documentation/accounting/psi.rst.
func parsePSI(text []byte) (*PSI, error) {
	psi := &PSI{}
	for line := range bytes.Lines(text) {
		kind, rest, _ := bytes.Cut(bytes.TrimSpace(line), space)
		var data *PSIData
		switch string(kind) {
		case "some":
			data = &psi.Some
		case "full":
			data = &psi.Full
		default:
			continue // of a kernel to come
		}
		if err := data.parse(rest); err != nil {
			return nil, badLine(bytes.TrimSpace(line))
		}
	}
	return psi, nil
}

func (p *PSIData) parse(fields []byte) error {
	for field := range bytes.FieldsSeq(fields) {
		key, value, ok := bytes.Cut(field, equals)
		if !ok {
			return badLine(field)
		}
		var err error
		switch string(key) {
		case "avg10":
			p.Avg10, err = parsePercent(value)
		case "avg60":
			p.Avg60, err = parsePercent(value)
		case "avg300":
			p.Avg300, err = parsePercent(value)
		case "total":
			p.Total, err = parseUint(value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parsePercent refuses what JSON cannot say: ParseFloat knows "inf".
func parsePercent(b []byte) (float64, error) {
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(v >= 0 && v <= 1e6) {
		return 0, notNumber(b)
	}
	return v, nil
}
