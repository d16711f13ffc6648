// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Edits change fields of an image's config; the zero value changes nothing. They
// come in this order: Clear, what is removed, what is set. A nil pointer or list
// leaves its field as it is.
type Edits struct {
	Clear []string // fields to empty; see Fields

	User, WorkingDir, StopSignal, Author *string
	Entrypoint, Cmd                      []string // replaced as a whole

	Env, Labels             []string // NAME=VALUE, replaced in its place or added
	Volumes, Ports          []string // a path; a port as in 80/tcp
	RemoveEnv, RemoveLabels []string // names; that there is none is no error
	RemoveVolumes           []string
	RemovePorts             []string

	Created                   *time.Time
	OS, Architecture, Variant *string
}

// clearable are the fields that can be emptied, as people call them. Those of
// the inner object "config" have a dot.
var clearable = map[string]string{
	"author":      "author",
	"created":     "created",
	"variant":     "variant",
	"user":        "config.User",
	"env":         "config.Env",
	"entrypoint":  "config.Entrypoint",
	"cmd":         "config.Cmd",
	"workdir":     "config.WorkingDir",
	"label":       "config.Labels",
	"volume":      "config.Volumes",
	"expose":      "config.ExposedPorts",
	"stop-signal": "config.StopSignal",
}

// Fields are the names that Edits.Clear takes, sorted.
func Fields() []string { return slices.Sorted(maps.Keys(clearable)) }

// port is one of ExposedPorts, image-spec config.md; a range is Docker's.
var (
	port   = regexp.MustCompile(`^[0-9]{1,5}(-[0-9]{1,5})?(/(tcp|udp|sctp))?$`)
	signal = regexp.MustCompile(`^([0-9]{1,2}|(SIG)?[A-Z][A-Z0-9]*([+-][0-9]{1,2})?)$`)
)

// check refuses values that no reader of the config could use.
func (e Edits) check() error {
	for _, name := range e.Clear {
		if clearable[name] == "" {
			return fmt.Errorf("clear %q: want one of %s", name, strings.Join(Fields(), ", "))
		}
	}
	for _, v := range slices.Concat(e.Env, e.Labels) {
		if name, _, ok := strings.Cut(v, "="); !ok || name == "" || strings.Contains(v, "\x00") {
			return fmt.Errorf("%q: want NAME=VALUE", v)
		}
	}
	for _, v := range e.Volumes {
		if !path.IsAbs(v) {
			return fmt.Errorf("volume %q: want an absolute path", v)
		}
	}
	for _, v := range e.Ports {
		if !port.MatchString(v) {
			return fmt.Errorf("port %q: want a number with /tcp, /udp or /sctp", v)
		}
	}
	texts := slices.Concat(e.Env, e.Labels, e.Volumes, e.Entrypoint, e.Cmd)
	for _, p := range []*string{e.User, e.WorkingDir, e.StopSignal, e.Author, e.OS, e.Architecture, e.Variant} {
		if p != nil {
			texts = append(texts, *p)
		}
	}
	for _, v := range texts {
		if !utf8.ValidString(v) {
			return fmt.Errorf("%q: JSON has only UTF-8", v)
		}
	}
	switch {
	case e.WorkingDir != nil && !path.IsAbs(*e.WorkingDir):
		return fmt.Errorf("working directory %q: want an absolute path", *e.WorkingDir)
	case e.StopSignal != nil && !signal.MatchString(*e.StopSignal):
		return fmt.Errorf("stop signal %q: want a name such as SIGTERM, or a number", *e.StopSignal)
	case e.OS != nil && *e.OS == "", e.Architecture != nil && *e.Architecture == "":
		return errors.New("platform: an image has an os and an architecture")
	}
	return nil
}

// apply edits a config. Members that it does not know, and the order of all, stay
// as they are.
func (e Edits) apply(o *object) error {
	if err := e.check(); err != nil {
		return err
	}
	for _, name := range e.Clear {
		if !strings.Contains(clearable[name], ".") {
			o.remove(clearable[name])
		}
	}
	o.setTexts([]text{{"author", e.Author}, {"os", e.OS}, {"architecture", e.Architecture}, {"variant", e.Variant}})
	if e.Created != nil {
		o.set("created", quote(e.Created.UTC().Format(time.RFC3339Nano)))
	}
	if !e.inner() {
		return nil
	}
	return o.nested("config", e.applyInner)
}

// text is a member to be set, if there is a value.
type text struct {
	name  string
	value *string
}

func (o *object) setTexts(list []text) {
	for _, x := range list {
		if x.value != nil {
			o.set(x.name, quote(*x.value))
		}
	}
}

// inner says whether anything in the inner object "config" is edited.
func (e Edits) inner() bool {
	lists := [][]string{e.Env, e.Labels, e.Volumes, e.Ports, e.RemoveEnv, e.RemoveLabels, e.RemoveVolumes, e.RemovePorts, e.Clear}
	return e.User != nil || e.WorkingDir != nil || e.StopSignal != nil || e.Entrypoint != nil || e.Cmd != nil ||
		slices.ContainsFunc(lists, func(l []string) bool { return len(l) > 0 })
}

// applyInner edits what a container starts with.
func (e Edits) applyInner(o *object) error {
	for _, name := range e.Clear {
		if field, ok := strings.CutPrefix(clearable[name], "config."); ok {
			o.remove(field)
		}
	}
	if err := e.env(o); err != nil {
		return fmt.Errorf("Env: %w", err)
	}
	maps := []struct {
		field       string
		remove, add []string
		value       bool
	}{
		{"Labels", e.RemoveLabels, e.Labels, true},
		{"Volumes", e.RemoveVolumes, e.Volumes, false},
		{"ExposedPorts", e.RemovePorts, e.Ports, false},
	}
	for _, m := range maps {
		if len(m.remove)+len(m.add) == 0 {
			continue
		}
		err := o.nested(m.field, func(inner *object) error {
			for _, name := range m.remove {
				inner.remove(name)
			}
			for _, v := range m.add {
				if name, value, _ := strings.Cut(v, "="); m.value {
					inner.set(name, quote(value))
				} else {
					inner.set(v, json.RawMessage("{}"))
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	o.setTexts([]text{{"User", e.User}, {"WorkingDir", e.WorkingDir}, {"StopSignal", e.StopSignal}})
	for _, f := range []struct {
		field string
		value []string
	}{{"Entrypoint", e.Entrypoint}, {"Cmd", e.Cmd}} {
		if f.value != nil {
			o.set(f.field, array(quoteAll(f.value)))
		}
	}
	return nil
}

// env edits the list of NAME=VALUE: what stays has its place and its bytes.
func (e Edits) env(o *object) error {
	if len(e.Env)+len(e.RemoveEnv) == 0 {
		return nil
	}
	old, err := items(o.get("Env"))
	if err != nil {
		return err
	}
	list := make([]variable, 0, len(old)+len(e.Env))
	for _, item := range old {
		var v string
		if err := json.Unmarshal(item, &v); err != nil {
			return err
		}
		if x := newVariable(v, item); !slices.Contains(e.RemoveEnv, x.name) {
			list = append(list, x)
		}
	}
	for _, v := range e.Env {
		x := newVariable(v, quote(v))
		i := slices.IndexFunc(list, x.sameName)
		if i < 0 {
			list = append(list, x)
			continue
		}
		list = append(list[:i+1], slices.DeleteFunc(list[i+1:], x.sameName)...)
		list[i] = x
	}
	all := make([]json.RawMessage, len(list))
	for i, x := range list {
		all[i] = x.item
	}
	o.set("Env", array(all))
	return nil
}

// variable is one of the environment.
type variable struct {
	name string
	item json.RawMessage
}

func newVariable(v string, item json.RawMessage) variable {
	name, _, _ := strings.Cut(v, "=")
	return variable{name, item}
}

func (x variable) sameName(y variable) bool { return x.name == y.name }

func quoteAll(list []string) []json.RawMessage {
	all := make([]json.RawMessage, len(list))
	for i, v := range list {
		all[i] = quote(v)
	}
	return all
}
