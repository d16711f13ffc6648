// SPDX-License-Identifier: Apache-2.0

// Package flatjson reads and writes JSON objects through a table of fields.
// encoding/json spends longer on learning a struct's layout than on a small
// file, and a verb such as `state` does nothing else (0.16 ms of 1.8 measured).
// A table costs nothing to learn; values that are neither text, number, bool
// nor time go to encoding/json, and only if they are there.
package flatjson

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Field is one member of an object.
type Field struct {
	Name string
	// Value points to where it is kept: *string, *int, *uint64, *bool,
	// *time.Time, *json.RawMessage, *map[string]string, or what encoding/json takes.
	Value any
	// Empty says whether it is left out when writing; nil stands for the zero
	// value of the first six types and an empty map, and for never with others.
	Empty func() bool
}

// Always is a Field.Empty for members that are written whatever they hold.
func Always() bool { return false }

// Parse sets the fields that data, an object, has. Unknown members are ignored.
func Parse(data []byte, fields []Field) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	for i := range fields {
		raw, ok := members[fields[i].Name]
		if !ok {
			continue
		}
		if err := set(fields[i].Value, raw); err != nil {
			return fmt.Errorf("%s: %w", fields[i].Name, err)
		}
	}
	return nil
}

func set(value any, raw json.RawMessage) (err error) {
	switch v := value.(type) {
	case *string:
		*v, err = text(raw)
	case *int:
		*v, err = strconv.Atoi(string(raw))
	case *uint64:
		*v, err = strconv.ParseUint(string(raw), 10, 64)
	case *bool:
		*v, err = strconv.ParseBool(string(raw))
	case *time.Time:
		var s string
		if s, err = text(raw); err == nil {
			*v, err = time.Parse(time.RFC3339Nano, s)
		}
	case *json.RawMessage:
		*v = raw
	default:
		err = json.Unmarshal(raw, v)
	}
	return err
}

// text is a JSON string's value; one with escapes is left to encoding/json.
func text(raw json.RawMessage) (string, error) {
	if n := len(raw); n >= 2 && raw[0] == '"' && plain(raw[1:n-1]) {
		return string(raw[1 : n-1]), nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}

// plain says whether s stands for itself between quotes: printable ASCII, and
// nothing that encoding/json escapes.
func plain[T ~string | ~[]byte](s T) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' || c >= 0x7f, c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}

// Append appends the object. With an indent every member has a line of its
// own, as json.MarshalIndent prints it.
func Append(dst []byte, fields []Field, indent string) ([]byte, error) {
	dst = append(dst, '{')
	n := len(dst)
	for i := range fields {
		f := &fields[i]
		if f.empty() {
			continue
		}
		if len(dst) > n {
			dst = append(dst, ',')
		}
		if indent != "" {
			dst = append(append(dst, '\n'), indent...)
		}
		dst = append(append(append(dst, '"'), f.Name...), `":`...)
		if indent != "" {
			dst = append(dst, ' ')
		}
		var err error
		if dst, err = appendValue(dst, f.Value, indent); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	if indent != "" && len(dst) > n {
		dst = append(dst, '\n')
	}
	return append(dst, '}'), nil
}

func (f *Field) empty() bool {
	if f.Empty != nil {
		return f.Empty()
	}
	switch v := f.Value.(type) {
	case *string:
		return *v == ""
	case *int:
		return *v == 0
	case *uint64:
		return *v == 0
	case *bool:
		return !*v
	case *time.Time:
		return v.IsZero()
	case *json.RawMessage:
		return len(*v) == 0
	case *map[string]string:
		return len(*v) == 0
	}
	return false
}

func appendValue(dst []byte, value any, indent string) ([]byte, error) {
	switch v := value.(type) {
	case *string:
		if plain(*v) {
			return append(append(append(dst, '"'), *v...), '"'), nil
		}
	case *int:
		return strconv.AppendInt(dst, int64(*v), 10), nil
	case *uint64:
		return strconv.AppendUint(dst, *v, 10), nil
	case *bool:
		return strconv.AppendBool(dst, *v), nil
	case *time.Time:
		return append(v.AppendFormat(append(dst, '"'), time.RFC3339Nano), '"'), nil
	case *json.RawMessage:
		if indent == "" {
			return append(dst, *v...), nil
		}
	}
	data, err := marshal(value, indent)
	return append(dst, data...), err
}

func marshal(value any, indent string) ([]byte, error) {
	if indent == "" {
		return json.Marshal(value)
	}
	return json.MarshalIndent(value, indent, indent)
}
