// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"
)

const (
	nameUnitExists = "org.freedesktop.systemd1.UnitExists"
	nameNoSuchUnit = "org.freedesktop.systemd1.NoSuchUnit"
)

// ErrUnitExists is what Start's error wraps when another unit has the name.
var ErrUnitExists = errors.New("a unit of this name exists already")

// Error is a unit that systemd did not start, change or stop.
type Error struct {
	Op   string // "start", "change", "stop"
	Unit string
	// Result is how the job ended, "" if it did not: "failed", "timeout",
	// "canceled", "dependency", "skipped".
	Result string
	// Property and Origin are what systemd's text is about, if it says so.
	Property, Origin string
	User             bool
	Err              error // of the bus; nil when there is a Result
}

// Error says what failed and where to look.
func (e *Error) Error() string {
	s := fmt.Sprintf("cannot %s systemd unit %q: ", e.Op, e.Unit)
	if e.Origin != "" {
		s += fmt.Sprintf("property %s of %s: ", e.Property, e.Origin)
	} else if e.Property != "" {
		s += fmt.Sprintf("property %s: ", e.Property)
	}
	if e.Err != nil {
		return s + e.Err.Error()
	}
	flag := ""
	if e.User {
		flag = "--user "
	}
	return s + fmt.Sprintf("%s (see systemctl %sstatus '%s', journalctl %s-u '%s')", reason(e.Result), flag, e.Unit, flag, e.Unit)
}

// Unwrap returns the error of the bus.
func (e *Error) Unwrap() error { return e.Err }

// reason explains a job's result; org.freedesktop.systemd1(5), JobRemoved.
func reason(result string) string {
	switch result {
	case "canceled":
		return "its job was canceled by another job for the same unit"
	case "timeout":
		return "its job took longer than systemd allows"
	case "failed":
		return "its job failed"
	case "dependency":
		return "a unit that it depends on failed, such as its slice"
	case "skipped":
		return "its job was skipped: it does not apply to the unit's state"
	}
	return fmt.Sprintf("its job ended with %q", result)
}

// failure makes an Error of a job's result or of the bus's error.
func (b *Bus) failure(op string, u Unit, result string, err error, props Properties) error {
	e := &Error{Op: op, Unit: u.Name, Result: result, User: b.user, Err: describe(err)}
	var d dbus.Error
	if errors.As(err, &d) {
		if p, ok := named(d.Error(), props); ok {
			e.Property, e.Origin = p.Name, p.Origin
		}
	}
	return e
}

// named finds the property that systemd's text is about: the longest name that
// stands in it as a word.
func named(message string, props Properties) (found Property, ok bool) {
	words := strings.FieldsFunc(message, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	for _, p := range props {
		for _, w := range words {
			// FooUSec is FooSec in unit files, and in some messages.
			if (w == p.Name || w == strings.TrimSuffix(p.Name, "USec")+"Sec") && len(p.Name) > len(found.Name) {
				found, ok = p, true
			}
		}
	}
	return found, ok
}

// describe adds what to do about an error of the bus.
func describe(err error) error {
	switch {
	case isError(err, "org.freedesktop.DBus.Error.AccessDenied"), isError(err, "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"):
		return fmt.Errorf("%w (only root may use the system's manager; rootless containers use the user's)", err)
	case isError(err, "org.freedesktop.DBus.Error.ServiceUnknown"), isError(err, "org.freedesktop.DBus.Error.NameHasNoOwner"):
		return fmt.Errorf("%w (systemd is not on this bus)", err)
	}
	return err
}

// isError says whether err is a D-Bus error of that name.
func isError(err error, name string) bool {
	var d dbus.Error
	return errors.As(err, &d) && d.Name == name
}
