// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"
)

// Main does the work if the program was started by Confined, and returns its
// exit status then. A program calls it before anything else.
func Main() (status int, ours bool) {
	if len(os.Args) != 2 || os.Args[1] != childArgument {
		return 0, false
	}
	out := &frames{w: bufio.NewWriterSize(os.NewFile(replyFD, "reply"), blockSize)}
	result, err := child(out)
	if err := out.reply(reply{result, failureOf(err)}); err != nil {
		return 1, true
	}
	return 0, true
}

func child(out *frames) (Result, error) {
	var r request
	in := os.NewFile(requestFD, "request")
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		return Result{}, &Error{Kind: ErrChild, Message: "cannot read the request: " + err.Error()}
	}
	_ = in.Close()
	top, lowers := os.NewFile(dirFD, "dir"), make([]*os.File, r.Lowers)
	for i := range lowers {
		lowers[i] = os.NewFile(uintptr(lowersFD+i), "lower")
	}
	top, lowers, err := confine(&r, top, lowers, out.warn)
	if err != nil {
		return Result{}, &Error{Kind: ErrChild, Message: "cannot confine the applier: " + err.Error()}
	}
	o := Options{
		Form: r.Form, Lowers: lowers, Limits: r.Limits, UIDs: r.UIDs, GIDs: r.GIDs, Rootless: r.Rootless,
		KeepDirlinks: r.KeepDirlinks, Warn: out.warn,
	}
	if r.Record {
		o.Record = out.record
	}
	return Extract(context.Background(), top, os.Stdin, r.Descriptor, r.DiffID, o)
}

// confine takes from this process what applying a layer does not need, and
// returns the descriptors to use instead. Nothing hostile was read before.
func confine(r *request, top *os.File, lowers []*os.File, warn func(string)) (*os.File, []*os.File, error) {
	unix.Umask(0)
	debug.SetGCPercent(50)
	signal.Ignore(unix.SIGXFSZ) // EFBIG says it
	err := errors.ErrUnsupported
	newTop, newLowers := top, lowers
	if r.Namespaces {
		newTop, newLowers, err = pivot(top, lowers)
	}
	if err != nil {
		if r.Namespaces {
			warn(fmt.Sprintf("the applier cannot have a mount tree of its own: %s", err))
		}
		newTop, newLowers = top, lowers
		if err := chroot(top); err != nil {
			warn(fmt.Sprintf("the applier cannot change its root directory: %s", err))
		}
	}
	if err := limit(&r.Limits, len(lowers)); err != nil {
		return nil, nil, err
	}
	return newTop, newLowers, dropPrivileges(keptCapabilities(r), warn)
}

// pivot makes a mount of the directory the root of this mount namespace, and
// unmounts all else. Mounts of the lower layers belong to no namespace, so that
// ".." does not lead out of them; they are read-only. Linux 5.12.
func pivot(top *os.File, lowers []*os.File) (*os.File, []*os.File, error) {
	private := &unix.MountAttr{Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, private); err != nil {
		return nil, nil, fmt.Errorf("mount_setattr: %w", err)
	}
	const noUse = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	here, err := again(top)
	if err != nil {
		return nil, nil, err
	}
	defer here.Close()
	root, err := cloneMount(here, noUse)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	var mounts []*os.File
	for _, lower := range lowers {
		here, err := again(lower)
		if err != nil {
			return nil, nil, err
		}
		m, err := cloneMount(here, noUse|unix.MOUNT_ATTR_RDONLY)
		_ = here.Close() // O_PATH
		if err != nil {
			return nil, nil, err
		}
		mounts = append(mounts, m)
	}
	const byFD = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
	if err := unix.MoveMount(int(root.Fd()), "", int(here.Fd()), "", byFD); err != nil {
		return nil, nil, fmt.Errorf("move_mount: %w", err)
	}
	if err := unix.Fchdir(int(root.Fd())); err != nil {
		return nil, nil, fmt.Errorf("fchdir: %w", err)
	}
	// pivot_root(2): both may be ".", the old root is then mounted over the new.
	if err := unix.PivotRoot(".", "."); err != nil {
		return nil, nil, fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return nil, nil, fmt.Errorf("umount2: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return nil, nil, fmt.Errorf("chdir: %w", err)
	}
	fd, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open: %w", err)
	}
	for _, f := range append(lowers, top) {
		_ = f.Close() // they lead to the host
	}
	return os.NewFile(uintptr(fd), "/"), mounts, nil
}

// again opens a directory in this mount namespace: the descriptor is of the
// parent's, whose mounts cannot be cloned here. Its path is only where to look;
// the inode says whether it was found.
func again(f *os.File) (*os.File, error) {
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", name, err)
	}
	found := os.NewFile(uintptr(fd), name)
	want, err1 := f.Stat()
	got, err2 := found.Stat()
	if err := errors.Join(err1, err2); err != nil || !os.SameFile(want, got) {
		_ = found.Close() // O_PATH
		return nil, fmt.Errorf("%q is another directory: %w", name, errors.Join(err, unix.ESTALE))
	}
	return found, nil
}

// cloneMount mounts a directory where nobody can see it.
func cloneMount(dir *os.File, attributes uint64) (*os.File, error) {
	fd, err := unix.OpenTree(int(dir.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, fmt.Errorf("open_tree: %w", err)
	}
	f := os.NewFile(uintptr(fd), dir.Name())
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: attributes}); err != nil {
		_ = f.Close() // a mount nobody has
		return nil, fmt.Errorf("mount_setattr: %w", err)
	}
	return f, nil
}

// chroot is what is left without a mount namespace. Descriptors lead out of it,
// but names do not.
func chroot(dir *os.File) error {
	if err := unix.Fchdir(int(dir.Fd())); err != nil {
		return fmt.Errorf("fchdir: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	return nil
}

// limit sets resource limits. Address space is what Go reserves, about 1.3 GiB,
// with a zstd window of 128 MiB and what is collected late.
func limit(l *Limits, lowers int) error {
	size := uint64(math.MaxUint64) // RLIM_INFINITY
	if l.Bytes > 0 {
		size = uint64(l.Bytes)
	}
	files := uint64(1024 + 2*lowers)
	for _, x := range []struct {
		name     string
		resource int
		value    uint64
	}{
		{"RLIMIT_AS", unix.RLIMIT_AS, 2 << 30},
		{"RLIMIT_FSIZE", unix.RLIMIT_FSIZE, size},
		{"RLIMIT_NOFILE", unix.RLIMIT_NOFILE, files},
		{"RLIMIT_CORE", unix.RLIMIT_CORE, 0},
	} {
		var old unix.Rlimit
		if err := unix.Getrlimit(x.resource, &old); err != nil {
			return fmt.Errorf("getrlimit %s: %w", x.name, err)
		}
		value := min(x.value, old.Max)
		if err := unix.Setrlimit(x.resource, &unix.Rlimit{Cur: value, Max: value}); err != nil {
			return fmt.Errorf("setrlimit %s: %w", x.name, err)
		}
	}
	return nil
}

// keptCapabilities are those that the request needs.
func keptCapabilities(r *request) []int {
	if r.Rootless {
		return []int{unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_SETFCAP}
	}
	kept := []int{unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_MKNOD, unix.CAP_SETFCAP}
	if r.Form == Overlay {
		kept = append(kept, unix.CAP_SYS_ADMIN) // trusted.overlay.opaque
	}
	return kept
}

// dropPrivileges keeps some capabilities of those that there are, on all
// threads, and makes sure that no program gets others back.
func dropPrivileges(keep []int, warn func(string)) error {
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); errno != 0 {
		if errno == unix.ENOTSUP { // with cgo, each thread would have to be asked
			warn("the applier keeps its capabilities: the program was built with cgo")
			return nil
		}
		return fmt.Errorf("prctl PR_SET_NO_NEW_PRIVS: %w", errno)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	if sets[0].Permitted&(1<<unix.CAP_SETPCAP) != 0 {
		for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
			// EINVAL: the kernel does not know it.
			_, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0)
			if errno != 0 && errno != unix.EINVAL {
				return fmt.Errorf("prctl PR_CAPBSET_DROP: %w", errno)
			}
		}
	}
	var mask [2]uint32
	for _, c := range keep {
		mask[c/32] |= 1 << (c % 32)
	}
	for i := range sets {
		kept := sets[i].Permitted & mask[i]
		sets[i] = unix.CapUserData{Effective: kept, Permitted: kept}
	}
	return setCapabilities(&header, &sets)
}
