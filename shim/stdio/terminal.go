// SPDX-License-Identifier: Apache-2.0

package stdio

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Terminal takes the master of a terminal over: the result is a file that Go's
// poller knows, the caller's, and master is closed, also on failure.
func Terminal(master *os.File) (*os.File, error) {
	defer master.Close() // the copy goes on
	fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "/dev/ptmx"), nil
}

// SetSize sets a terminal's size, in characters. Unlike that of package console
// it leaves master non-blocking.
func SetSize(master *os.File, width, height uint16) error {
	raw, err := master.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: height, Col: width})
	})
	return errors.Join(err, os.NewSyscallError("TIOCSWINSZ", set))
}
