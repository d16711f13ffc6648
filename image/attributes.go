// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// copyAttributes gives a directory all that a layer says of another: an overlay
// shows those of the upper directory. Times come last, after what changes them.
func copyAttributes(from string, to *os.File) error {
	source, err := os.OpenFile(from, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer source.Close() // read only
	var st unix.Stat_t
	fd := int(to.Fd())
	if err := unix.Fstat(int(source.Fd()), &st); err != nil {
		return fmt.Errorf("stat %s: %w", from, err)
	}
	if err := to.Chown(int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, st.Mode&0o7777); err != nil {
		return fmt.Errorf("fchmod %s: %w", to.Name(), err)
	}
	if err := copyXattrs(int(source.Fd()), fd); err != nil {
		return fmt.Errorf("xattrs of %s: %w", from, err)
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	return os.NewSyscallError("utimensat", unix.UtimesNanoAt(fd, ".", times, 0))
}

// copyXattrs leaves out trusted.* and user.overlay.*, which overlayfs has its
// marks in.
func copyXattrs(from, to int) error {
	list := make([]byte, 64<<10) // XATTR_LIST_MAX
	n, err := unix.Flistxattr(from, list)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	if err != nil {
		return err
	}
	value := make([]byte, 64<<10) // XATTR_SIZE_MAX
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		if name == "" || strings.HasPrefix(name, "trusted.") || strings.HasPrefix(name, "user.overlay.") || name == "security.selinux" {
			continue
		}
		size, err := unix.Fgetxattr(from, name, value)
		if err == nil {
			err = unix.Fsetxattr(to, name, value[:size], 0)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	return nil
}
