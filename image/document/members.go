// SPDX-License-Identifier: Apache-2.0

package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// maxEntries bounds each array of a document. Three bytes of JSON ({},) become
// a struct of 200 in memory, so that this is checked before any is made.
const maxEntries = 10000

// decode reads one document into v, a pointer to a struct, and refuses what
// another reader could understand differently: encoding/json takes the last of
// two members with one name, does not mind their case, and replaces bytes that
// are not UTF-8; RFC 8259 section 4 leaves all of that to each reader.
func decode(raw []byte, v any) error {
	switch {
	case len(raw) > MaxSize:
		return fmt.Errorf("%d bytes; a document has at most %d", len(raw), MaxSize)
	case !utf8.Valid(raw):
		return errors.New("not UTF-8")
	}
	// Unmarshal into nothing: it bounds the depth, which Token does not.
	if err := json.Unmarshal(raw, &struct{}{}); err != nil {
		return err
	}
	if err := checkMembers(json.NewDecoder(bytes.NewReader(raw)), reflect.TypeOf(v).Elem(), ""); err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}

// checkMembers reads one value, that goes to a t at the given place in the
// document. A nil t is for a value that nobody reads.
func checkMembers(dec *json.Decoder, t reflect.Type, place string) error {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	token, err := dec.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('['):
		return checkArray(dec, t, place)
	case json.Delim('{'):
		return checkObject(dec, t, place)
	}
	return nil
}

func checkArray(dec *json.Decoder, t reflect.Type, place string) error {
	if t != nil && t.Kind() == reflect.Slice {
		t = t.Elem()
	} else {
		t = nil
	}
	for i := 0; dec.More(); i++ {
		if i == maxEntries {
			return fmt.Errorf("%.200q: more than %d entries", place, maxEntries)
		}
		if err := checkMembers(dec, t, place); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

func checkObject(dec *json.Decoder, t reflect.Type, place string) error {
	known := members(t)
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		at := strings.TrimPrefix(place+"."+name, ".")
		if seen[name] {
			return fmt.Errorf("%.200q: two members have this name", at)
		}
		seen[name] = true
		var value reflect.Type
		for _, k := range known {
			if k.name == name {
				value = k.value
			} else if strings.EqualFold(k.name, name) { // as encoding/json compares
				return fmt.Errorf("%.200q: the member is called %q", at, k.name)
			}
		}
		if err := checkMembers(dec, value, at); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// member is what a struct reads.
type member struct {
	name  string
	value reflect.Type
}

// members are those of a struct, with those of the embedded ones.
func members(t reflect.Type) (all []member) {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			all = append(all, members(f.Type)...)
		case name != "" && name != "-":
			all = append(all, member{name, f.Type})
		}
	}
	return all
}
