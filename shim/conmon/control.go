// SPDX-License-Identifier: Apache-2.0

package conmon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"berth/shim/conmon/options"
)

// The fifos of the bundle.
const (
	controlFifo = "ctl"
	windowFifo  = "winsz"
)

// openFifo makes a fifo in the bundle, in the place of an earlier monitor's. We
// are a writer too, so that the others may come and go.
func openFifo(bundle, name string) (*os.File, error) {
	path := filepath.Join(bundle, name)
	if err := unix.Unlink(path); err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("cannot replace %s: %w", path, err)
	}
	if err := unix.Mkfifo(path, 0o660); err != nil {
		return nil, fmt.Errorf("mkfifo %s: %w", path, err)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// obey calls line for each line of a fifo, until it is closed. A line that
// cannot be obeyed is a warning.
func obey(fifo *os.File, line func([]byte) error, warn func(error)) {
	var lines options.Lines
	var buf [512]byte
	for {
		n, err := fifo.Read(buf[:])
		if err != nil {
			return
		}
		lines.Feed(buf[:n], func(text []byte) {
			if err := line(text); err != nil {
				warn(fmt.Errorf("%s: %w", filepath.Base(fifo.Name()), err))
			}
		})
	}
}

// control obeys a line of ctl.
func (m *monitor) control(text []byte) error {
	c, err := options.ParseControl(text)
	switch {
	case err != nil:
		return err
	case c.Reopen:
		return m.journal.reopen()
	}
	return m.wiring.resize(c.Height, c.Width)
}

// window obeys a line of winsz.
func (m *monitor) window(text []byte) error {
	height, width, err := options.ParseWindow(text)
	if err != nil {
		return err
	}
	return m.wiring.resize(height, width)
}
