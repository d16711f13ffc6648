// SPDX-License-Identifier: Apache-2.0

// Package limit holds the printable form of resource limits, a list of files
// and the values to write to them, and the conversions between the units of
// the runtime spec and those of the kernel. fs1 and fs2 make such lists; the
// cgroup package writes them. Nothing here touches the host.
package limit

import (
	"fmt"
	"strings"
)

// Alternative is what to write when the file of a Write does not exist.
type Alternative struct {
	File, Value string
}

// Write is one value for one file of the container's cgroup.
type Write struct {
	// Controller finds the directory: "memory", "cpu", "devices", ….
	Controller string
	// V2 says that the file is one of cgroup v2.
	V2          bool
	File, Value string
	// Origin is the config field: "linux.resources.memory.limit".
	Origin string

	// Else are tried in order when File does not exist.
	Else []Alternative
	// Optional says that it is no error when no such file exists.
	Optional bool
	// Again says that EINVAL may come from an old value of a file written
	// later: the write is then repeated after the others of its controller.
	// Growing and shrinking pairs (limit and swap, period and quota) thus
	// need no look at the old values.
	Again bool
	// Floor names a file whose number must not exceed Value, else the limit is
	// refused: runtime-spec memory.checkBeforeUpdate.
	Floor string
}

// Writes is a compiled set of limits, in the order of writing.
type Writes []Write

// String prints one line per write: controller, file, value and origin.
func (w Writes) String() string {
	var b strings.Builder
	for _, x := range w {
		version := "v1"
		if x.V2 {
			version = "v2"
		}
		fmt.Fprintf(&b, "%s %s %q > %s", version, x.Controller, x.Value, x.File)
		for _, e := range x.Else {
			fmt.Fprintf(&b, " | %q > %s", e.Value, e.File)
		}
		if x.Optional {
			b.WriteString(" (if present)")
		}
		if x.Again {
			b.WriteString(" (again on EINVAL)")
		}
		if x.Floor != "" {
			fmt.Fprintf(&b, " (not below %s)", x.Floor)
		}
		fmt.Fprintf(&b, "  # %s\n", x.Origin)
	}
	return b.String()
}

// List collects the writes and warnings of one controller.
type List struct {
	Controller string
	V2         bool
	Writes     Writes
	Warnings   []string
}

// Add appends a write of value to file for the field linux.resources.<field>.
// The result may be changed until the next Add.
func (l *List) Add(field, file, value string) *Write {
	l.Writes = append(l.Writes, Write{
		Controller: l.Controller, V2: l.V2,
		File: file, Value: value, Origin: "linux.resources." + field,
	})
	return &l.Writes[len(l.Writes)-1]
}

// Warn appends a warning about the field linux.resources.<field>.
func (l *List) Warn(field, reason string) {
	l.Warnings = append(l.Warnings, "linux.resources."+field+": "+reason)
}

// FieldError is a limit that cannot be expressed.
type FieldError struct {
	Field  string // below linux.resources
	Reason string
}

// Error names the field and the reason.
func (e *FieldError) Error() string {
	return "linux.resources." + e.Field + ": " + e.Reason
}

// Refuse returns a FieldError.
func Refuse(field, format string, args ...any) error {
	return &FieldError{Field: field, Reason: fmt.Sprintf(format, args...)}
}
