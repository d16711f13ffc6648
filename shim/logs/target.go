// SPDX-License-Identifier: Apache-2.0

package logs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Driver is a kind of log, spelled as in --log-path.
type Driver string

// The drivers. None has the further names "off" and "null".
const (
	K8sFile     Driver = "k8s-file"
	JSONFile    Driver = "json-file"
	Journald    Driver = "journald"
	None        Driver = "none"
	Passthrough Driver = "passthrough"
)

// Target is one log. Path is the file of K8sFile and JSONFile; of Journald it
// is the socket, where "" means the system's own. The others have none.
type Target struct {
	Driver Driver
	Path   string
}

// shortID is the length of CONTAINER_ID, in bytes.
const shortID = 12

// Parse reads the values of --log-path, each "driver:path", "driver", "path"
// or ":path", where the last two are k8s-files. A value that begins with "/"
// or "." is a path and may contain colons. A path for a driver without one is
// ignored, as by conmon. The same target twice counts once. Errors: no value,
// an unknown driver, a missing path, passthrough beside a driver that logs, and
// options that these drivers cannot take.
func Parse(values []string, o Options) ([]Target, error) {
	if len(values) == 0 {
		// conmon's words.
		return nil, errors.New("Log driver not provided. Use --log-path")
	}
	var targets []Target
	for _, value := range values {
		t, err := parseTarget(value)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(targets, t) {
			targets = append(targets, t)
		}
	}
	if err := o.check(targets); err != nil {
		return nil, err
	}
	return targets, nil
}

func parseTarget(value string) (Target, error) {
	name, path, colon := strings.Cut(value, ":")
	switch {
	case strings.ContainsRune(value, 0):
		return Target{}, fmt.Errorf("cannot use log path %q: it contains a NUL", value)
	case value == "" || value == ":":
		return Target{}, errors.New("log-path must not be empty")
	case name == "": // :journald is a file of that name
		return Target{K8sFile, path}, nil
	case value[0] == '/' || value[0] == '.':
		return Target{K8sFile, value}, nil
	}
	switch d := Driver(name); d {
	case "off", "null", None:
		return Target{Driver: None}, nil
	case Journald, Passthrough:
		return Target{Driver: d}, nil
	case K8sFile, JSONFile:
		if path == "" {
			return Target{}, fmt.Errorf("%s requires a filename", d)
		}
		return Target{d, path}, nil
	}
	if colon {
		return Target{}, fmt.Errorf("No such log driver %s", name) // conmon's words
	}
	return Target{K8sFile, value}, nil
}

// check finds what targets and options do not allow each other.
func (o *Options) check(targets []Target) error {
	var logging, passthrough bool
	for _, t := range targets {
		switch t.Driver {
		case K8sFile, JSONFile:
			logging = true
			if t.Path == "" {
				return fmt.Errorf("%s requires a filename", t.Driver)
			}
		case Journald:
			logging = true
			if err := o.checkJournal(); err != nil {
				return err
			}
		case Passthrough:
			passthrough = true
		case None:
		default:
			return fmt.Errorf("No such log driver %s", t.Driver)
		}
	}
	if logging && passthrough {
		return errors.New("passthrough cannot be combined with a log driver: there would be nothing to log")
	}
	if o.Rotate && o.MaxFiles < 1 {
		return fmt.Errorf("log-max-files is %d, and must be at least 1", o.MaxFiles)
	}
	return nil
}

func (o *Options) checkJournal() error {
	if len(o.CID) <= shortID {
		return fmt.Errorf("container id %q must be longer than %d characters for journald", o.CID, shortID)
	}
	for _, label := range o.Labels {
		key, _, ok := strings.Cut(label, "=")
		if !ok {
			return fmt.Errorf("log label %q must be in the form K=V", label)
		}
		if !fieldName(key) {
			return fmt.Errorf("log label %q: only A-Z, 0-9 and _ may be in the key", label)
		}
	}
	return nil
}

func fieldName(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return s != ""
}
