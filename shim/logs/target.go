// SPDX-License-Identifier: Apache-2.0

package logs

import (
	"errors"
	"fmt"
	"strings"
)

// Driver is a kind of log, spelled as in --log-path.
type Driver string

// The drivers.
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
