// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// The kinds of an Error, for errors.Is.
var (
	ErrRefused = errors.New("refused")            // the layer asks for what no honest one needs, or what is not supported
	ErrLimit   = errors.New("over a limit")       // one of Limits
	ErrDigest  = errors.New("does not match")     // size, digest or diffID
	ErrArchive = errors.New("damaged archive")    // neither tar nor its compression can be read
	ErrChild   = errors.New("the applier failed") // the confined process could not start, or died
)

var kinds = []error{ErrRefused, ErrLimit, ErrDigest, ErrArchive, ErrChild}

// Error is why a layer could not be applied. It is one of the kinds, or a
// system call's errno, or both; errors.Is finds either, also across processes.
type Error struct {
	Kind    error // one of the Err values above, nil for a failed call
	Entry   string
	Message string
	Errno   unix.Errno // 0: none
}

func (e *Error) Error() string {
	s := e.Message
	if e.Errno != 0 {
		s += ": " + e.Errno.Error() + hints[e.Errno]
	}
	if e.Entry != "" {
		s = fmt.Sprintf("layer entry %s: %s", quote(e.Entry), s)
	}
	return s
}

// quote shows a name of the layer, which may be a megabyte of anything.
func quote(name string) string {
	const most = 200
	if len(name) > most {
		return fmt.Sprintf("%q… (%d bytes)", name[:most], len(name))
	}
	return strconv.Quote(name)
}

// Unwrap gives kind and errno.
func (e *Error) Unwrap() []error {
	var all []error
	if e.Kind != nil {
		all = append(all, e.Kind)
	}
	if e.Errno != 0 {
		all = append(all, e.Errno)
	}
	return all
}

var hints = map[unix.Errno]string{
	unix.ENOSPC: " (hint: the file system has no space or inodes left)",
	unix.EDQUOT: " (hint: a quota is used up)",
	unix.EROFS:  " (hint: the target is mounted read-only)",
	unix.ENOSYS: " (hint: Linux 5.6 is needed, and a seccomp filter that allows openat2)",
}

func refuse(format string, args ...any) error {
	return &Error{Kind: ErrRefused, Message: fmt.Sprintf(format, args...)}
}

func overLimit(format string, args ...any) error {
	return &Error{Kind: ErrLimit, Message: fmt.Sprintf(format, args...)}
}

func mismatch(format string, args ...any) error {
	return &Error{Kind: ErrDigest, Message: fmt.Sprintf(format, args...)}
}

func damaged(err error) error {
	return &Error{Kind: ErrArchive, Message: "damaged archive: " + err.Error()}
}

// failed is for a system call on a name below the directory.
func failed(call, name string, err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	message := call + " " + quote(name)
	if call == "chown" && (errno == unix.EPERM || errno == unix.EINVAL) {
		message += " (hint: owners need root, id maps that cover them, or rootless)"
	}
	return &Error{Message: message, Errno: errno}
}

// of names the entry that an error is about, unless it is named already.
func of(name string, err error) error {
	var e *Error
	if errors.As(err, &e) && e.Entry == "" {
		named := *e
		named.Entry = name
		return &named
	}
	return err
}
