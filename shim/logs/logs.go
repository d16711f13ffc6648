// SPDX-License-Identifier: Apache-2.0

// Package logs is the log side of berth-monitor: it takes what a container
// wrote and hands it to several drivers at once, in the formats and with the
// option values of conmon (conmon(8), --log-path and its neighbours). It does
// not read from the container, and it starts no goroutine.
//
//	targets := []logs.Target{{logs.K8sFile, "/var/log/web.log"}, {Driver: logs.Journald}}
//	set, err := logs.Open(targets, options)
//	set.Write(logs.Stdout, buf[:n], time.Now()) // once per read
//	err = set.Close()
//
// A log that cannot be written never stops the container: what is lost is
// counted, and said in the log itself as soon as that has room again.
package logs

import (
	"errors"
	"fmt"
	"time"
)

// Stream says where the container wrote to. Any other value counts as Stderr.
type Stream byte

// The two streams of a container; a terminal is all Stdout.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// streams are the indices of what is kept per stream.
const streams = 2

func (s Stream) index() int {
	if s == Stdout {
		return 0
	}
	return 1
}

func (s Stream) String() string {
	if s == Stdout {
		return "stdout"
	}
	return "stderr"
}

// Options are what conmon's flags beside --log-path say. The zero value logs
// without limits.
type Options struct {
	// CID is the container's id. Only journald needs it: at least 13 bytes.
	CID string
	// Name and Tag name the container in the journal; both may be empty.
	Name, Tag string
	// Labels are further fields of the journal, K=V, where K has only A-Z,
	// 0-9 and _. The drivers that write files ignore them.
	Labels []string
	// SizeMax is how many bytes a file may have before a new one is begun;
	// one line may be longer. 0 or less: no limit.
	SizeMax int64
	// GlobalSizeMax is how many bytes (of lines in files, of messages in the
	// journal) a driver takes in all; the rest is dropped. 0 or less: no limit.
	GlobalSizeMax int64
	// Rotate keeps full files as path.1 (newest) to path.MaxFiles. Otherwise
	// their text is gone, as it is with conmon.
	Rotate bool
	// MaxFiles is at least 1 if Rotate is set.
	MaxFiles int
	// AllowlistDirs are the directories below which files may be; empty: all.
	AllowlistDirs []string
	// NoPartial leaves CONTAINER_PARTIAL_MESSAGE out of the journal.
	NoPartial bool
	// NoSync leaves out the fsync(2) of Close.
	NoSync bool
	// Warn gets one sentence when a log begins to lose output, and one when
	// the number of lost bytes is known. Calls come from within Write, Reopen
	// and Close. It may be nil.
	Warn func(string)
}

// warn formats a sentence for Warn.
func (o *Options) warn(format string, args ...any) {
	if o.Warn != nil {
		o.Warn(fmt.Sprintf(format, args...))
	}
}

// lossNotice is the line that stands in a log for what it lost.
func lossNotice(bytes int64, cause error) string {
	return fmt.Sprintf("berth-monitor: %d bytes of log lost: %v", bytes, cause)
}

// sink is an open driver. write does not keep p.
type sink interface {
	write(stream Stream, p []byte, at time.Time)
	reopen() error
	close(at time.Time) error
}

// Set is a number of open drivers. Its methods must not run at the same time.
type Set struct {
	sinks       []sink
	passthrough bool
}

// Open opens all targets or none. It creates files that do not exist, mode
// 0640 &^ umask, and appends to those that do. Close the Set.
func Open(targets []Target, o Options) (*Set, error) {
	if err := o.check(targets); err != nil {
		return nil, err
	}
	s := &Set{}
	for _, t := range targets {
		var k sink
		var err error
		switch t.Driver {
		case K8sFile:
			k, err = openFile(t.Path, k8sFormat, &o)
		case JSONFile:
			k, err = openFile(t.Path, jsonFormat, &o)
		case Journald:
			k, err = openJournal(t.Path, &o)
		case Passthrough:
			s.passthrough = true
			continue
		default: // None: check let nothing else through
			continue
		}
		if err != nil {
			_ = s.Close() // nothing was written; the first error is the one to tell
			return nil, err
		}
		s.sinks = append(s.sinks, k)
	}
	return s, nil
}

// Write logs p, the result of one read of the container's output, at is when
// that was. Lines are what ends with a newline; a rest without one is logged
// as a partial line. It does not keep p and allocates nothing per line. It
// waits for no other program, except up to half a second for a journal whose
// queue is full.
func (s *Set) Write(stream Stream, p []byte, at time.Time) {
	for _, k := range s.sinks {
		k.write(stream, p, at)
	}
}

// Reopen opens the paths of all files again, creating them if they are gone:
// somebody renamed them to begin new ones. A file that cannot be opened goes
// on being written where it was, and is in the error.
func (s *Set) Reopen() error {
	var errs []error
	for _, k := range s.sinks {
		errs = append(errs, k.reopen())
	}
	return errors.Join(errs...)
}

// Close ends open partial lines, reports what was lost and not yet told, syncs
// files to disk unless NoSync, and closes. The Set takes no output after it.
func (s *Set) Close() error {
	var errs []error
	now := time.Now()
	for _, k := range s.sinks {
		errs = append(errs, k.close(now))
	}
	s.sinks = nil
	return errors.Join(errs...)
}

// Passthrough says that the container is to inherit the caller's stdio: there
// is nothing to read and to Write.
func (s *Set) Passthrough() bool { return s.passthrough }
