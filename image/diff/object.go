// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// object is a JSON object whose members keep their order and their bytes. That
// names are in the right case is for image/document to check.
type object struct {
	members []member
	index   map[string]int
}

// member is one of an object; a nil value is a removed one.
type member struct {
	name  string
	value json.RawMessage
}

// parseObject refuses names that are there twice: readers differ in which one
// counts. What is absent or null is an empty object.
func parseObject(raw []byte) (*object, error) {
	o := &object{index: map[string]int{}}
	if absent(raw) {
		return o, nil
	}
	var all json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil { // with what follows it
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errors.Join(errors.New("not an object"), err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if _, twice := o.index[name]; twice {
			return nil, fmt.Errorf("member %q is there twice", name)
		}
		o.set(name, value)
	}
	return o, nil
}

func absent(raw []byte) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) == 0 || string(raw) == "null"
}

// get is the value of a member, nil if there is none.
func (o *object) get(name string) json.RawMessage {
	if i, ok := o.index[name]; ok {
		return o.members[i].value
	}
	return nil
}

// set replaces a member in its place, or adds it as the last.
func (o *object) set(name string, value json.RawMessage) {
	if i, ok := o.index[name]; ok {
		o.members[i].value = value
		return
	}
	o.index[name] = len(o.members)
	o.members = append(o.members, member{name, value})
}

func (o *object) remove(name string) {
	if i, ok := o.index[name]; ok {
		o.members[i].value = nil
		delete(o.index, name)
	}
}

// bytes is the object again.
func (o *object) bytes() json.RawMessage {
	b := []byte{'{'}
	for _, m := range o.members {
		if m.value == nil {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(b, quote(m.name)...), ':')
		b = append(b, m.value...)
	}
	return append(b, '}')
}

// nested lets edit change the object that is a member, which appears with the
// first member and goes with the last one.
func (o *object) nested(name string, edit func(*object) error) error {
	inner, err := parseObject(o.get(name))
	if err == nil {
		err = edit(inner)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case len(inner.index) > 0:
		o.set(name, inner.bytes())
	default:
		o.remove(name)
	}
	return nil
}

// items are the values of an array; what is absent or null has none.
func items(raw []byte) (list []json.RawMessage, err error) {
	if absent(raw) {
		return nil, nil
	}
	err = json.Unmarshal(raw, &list)
	return list, err
}

func array(list []json.RawMessage) json.RawMessage {
	return append(append([]byte{'['}, bytes.Join(raws(list), []byte{','})...), ']')
}

func raws(list []json.RawMessage) [][]byte {
	all := make([][]byte, len(list))
	for i, v := range list {
		all[i] = v
	}
	return all
}

// quote is a string in JSON.
func quote(s string) json.RawMessage {
	b, _ := encode(s) // a string has no errors
	return b
}

// encode is json.Marshal, but leaves <, > and & alone: they are frequent in
// commands.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), err
}
