// SPDX-License-Identifier: Apache-2.0

// Package overlay mounts shared read-only layers under one writable directory:
// overlayfs, Documentation/filesystems/overlayfs.rst.
//
//	err := overlay.Mount(overlay.Options{Lowers: layers, Upper: upper, Work: work}, rootfs)
//	err = overlay.Unmount(rootfs)
//
// What the container writes is in the upper directory and complete there:
// redirects and metadata-only copies are off, so that it can become a layer.
package overlay

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// MaxLowers is how many layers the kernel takes: OVL_MAX_STACK.
const MaxLowers = 500

// Options of one mount. Directories are opened once and given by descriptor:
// their names may have commas and colons, and their number no influence on the
// length of an option.
type Options struct {
	Lowers      []string // topmost first, at least one
	Upper, Work string   // of one file system; empty for a read-only mount
	// UserXattr takes user.overlay.* for trusted.overlay.*: in a user namespace.
	UserXattr bool
	// Volatile leaves out syncs of the upper directory: for what is thrown away.
	Volatile bool
}

// parameter is one of fsconfig(2); a flag has no value.
type parameter struct{ key, value string }

func (p parameter) String() string {
	if p.value == "" {
		return p.key
	}
	return p.key + "=" + p.value
}

// parameters are those of the mount, for directories that name gives.
func (o Options) parameters(name func(path string) string) []parameter {
	var list []parameter
	for _, dir := range o.Lowers {
		list = append(list, parameter{"lowerdir+", name(dir)})
	}
	if o.Upper != "" {
		list = append(list, parameter{"upperdir", name(o.Upper)}, parameter{"workdir", name(o.Work)})
	}
	// "off" would follow those of lower layers, and conflict with userxattr.
	list = append(list, parameter{"redirect_dir", "nofollow"}, parameter{"metacopy", "off"}, parameter{"index", "off"})
	if o.UserXattr {
		list = append(list, parameter{key: "userxattr"})
	}
	if o.Volatile {
		list = append(list, parameter{key: "volatile"})
	}
	return list
}

// legacy is the option string of mount(2), for Linux before 6.8, which has no
// lowerdir+.
func legacy(list []parameter) string {
	var lowers, rest []string
	for _, p := range list {
		if p.key == "lowerdir+" {
			lowers = append(lowers, p.value)
		} else {
			rest = append(rest, p.String())
		}
	}
	return strings.Join(append([]string{"lowerdir=" + strings.Join(lowers, ":")}, rest...), ",")
}

func (o Options) check() error {
	switch {
	case len(o.Lowers) == 0:
		return errors.New("overlay: no layers")
	case len(o.Lowers) > MaxLowers:
		return &unusableError{fmt.Errorf("overlay: %d layers, and the kernel takes %d (hint: --mode copy)", len(o.Lowers), MaxLowers)}
	case (o.Upper == "") != (o.Work == ""):
		return errors.New("overlay: an upper directory needs a work directory")
	}
	return nil
}

// Mount mounts at target, a directory that exists, in our mount namespace.
// Errors name the call.
func Mount(o Options, target string) error {
	if err := o.check(); err != nil {
		return err
	}
	var open []*os.File
	defer func() {
		for _, f := range open {
			_ = f.Close() // O_PATH
		}
	}()
	var failed error
	list := o.parameters(func(path string) string {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("overlay: %s: %w", path, err))
			return ""
		}
		open = append(open, os.NewFile(uintptr(fd), path))
		return "/proc/self/fd/" + strconv.Itoa(fd)
	})
	if failed != nil {
		return failed
	}
	at, err := unix.Open(target, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("overlay: %s: %w", target, err)
	}
	defer unix.Close(at)
	if err := either(list, at, mount); err != nil {
		return unusable(fmt.Errorf("overlay: %s: %w%s", target, err, hint(err)))
	}
	return nil
}

// either tries modern, and mount(2) if that may be too new for the kernel: what
// does not know lowerdir+ says EINVAL for it, or only when the file system is
// made. The first error counts if this is not it.
func either(list []parameter, at int, modern func([]parameter, int) error) error {
	err := modern(list, at)
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	if legacyErr := mountLegacy(list, at); legacyErr == nil || errors.Is(legacyErr, unix.E2BIG) {
		return legacyErr
	}
	return err
}

// ErrUnusable says that overlayfs does not work here, or not for us: another way
// may.
var ErrUnusable = errors.New("overlayfs cannot be used here")

// unusable marks errors that say so.
func unusable(err error) error {
	for _, no := range []unix.Errno{unix.ENODEV, unix.EPERM, unix.EINVAL, unix.E2BIG} {
		if errors.Is(err, no) {
			return &unusableError{err}
		}
	}
	return err
}

type unusableError struct{ error }

func (e *unusableError) Unwrap() error        { return e.error }
func (e *unusableError) Is(target error) bool { return target == ErrUnusable }

// Check says why layers and upper directories cannot be below dir: it is on an
// overlay, as in a container, where nobody can make whiteouts (mknod(2) of 0:0).
func Check(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("statfs %s: %w", dir, err)
	}
	if st.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return &unusableError{fmt.Errorf("overlay: %s is on an overlay itself (hint: another --root, or --mode copy)", dir)}
	}
	return nil
}

func mount(list []parameter, at int) error {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fs)
	for _, p := range append([]parameter{{"source", "overlay"}}, list...) {
		if p.value == "" {
			err = unix.FsconfigSetFlag(fs, p.key)
		} else {
			err = unix.FsconfigSetString(fs, p.key, p.value)
		}
		if err != nil {
			return fmt.Errorf("fsconfig %s: %w", p.key, err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return fmt.Errorf("fsconfig create: %w%s", err, messages(fs))
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fsmount", err)
	}
	defer unix.Close(fd)
	return os.NewSyscallError("move_mount", unix.MoveMount(fd, "", at, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH))
}

// messages are what the kernel has to say about a file system context.
func messages(fs int) string {
	var all strings.Builder
	buf := make([]byte, 4096)
	for range 16 {
		n, err := unix.Read(fs, buf)
		if err != nil || n <= 0 {
			break
		}
		all.WriteString("; " + strings.TrimSpace(string(buf[:n])))
	}
	return all.String()
}

// mountLegacy is mount(2), whose options have a page: about 200 layers.
func mountLegacy(list []parameter, at int) error {
	data := legacy(list)
	if len(data) >= os.Getpagesize() {
		return fmt.Errorf("too many layers for this kernel: it needs Linux 6.8, or --mode copy: %w", unix.E2BIG)
	}
	return os.NewSyscallError("mount", unix.Mount("overlay", "/proc/self/fd/"+strconv.Itoa(at), "overlay", 0, data))
}

func hint(err error) string {
	switch {
	case errors.Is(err, unix.ENODEV):
		return " (hint: this kernel has no overlayfs; use --mode copy)"
	case errors.Is(err, unix.EPERM):
		return " (hint: --mode copy, or as root)"
	case errors.Is(err, unix.EINVAL):
		return " (hint: the directories may be on an overlay themselves; use another store, or --mode copy)"
	}
	return ""
}

// Unmount removes the topmost mount at target. What is busy goes as soon as
// nobody uses it. That there is none is no error.
func Unmount(target string) error {
	// umount2 asks for permission before it looks.
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, target, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, 0, &st)
	if err == nil && st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return nil
	}
	err = unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err == unix.EINVAL || err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return fmt.Errorf("umount %s: %w", target, err)
	}
	return nil
}
