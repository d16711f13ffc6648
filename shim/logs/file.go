// SPDX-License-Identifier: Apache-2.0

package logs

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// flushAt bounds the buffer, in bytes: 8 KiB of empty lines become 350 KiB.
const flushAt = 64 << 10

// file is the sink of k8s-file and json-file. Entries of one write gather in
// buf and reach the file in one write(2).
//
// When that fails, the file is cut after its last whole entry, the bytes of the
// container that are not in it are counted, and each later write begins with a
// notice about them. As long as a notice does not fit, nothing after it is
// kept: a disk that has room for short lines only would fill with notices.
type file struct {
	place
	format format
	opts   *Options

	fd      int
	regular bool
	size    int64 // of the file, bytes
	limit   int64 // the size at which to begin a new file; 0: none
	total   int64 // written in all, bytes, against GlobalSizeMax
	closed  bool  // GlobalSizeMax is reached

	stamp []byte
	buf   []byte          // entries to be written
	torn  []byte          // the end of an entry whose beginning could not be cut off
	open  [streams]bool   // the file's last entry of this stream is a partial line
	held  [streams][]byte // the beginning of a rune

	lost    int64 // bytes of the container since the last notice
	noticed int   // entries at the beginning of buf that are the notice about lost
	cause   error // of the loss
	down    bool  // Warn knows that something is lost
}

func openFile(path string, f format, o *Options) (*file, error) {
	p, err := findPlace(path, o.AllowlistDirs)
	if err != nil {
		return nil, fmt.Errorf("cannot open log %q: %w", path, err)
	}
	l := &file{place: p, format: f, opts: o, fd: -1}
	fd, err := l.openLog()
	if err == nil {
		err = l.use(fd)
	}
	if err != nil {
		l.place.close()
		return nil, fmt.Errorf("cannot open log %q: %w", path, err)
	}
	return l, nil
}

// use takes ownership of fd, the open log, and gives the one before it back.
func (f *file) use(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd) // nothing was written
		return err
	}
	if f.fd >= 0 {
		// A full NFS may report now what it did not before, and nobody knows
		// which lines that was about.
		if err := unix.Close(f.fd); err != nil {
			f.opts.warn("cannot close log %q: %v", f.path, err)
		}
	}
	f.fd, f.size, f.limit, f.torn = fd, st.Size, 0, f.torn[:0]
	f.regular = st.Mode&unix.S_IFMT == unix.S_IFREG
	if f.regular && f.opts.SizeMax > 0 {
		f.limit = f.opts.SizeMax
	}
	return nil
}

func (f *file) write(stream Stream, p []byte, at time.Time) {
	if f.closed {
		return
	}
	if f.format.utf8 {
		p = f.wholeRunes(stream, p)
	}
	f.put(stream, p, at)
}

// wholeRunes is what was held back and p, less the beginning of a rune at its
// end.
func (f *file) wholeRunes(stream Stream, p []byte) []byte {
	held := f.held[stream.index()]
	n := openRune(p)
	if len(held) == 0 && n == 0 {
		return p
	}
	p = append(held, p...)
	n = openRune(p)
	f.held[stream.index()] = bytes.Clone(p[len(p)-n:])
	return p[:len(p)-n]
}

// put writes p, one entry per line.
func (f *file) put(stream Stream, p []byte, at time.Time) {
	if len(p) == 0 {
		return
	}
	f.notice(at)
	f.stamp = f.format.stamp(f.stamp[:0], stream, at)
	raw, done := p, 0 // raw[:done] is in buf
	for rest := p; len(rest) > 0; {
		var line []byte
		var full bool
		line, rest, full = nextLine(rest)
		mark := len(f.buf)
		f.buf = f.format.entry(f.buf, f.stamp, line, full)
		entry := int64(len(f.buf) - mark)
		if g := f.opts.GlobalSizeMax; g > 0 && f.total+entry > g {
			f.buf, f.closed = f.buf[:mark], true
			break
		}
		f.total += entry
		if f.limit > 0 && f.size+int64(len(f.buf)) > f.limit && f.size+int64(mark) > 0 {
			f.renew(stream, raw[:done], mark)
			raw, done = raw[done:], 0
		}
		done = len(raw) - len(rest)
		if len(f.buf) >= flushAt {
			f.flush(stream, raw[:done])
			raw, done = rest, 0
		}
	}
	f.flush(stream, raw[:done])
}

// renew writes buf[:mark] to the file and begins a new one for the rest.
func (f *file) renew(stream Stream, raw []byte, mark int) {
	next := f.buf[mark:]
	f.buf = f.buf[:mark]
	f.flush(stream, raw)
	if err := f.rotate(); err != nil {
		f.opts.warn("cannot begin a new file for log %q, it grows beyond its limit: %v", f.path, err)
		f.limit = f.size + f.opts.SizeMax // when to try again
	}
	f.buf = append(f.buf, next...) // moves within the same array
}

// flush writes buf, in which raw is what the container wrote, and empties it.
func (f *file) flush(stream Stream, raw []byte) {
	if len(f.buf) == 0 {
		return
	}
	if err := f.finishTorn(); err != nil {
		f.lose(len(raw), err)
		return
	}
	n, err := writeAll(f.fd, f.buf)
	if err != nil {
		kept := f.mend(n)
		lines := bytes.Count(f.buf[:kept], []byte{'\n'})
		whole := afterLines(raw, max(0, lines-f.noticed))
		if lines >= f.noticed {
			f.told()
		}
		if whole > 0 {
			f.open[stream.index()] = raw[whole-1] != '\n'
		}
		f.size += int64(kept)
		f.lose(len(raw)-whole, err)
		return
	}
	f.size += int64(n)
	f.told()
	if len(raw) > 0 {
		f.open[stream.index()] = raw[len(raw)-1] != '\n'
	}
	f.buf = f.buf[:0]
}

// told: the notice is in the log, if there was one.
func (f *file) told() {
	if f.noticed == 0 {
		return
	}
	f.opts.warn("%d bytes of log %q lost: %v", f.lost, f.path, f.cause)
	f.lost, f.down, f.noticed = 0, false, 0
	f.open = [streams]bool{}
}

// mend is called after only n bytes of buf were written. It leaves whole
// entries in the file, by cutting it or, where that is not possible, by keeping
// the end of an entry for later. The result is how many bytes of buf are kept.
func (f *file) mend(n int) int {
	whole := bytes.LastIndexByte(f.buf[:n], '\n') + 1
	if f.noticed > 0 {
		whole = 0 // without what follows it a notice is not worth its room
	}
	if n == whole {
		return n
	}
	var st unix.Stat_t
	// Another size means another writer: what would be cut is not ours.
	if f.regular && unix.Fstat(f.fd, &st) == nil && st.Size == f.size+int64(n) &&
		unix.Ftruncate(f.fd, f.size+int64(whole)) == nil {
		return whole
	}
	end := n
	if f.buf[n-1] != '\n' {
		end += bytes.IndexByte(f.buf[n:], '\n') + 1
	}
	f.torn = append(f.torn[:0], f.buf[n:end]...)
	return end
}

// finishTorn writes what mend kept.
func (f *file) finishTorn() error {
	if len(f.torn) == 0 {
		return nil
	}
	n, err := writeAll(f.fd, f.torn)
	f.torn = f.torn[:copy(f.torn, f.torn[n:])]
	return err
}

// lose counts and drops what is in buf.
func (f *file) lose(bytes int, cause error) {
	f.lost += int64(bytes)
	f.cause = cause
	f.buf, f.noticed = f.buf[:0], 0
	if !f.down && f.lost > 0 {
		f.down = true
		f.opts.warn("cannot write log %q, output is dropped until that is possible: %v", f.path, cause)
	}
}

// notice begins buf with a line about what was lost. Readers join the parts of
// a line, so that open ones end first.
func (f *file) notice(at time.Time) {
	if f.lost == 0 {
		return
	}
	f.endLines(at)
	f.stamp = f.format.stamp(f.stamp[:0], Stderr, at)
	f.buf = f.format.entry(f.buf, f.stamp, []byte(lossNotice(f.lost, f.cause)), true)
	f.noticed = bytes.Count(f.buf, []byte{'\n'})
}

// endLines appends to buf an empty end for each partial line in the file.
func (f *file) endLines(at time.Time) {
	for _, s := range []Stream{Stdout, Stderr} {
		if f.open[s.index()] {
			f.stamp = f.format.stamp(f.stamp[:0], s, at)
			f.buf = f.format.entry(f.buf, f.stamp, nil, true)
		}
	}
}

func (f *file) reopen() error {
	if err := f.findAgain(f.opts.AllowlistDirs); err != nil {
		return fmt.Errorf("cannot reopen log %q: %w", f.path, err)
	}
	fd, err := f.openLog()
	if err == nil {
		_ = f.finishTorn() // the last chance; without it one line of the old file is short
		err = f.use(fd)
	}
	if err != nil {
		return fmt.Errorf("cannot reopen log %q: %w", f.path, err)
	}
	return nil
}

// close is conmon's end: a partial line gets an empty last part.
func (f *file) close(at time.Time) error {
	if !f.closed {
		for _, s := range []Stream{Stdout, Stderr} {
			f.put(s, f.held[s.index()], at)
		}
		if f.notice(at); f.noticed == 0 {
			f.endLines(at)
		}
		f.flush(Stderr, nil)
	}
	if f.lost > 0 {
		f.opts.warn("%d bytes of log %q lost: %v", f.lost, f.path, f.cause)
	}
	var errs []error
	if f.regular && !f.opts.NoSync {
		errs = append(errs, unix.Fsync(f.fd))
	}
	errs = append(errs, unix.Close(f.fd))
	f.place.close()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cannot close log %q: %w", f.path, err)
	}
	return nil
}

// writeAll writes p and says how much of it arrived.
func writeAll(fd int, p []byte) (n int, err error) {
	for n < len(p) {
		m, err := retry(func() (int, error) { return unix.Write(fd, p[n:]) })
		if err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

// retry repeats a call that a signal interrupted. FUSE may do that to any
// call; signal(7) has it for regular files only there and on NFS.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
