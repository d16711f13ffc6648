// SPDX-License-Identifier: Apache-2.0

package logs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	journalSocket = "/run/systemd/journal/socket"
	// partialMax is how long a line may be, in bytes, before its first part is
	// sent without the rest: conmon's STDIO_BUF_SIZE.
	partialMax = 8192
	// sendTimeout bounds what a full queue of the journal costs the container.
	// The queue survives a restart of journald, which takes less than this.
	sendTimeout = 500 * time.Millisecond
	// unixPathMax is sizeof(sun_path) less the NUL, unix(7).
	unixPathMax = 107
	// Priorities of syslog(3).
	prioErr, prioWarning, prioInfo = "3", "4", "6"
)

// journal is the sink of journald. It speaks the native protocol from this very
// process: engines look for records by _PID.
// Source: systemd.io/JOURNAL_NATIVE_PROTOCOL, sd_journal_sendv in
// src/libsystemd/sd-journal/journal-send.c; conmon src/ctr_logging.c.
type journal struct {
	opts *Options
	fd   int
	to   *unix.SockaddrUnix

	fields []byte // what all records share, encoded
	record []byte
	total  int64 // bytes of messages, against GlobalSizeMax
	closed bool  // GlobalSizeMax is reached

	pending [streams]pending

	lost  int64 // bytes of the container since the last notice
	cause error // of the loss
}

// pending is a line that has not ended.
type pending struct {
	text     []byte
	begun    bool   // there is a line: its priority is known
	priority string // of all its parts
}

func openJournal(socket string, o *Options) (*journal, error) {
	if socket == "" {
		socket = journalSocket
	}
	if len(socket) > unixPathMax {
		return nil, fmt.Errorf("cannot open journal %q: %w", socket, unix.ENAMETOOLONG)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open journal: %w", err)
	}
	timeout := unix.NsecToTimeval(sendTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout); err != nil {
		_ = unix.Close(fd) // nothing was sent
		return nil, fmt.Errorf("cannot open journal: %w", err)
	}
	// Larger messages go by memfd, which costs three more calls. The kernel
	// gives what it allows, so that an error means only that.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 8<<20)
	return &journal{opts: o, fd: fd, to: &unix.SockaddrUnix{Name: socket}, fields: sharedFields(o)}, nil
}

// sharedFields are the fields that name the container.
func sharedFields(o *Options) []byte {
	short := o.CID[:shortID]
	who := short
	for _, name := range []string{o.Name, o.Tag} {
		if name != "" {
			who = name
		}
	}
	dst := appendField(nil, "CONTAINER_ID_FULL", o.CID)
	dst = appendField(dst, "CONTAINER_ID", short)
	if o.Name != "" {
		dst = appendField(dst, "CONTAINER_NAME", o.Name)
	}
	if o.Tag != "" {
		dst = appendField(dst, "CONTAINER_TAG", o.Tag)
	}
	dst = appendField(dst, "SYSLOG_IDENTIFIER", who)
	for _, label := range o.Labels {
		key, value, _ := strings.Cut(label, "=")
		dst = appendField(dst, key, value)
	}
	return dst
}

// appendField encodes a field: KEY=value, or with a length if there is a
// newline in it.
func appendField(dst []byte, key, value string) []byte {
	dst = append(dst, key...)
	if !strings.Contains(value, "\n") {
		return append(append(append(dst, '='), value...), '\n')
	}
	dst = append(dst, '\n')
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(value)))
	return append(append(dst, value...), '\n')
}

func (j *journal) write(stream Stream, p []byte, _ time.Time) {
	for len(p) > 0 {
		var line []byte
		var full bool
		line, p, full = nextLine(p)
		j.add(stream, line, full)
	}
}

// add sends a line, or keeps its beginning until the rest comes.
func (j *journal) add(stream Stream, text []byte, full bool) {
	l := &j.pending[stream.index()]
	if !l.begun {
		l.begun, l.priority = true, prioInfo
		if stream != Stdout {
			l.priority = prioErr
		}
		// A prefix that a read cut in two is text, as it is for conmon.
		text, l.priority = priorityPrefix(text, l.priority)
	}
	if !full && len(l.text)+len(text) < partialMax {
		l.text = append(l.text, text...)
		return
	}
	j.send(l, text, !full)
	l.begun = !full
}

// send sends the pending text followed by text as one record.
func (j *journal) send(l *pending, text []byte, partial bool) {
	n := int64(len(l.text) + len(text))
	if g := j.opts.GlobalSizeMax; j.closed || g > 0 && j.total+n > g {
		j.closed, l.text = true, l.text[:0]
		return
	}
	j.total += n
	if !partial {
		n++ // the newline, where lost bytes are counted
	}
	if j.lost > 0 && !j.notice() {
		j.lost, l.text = j.lost+n, l.text[:0]
		return
	}
	j.record = append(append(append(j.record[:0], j.fields...), "MESSAGE="...), l.text...)
	j.record = append(append(j.record, text...), '\n')
	j.record = appendField(j.record, "PRIORITY", l.priority)
	if partial && !j.opts.NoPartial {
		j.record = appendField(j.record, "CONTAINER_PARTIAL_MESSAGE", "true")
	}
	l.text = l.text[:0]
	if err := j.deliver(j.record, 0); err != nil {
		j.lost, j.cause = n, err
		j.opts.warn("cannot write to the journal, output is dropped until that is possible: %v", err)
	}
}

// notice says in the journal what it lost, and whether it took that. It does
// not wait: while the journal is stuck, the container goes on.
func (j *journal) notice() bool {
	j.record = appendField(append(j.record[:0], j.fields...), "MESSAGE", lossNotice(j.lost, j.cause))
	j.record = appendField(j.record, "PRIORITY", prioWarning)
	if j.deliver(j.record, unix.MSG_DONTWAIT) != nil {
		return false
	}
	j.opts.warn("%d bytes lost on the way to the journal: %v", j.lost, j.cause)
	j.lost = 0
	return true
}

// deliver sends a record, with flags of sendmsg(2).
func (j *journal) deliver(record []byte, flags int) error {
	flags |= unix.MSG_NOSIGNAL
	err := j.sendmsg(record, nil, flags)
	// Too large for a datagram: the socket's buffer or the kernel's memory.
	if !errors.Is(err, unix.EMSGSIZE) && !errors.Is(err, unix.ENOBUFS) {
		return err
	}
	fd, err := sealed(record)
	if err != nil {
		return err
	}
	err = j.sendmsg(nil, unix.UnixRights(fd), flags)
	_ = unix.Close(fd) // the message holds the file
	return err
}

func (j *journal) sendmsg(p, oob []byte, flags int) error {
	_, err := retry(func() (int, error) { return 0, unix.Sendmsg(j.fd, p, oob, j.to, flags) })
	return err
}

// sealed is a memfd with data that nobody can change any more: journald takes
// no other.
func sealed(data []byte) (int, error) {
	fd, err := unix.MemfdCreate("journal-message", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
	if err != nil {
		return -1, err
	}
	if _, err = writeAll(fd, data); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL)
	}
	if err != nil {
		_ = unix.Close(fd) // the first error is the one to tell
		return -1, err
	}
	return fd, nil
}

// reopen has nothing to do: each record is sent to the socket's path anew.
func (j *journal) reopen() error { return nil }

// close sends what is pending as partial records, as conmon does.
func (j *journal) close(time.Time) error {
	for i := range j.pending {
		if l := &j.pending[i]; len(l.text) > 0 {
			j.send(l, nil, true)
		}
	}
	if j.lost > 0 && !j.notice() {
		j.opts.warn("%d bytes lost on the way to the journal: %v", j.lost, j.cause)
	}
	if err := unix.Close(j.fd); err != nil {
		return fmt.Errorf("cannot close the journal's socket: %w", err)
	}
	return nil
}
