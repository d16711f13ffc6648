// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Launch says how to start an image.
type Launch struct {
	Program *Program
	// Files become descriptors 0, 1, 2, … of the image; nil leaves a number
	// closed. The caller keeps them. The entry at the program's control
	// descriptor is filled in by Start.
	Files []*os.File
	// Cloneflags are CLONE_NEW* flags for the first process. CLONE_NEWUSER is
	// not among them: Go would then fork without CLONE_VFORK, several times
	// slower than unshare(2) within the image.
	Cloneflags uintptr
	// CgroupFD is the directory of a cgroup v2 to start in, clone3(2)
	// CLONE_INTO_CGROUP; nil for none.
	CgroupFD *os.File
	// MemfdNoexec: executable memfds are forbidden (vm.memfd_noexec=2).
	MemfdNoexec bool
}

// Child is a running image.
type Child struct {
	// Pid is the first process's. A program that clones again speaks from
	// another pid: see Message.Pid.
	Pid     int
	control int
	program *Program
}

// Start writes the image, starts it, and returns at once.
func Start(l Launch) (*Child, error) {
	arch, code := Interpreter()
	if l.Program.Arch != arch {
		return nil, fmt.Errorf("boot image for %s on %s", l.Program.Arch, arch)
	}
	image, err := Image(l.Program, code)
	if err != nil {
		return nil, err
	}
	exe, err := seal(image, l.MemfdNoexec)
	if err != nil {
		return nil, fmt.Errorf("boot image: %w", err)
	}
	defer unix.Close(exe)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("control socket: socketpair: %w", err)
	}
	defer unix.Close(pair[1])
	if err := unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		unix.Close(pair[0])
		return nil, fmt.Errorf("control socket: SO_PASSCRED: %w", err)
	}
	c := &Child{control: pair[0], program: l.Program}
	c.Pid, err = forkExec(l, exe, pair[1])
	if err != nil {
		unix.Close(pair[0])
		return nil, err
	}
	return c, nil
}

func forkExec(l Launch, exe, control int) (int, error) {
	const none = ^uintptr(0)
	files := make([]uintptr, max(len(l.Files), int(l.Program.Words[controlWord])+1))
	for i := range files {
		files[i] = none
		if i < len(l.Files) && l.Files[i] != nil {
			files[i] = l.Files[i].Fd()
		}
	}
	files[l.Program.Words[controlWord]] = uintptr(control)
	exe, err := above(exe, files)
	if err != nil {
		return 0, err
	}
	defer unix.Close(exe)
	attr := &syscall.ProcAttr{
		Env:   []string{},
		Files: files,
		Sys:   &syscall.SysProcAttr{Cloneflags: l.Cloneflags},
	}
	if l.CgroupFD != nil {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(l.CgroupFD.Fd())
	}
	pid, err := syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(exe), []string{"berth-boot"}, attr)
	if err != nil {
		return 0, fmt.Errorf("boot image: clone and execve: %w", err)
	}
	return pid, nil
}

// above duplicates a descriptor to a number that ForkExec leaves alone in the
// child: it closes those below len(files), and moves files through numbers
// just above all of them.
func above(fd int, files []uintptr) (int, error) {
	high := len(files)
	for _, f := range files {
		if f != ^uintptr(0) {
			high = max(high, int(f))
		}
	}
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, high+len(files)+2)
	if err != nil {
		return -1, fmt.Errorf("boot image: F_DUPFD_CLOEXEC: %w", err)
	}
	return n, nil
}

// seal returns a descriptor of an executable file that nobody can change:
// a sealed memfd, or, where executable memfds are forbidden, an unlinked file
// on a tmpfs that is attached nowhere.
func seal(image []byte, noexec bool) (int, error) {
	if noexec {
		return detachedFile(image)
	}
	const name, flags = "berth-boot", unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // MFD_EXEC came with Linux 6.3
		fd, err = unix.MemfdCreate(name, flags)
	}
	if errors.Is(err, unix.EACCES) {
		return detachedFile(image)
	}
	if err != nil {
		return -1, fmt.Errorf("memfd_create: %w", err)
	}
	if err := writeAll(fd, image); err != nil {
		unix.Close(fd)
		return -1, err
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("memfd: F_ADD_SEALS: %w", err)
	}
	return fd, nil
}

// detachedFile is the fallback for vm.memfd_noexec=2. It needs CAP_SYS_ADMIN.
func detachedFile(image []byte) (int, error) {
	context, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsopen tmpfs (vm.memfd_noexec=2 forbids executable memfds): %w", err)
	}
	defer unix.Close(context)
	if err := unix.FsconfigCreate(context); err != nil {
		return -1, fmt.Errorf("fsconfig tmpfs: %w", err)
	}
	mount, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return -1, fmt.Errorf("fsmount tmpfs: %w", err)
	}
	defer unix.Close(mount)
	const name = "boot"
	fd, err := unix.Openat(mount, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o500)
	if err != nil {
		return -1, fmt.Errorf("tmpfs: openat: %w", err)
	}
	err = writeAll(fd, image)
	unix.Close(fd) // execve refuses a file that is open for writing
	if err != nil {
		return -1, err
	}
	fd, err = unix.Openat(mount, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("tmpfs: openat: %w", err)
	}
	_ = unix.Unlinkat(mount, name, 0)
	return fd, nil
}

func writeAll(fd int, v []byte) error {
	for len(v) > 0 {
		n, err := unix.Write(fd, v)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("write: %w", err)
		}
		v = v[max(n, 0):]
	}
	return nil
}

// Receive waits for the image's next message. The error is a *Failure when an
// operation failed.
func (c *Child) Receive() (Message, error) { return receive(c.control, c.program) }

// Answer lets a waiting image go on; it never answers with nothing.
func (c *Child) Answer(v []byte) error {
	if len(v) == 0 {
		v = []byte{0}
	}
	if len(v) >= MaxAnswer {
		return fmt.Errorf("an answer of %d bytes is too long for the boot image (the state of a hook with that many annotations?)", len(v))
	}
	if err := unix.Sendto(c.control, v, unix.MSG_NOSIGNAL, nil); err != nil {
		return fmt.Errorf("control socket: send: %w", err)
	}
	return nil
}

// Close closes our end of the control socket; an image that still needs it
// then ends.
func (c *Child) Close() {
	if c.control >= 0 {
		unix.Close(c.control)
		c.control = -1
	}
}

// ReceiveData reads a message without a header: bytes that the image sends
// after a barrier that announces them.
func (c *Child) ReceiveData(max int) ([]byte, error) {
	v := make([]byte, max)
	for {
		n, err := unix.Read(c.control, v)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("control socket: read: %w", err)
		}
		return v[:n], nil
	}
}
