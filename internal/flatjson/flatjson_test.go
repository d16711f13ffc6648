// SPDX-License-Identifier: Apache-2.0

package flatjson

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// object is written by both, flatjson and encoding/json.
type object struct {
	Text   string            `json:"text"`
	Opt    string            `json:"opt,omitempty"`
	Number int               `json:"number"`
	Big    uint64            `json:"big,omitempty"`
	Flag   bool              `json:"flag,omitempty"`
	Time   time.Time         `json:"time"`
	Raw    json.RawMessage   `json:"raw,omitempty"`
	Map    map[string]string `json:"map,omitempty"`
	List   []int             `json:"list,omitempty"`
}

func (o *object) fields() []Field {
	return []Field{
		{"text", &o.Text, Always}, {"opt", &o.Opt, nil}, {"number", &o.Number, Always}, {"big", &o.Big, nil},
		{"flag", &o.Flag, nil}, {"time", &o.Time, Always}, {"raw", &o.Raw, nil}, {"map", &o.Map, nil},
		{"list", &o.List, func() bool { return len(o.List) == 0 }},
	}
}

var objects = []object{
	{},
	{Text: "plain", Opt: "/a b", Number: -7, Big: 1<<64 - 1, Flag: true, Time: time.Date(2026, 11, 21, 1, 2, 3, 4567, time.UTC)},
	{Text: "quote\" back\\ <&> \n ü \x00 \xff", Map: map[string]string{"a": "<", "": "x"}, Raw: json.RawMessage(`{"a":[1,2]}`), List: []int{1, 2}},
}

func TestWritesWhatEncodingJSONWrites(t *testing.T) {
	for _, indent := range []string{"", "  "} {
		for _, o := range objects {
			want, err := json.Marshal(o)
			if indent != "" {
				want, err = json.MarshalIndent(o, "", indent)
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := Append(nil, o.fields(), indent)
			if err != nil || string(got) != string(want) {
				t.Errorf("indent %q: got %s, %v, want %s", indent, got, err, want)
			}
		}
	}
}

func TestReadsWhatItWrites(t *testing.T) {
	for _, o := range objects {
		o.Text = strings.ToValidUTF8(o.Text, "�")
		data, err := Append(nil, o.fields(), "")
		if err != nil {
			t.Fatal(err)
		}
		var got object
		if err := Parse(data, got.fields()); err != nil || !reflect.DeepEqual(got, o) {
			t.Errorf("%s: got %+v, %v, want %+v", data, got, err, o)
		}
	}
}

func TestRefusesValuesOfAnotherType(t *testing.T) {
	for data, want := range map[string]string{
		`[]`: "", `{"text":1}`: "text", `{"number":"1"}`: "number", `{"number":1.5}`: "number", `{"big":-1}`: "big",
		`{"flag":"x"}`: "flag", `{"time":"yesterday"}`: "time", `{"map":[]}`: "map", `{"text":"x"`: "", "": "",
	} {
		var o object
		if err := Parse([]byte(data), o.fields()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", data, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"text":"a","number":1,"time":"2026-11-21T01:02:03Z"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var o, again object
		if Parse(data, o.fields()) != nil {
			return
		}
		out, err := Append(nil, o.fields(), "")
		if err != nil {
			return // a year that RFC 3339 lacks
		}
		if err := Parse(out, again.fields()); err != nil {
			t.Errorf("%q was written as %q: %v", data, out, err)
		}
	})
}
