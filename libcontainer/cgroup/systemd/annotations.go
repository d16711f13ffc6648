// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// AnnotationPrefix begins the annotations that name a property of the unit.
const AnnotationPrefix = "org.systemd.property."

// maxAnnotation bounds what is parsed; the parser recurses for each bracket.
const maxAnnotation = 64 << 10

const microseconds = 1000000 // in a second

// Annotations returns the properties that annotations ask for, by name. Their
// values are GVariant text: 'inactive', uint64 5, [1, 2], true. "FooSec" with
// a number of seconds becomes "FooUSec", since D-Bus has times in microseconds
// only. Any name is taken, as by runc: who writes the config may do as much by
// other fields of it.
func Annotations(annotations map[string]string) (Properties, error) {
	var p Properties
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		name, ok := strings.CutPrefix(key, AnnotationPrefix)
		if !ok {
			continue
		}
		if err := checkPropertyName(name); err != nil {
			return nil, fmt.Errorf("annotation %s: incorrect property name: %w", key, err)
		}
		value, err := parseVariant(annotations[key])
		if err != nil {
			return nil, fmt.Errorf("annotation %s: cannot parse the value %q: %w", key, annotations[key], err)
		}
		// Only after a lower-case letter: FooUSec has its unit already.
		if stem, ok := strings.CutSuffix(name, "Sec"); ok && stem != "" && stem[len(stem)-1] >= 'a' && stem[len(stem)-1] <= 'z' {
			name = stem + "USec"
			usec, err := toMicroseconds(value.Value())
			if err != nil {
				return nil, fmt.Errorf("annotation %s: cannot use the value %q: %w", key, annotations[key], err)
			}
			value = dbus.MakeVariant(usec)
		}
		p = append(p, Property{Name: name, Value: value, Origin: "annotations[" + key + "]"})
	}
	return p, nil
}

// checkPropertyName takes what systemd calls its properties.
func checkPropertyName(name string) error {
	if len(name) < 3 {
		return errors.New("it must have 3 letters or more")
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return fmt.Errorf("%q is not a letter", c)
		}
	}
	return nil
}

// parseVariant parses GVariant text. The library panics for types that nest
// deeper than D-Bus allows.
func parseVariant(s string) (v dbus.Variant, err error) {
	if len(s) > maxAnnotation {
		return v, fmt.Errorf("it has %d bytes, more than %d", len(s), maxAnnotation)
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return dbus.ParseVariant(s, dbus.Signature{})
}

// toMicroseconds converts a number of seconds.
func toMicroseconds(value any) (uint64, error) {
	var sec uint64
	var signed int64
	switch x := value.(type) {
	case float64:
		usec := x * microseconds
		if math.IsNaN(usec) || usec < 0 || usec >= math.MaxUint64 {
			return 0, errors.New("it is not a time in seconds")
		}
		return uint64(usec), nil
	case byte:
		sec = uint64(x)
	case uint16:
		sec = uint64(x)
	case uint32:
		sec = uint64(x)
	case uint64:
		sec = x
	case int16:
		signed = int64(x)
	case int32:
		signed = int64(x)
	case int64:
		signed = x
	default:
		return 0, errors.New("it is not a number")
	}
	if signed < 0 {
		return 0, errors.New("it is not a time in seconds")
	}
	high, usec := bits.Mul64(sec+uint64(signed), microseconds)
	if high != 0 {
		return 0, errors.New("it is not a time in seconds")
	}
	return usec, nil
}
