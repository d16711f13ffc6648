// SPDX-License-Identifier: Apache-2.0

package console

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// RawState is what a terminal was before MakeRaw.
type RawState struct {
	tty     *os.File
	termios unix.Termios
}

// IsTerminal says whether f is a terminal; nil is none.
func IsTerminal(f *os.File) bool {
	if f == nil {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	runtime.KeepAlive(f)
	return err == nil
}

// MakeRaw makes the terminal pass everything on as it is, as cfmakeraw(3)
// does: no echo, no signals from keys, no changes to line ends.
func MakeRaw(tty *os.File) (*RawState, error) {
	t, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("cannot read settings of terminal %q: %w", tty.Name(), err)
	}
	before := &RawState{tty, *t}
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, t); err != nil {
		return nil, fmt.Errorf("cannot make terminal %q raw: %w", tty.Name(), err)
	}
	return before, nil
}

// Restore gives the terminal its settings back.
func (s *RawState) Restore() error {
	if err := unix.IoctlSetTermios(int(s.tty.Fd()), unix.TCSETS, &s.termios); err != nil {
		return fmt.Errorf("cannot restore terminal %q: %w", s.tty.Name(), err)
	}
	return nil
}

// SetSize sets the window size of the terminal behind master; the foreground
// process in it gets SIGWINCH if that is a change.
func SetSize(master *os.File, rows, cols uint16) error {
	err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	runtime.KeepAlive(master)
	if err != nil {
		return fmt.Errorf("cannot set terminal size %dx%d: %w", cols, rows, err)
	}
	return nil
}

// Resize gives the terminal behind master the window size of tty, unless that
// has none, as a serial line or a pipe's pty: then process.consoleSize stays.
func Resize(master, tty *os.File) error {
	size, err := unix.IoctlGetWinsize(int(tty.Fd()), unix.TIOCGWINSZ)
	if err == nil && (size.Row != 0 || size.Col != 0) {
		err = unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, size)
	}
	runtime.KeepAlive(master)
	runtime.KeepAlive(tty)
	if err != nil {
		return fmt.Errorf("cannot copy the terminal size: %w", err)
	}
	return nil
}

// clearONLCR stops the container's terminal from writing "\r\n" for "\n".
func clearONLCR(master *os.File) error {
	t, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS)
	if err == nil {
		t.Oflag &^= unix.ONLCR
		err = unix.IoctlSetTermios(int(master.Fd()), unix.TCSETS, t)
	}
	if err != nil {
		return fmt.Errorf("cannot set the container's terminal up: %w", err)
	}
	return nil
}

// ctrlD is what the key sends, ASCII's end of transmission.
const ctrlD = 4

// endOfFile returns the bytes that make a reader of the container's terminal
// see the end, after last; none if the terminal is raw: then there is no such
// thing.
func endOfFile(master *os.File, last byte) []byte {
	t, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS)
	if err != nil || t.Lflag&unix.ICANON == 0 || t.Cc[unix.VEOF] == 0 {
		return nil
	}
	eof := t.Cc[unix.VEOF]
	if last == '\n' {
		return []byte{eof}
	}
	// Within a line the first one only passes the line on, termios(3).
	return []byte{eof, eof}
}

func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
