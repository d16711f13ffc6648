// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// WriteError says which limit could not be set, in which file, and why.
type WriteError struct {
	Write Write
	Path  string
	Err   error
	Note  string // more about the cause, may be empty
}

// Error names field, value, file and errno.
func (e *WriteError) Error() string {
	s := fmt.Sprintf("%s: cannot write %q to %s: %v", e.Write.Origin, e.Write.Value, e.Path, e.Err)
	if e.Note != "" {
		s += " (" + e.Note + ")"
	}
	return s
}

// Unwrap returns the cause, an errno.
func (e *WriteError) Unwrap() error { return e.Err }

// writer keeps the last file open, since device rules all go to one.
type writer struct {
	fd   int
	path string
}

func (w *writer) close() {
	if w.fd >= 0 {
		_ = unix.Close(w.fd)
	}
	w.fd, w.path = -1, ""
}

func (w *writer) write(path, value string) error {
	if w.path != path {
		w.close()
		fd, err := openFile(path, unix.O_WRONLY)
		if err != nil {
			return err
		}
		w.fd, w.path = fd, path
	}
	return writeFD(w.fd, path, value)
}

// Apply sets the limits of a new cgroup in order and stops at the first that
// fails. Devices come first, since a failure there means a nested container,
// where little else works.
func (m *Manager) Apply(l Limits) error {
	if m.paths.Empty() {
		return nil
	}
	if err := m.applyDevices(l.Devices); err != nil {
		return err
	}
	return m.write(l.Writes)
}

// ApplyLate writes what Limits.Split left for later.
func (m *Manager) ApplyLate(writes Writes) error { return m.write(writes) }

// write writes in order and stops at the first that fails.
func (m *Manager) write(writes Writes) error {
	w := writer{fd: -1}
	defer w.close()
	for len(writes) > 0 {
		// A group is all that concerns one controller.
		n := 1
		for n < len(writes) && writes[n].Controller == writes[0].Controller && writes[n].V2 == writes[0].V2 {
			n++
		}
		if err := m.applyGroup(&w, writes[:n]); err != nil {
			return err
		}
		writes = writes[n:]
	}
	return nil
}

func (m *Manager) applyGroup(w *writer, group Writes) error {
	d, ok := m.dirFor(group[0])
	if !ok {
		return fmt.Errorf("%s: cannot set %s limit: no cgroup hierarchy has this controller", group[0].Origin, group[0].Controller)
	}
	if err := m.prepare(d, group[0]); err != nil {
		return err
	}
	var again Writes
	for _, x := range group {
		err := m.applyOne(w, d, x)
		switch {
		case err == nil:
		case x.Again && errors.Is(err, unix.EINVAL):
			again = append(again, x)
		case x.Controller == "devices" && m.paths.Rootless:
			return nil // as in runc: never works there, and the kernel guards devices
		default:
			return err
		}
	}
	for _, x := range again {
		if err := m.applyOne(w, d, x); err != nil {
			return err
		}
	}
	return nil
}

// prepare enables a controller that a hybrid has left to v2. Create does it
// for v2 alone, where it is wanted whether limited or not.
func (m *Manager) prepare(d Dir, x Write) error {
	if !x.V2 || len(m.paths.V1) == 0 {
		return nil
	}
	return enableAll(d, []string{x.Controller})
}

func (m *Manager) dirFor(x Write) (Dir, bool) {
	if !x.V2 {
		return m.paths.find(x.Controller)
	}
	if m.paths.V2 == nil {
		return Dir{}, false
	}
	return *m.paths.V2, true
}

// applyOne writes x, or the first of its alternatives whose file exists.
func (m *Manager) applyOne(w *writer, d Dir, x Write) error {
	path := filepath.Join(d.Path, x.File)
	if x.Floor != "" {
		if err := checkFloor(d, x); err != nil {
			return err
		}
	}
	err := w.write(path, x.Value)
	for _, e := range x.Else {
		if !errors.Is(err, unix.ENOENT) {
			break
		}
		alt := filepath.Join(d.Path, e.File)
		if altErr := w.write(alt, e.Value); !errors.Is(altErr, unix.ENOENT) {
			err, path, x.Value = altErr, alt, e.Value
		}
	}
	if err == nil {
		return nil
	}
	return m.explain(d, x, path, err)
}

// explain turns err into a WriteError with the cause, if it can be found out.
func (m *Manager) explain(d Dir, x Write, path string, err error) error {
	var p *os.PathError
	cause := err
	if errors.As(err, &p) {
		cause = p.Err
	}
	e := &WriteError{Write: x, Path: path, Err: cause}
	switch {
	// Without O_CREAT a missing file is ENOENT; p.Op tells it from a driver's ENOENT.
	case p != nil && p.Op == "open" && errors.Is(cause, unix.ENOENT):
		if unix.Access(d.Path, unix.F_OK) != nil {
			// runc's text, which its users know from rootless containers.
			return fmt.Errorf("%s: cannot set %s limit: container could not join or create cgroup", x.Origin, x.Controller)
		}
		if x.Optional {
			return nil
		}
		e.Note = "not supported by this kernel"
		if x.V2 {
			e.Note = whyMissing(d, x.Controller)
		}
	case errors.Is(cause, unix.EINVAL) && isBandwidth(x.File):
		e.Note = "quota and period are 1000 to 1000000 microseconds, the quota at most that of the cgroup above, the burst at most the quota"
	case errors.Is(cause, unix.EBUSY) && x.File == "memory.limit_in_bytes":
		usage, err1 := readNumber(d.Path, "memory.usage_in_bytes")
		peak, err2 := readNumber(d.Path, "memory.max_usage_in_bytes")
		if err1 == nil && err2 == nil {
			e.Note = fmt.Sprintf("unable to set memory limit to %s (current usage: %d, peak usage: %d)", x.Value, usage, peak)
		}
	}
	return e
}

// checkFloor refuses a memory limit that the present usage already exceeds.
func checkFloor(d Dir, x Write) error {
	usage, err := readNumber(d.Path, x.Floor)
	if err != nil {
		if gone(err) {
			return nil
		}
		return err
	}
	n, err := strconv.ParseUint(x.Value, 10, 64)
	if err != nil || n >= usage {
		return nil // not a number: "max"
	}
	return fmt.Errorf("%s: rejecting limit %d, below the present usage %d", x.Origin, n, usage)
}

// isBandwidth says whether a file is one of CPU bandwidth, cgroup-v2.rst.
func isBandwidth(file string) bool {
	return strings.HasPrefix(file, "cpu.cfs_") || strings.HasPrefix(file, "cpu.max")
}
