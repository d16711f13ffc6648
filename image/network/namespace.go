// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespaces is where ip-netns(8) has names for network namespaces.
const namespaces = "/run/netns"

func namespacePath(id string) string { return filepath.Join(namespaces, "berth-"+id) }

// pin makes a network namespace and gives it a name. It is an error that there
// is such a name.
func pin(path string) error {
	if err := prepareNamespaces(); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	_ = f.Close() // nothing is in it
	made := make(chan error)
	go func() { made <- onNewNamespace(func() error { return furnish(path) }) }()
	if err := <-made; err != nil {
		return errors.Join(err, unpin(path))
	}
	return nil
}

// prepareNamespaces makes the directory a shared mount of its own, as ip-netns
// does: names come and go in all mount namespaces. If `ip netns` did that later
// instead, our mounts would be there twice, and the lower ones would stay.
func prepareNamespaces() error {
	if err := os.MkdirAll(namespaces, 0o755); err != nil {
		return err
	}
	dir, err := os.Open(namespaces)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil { // ip-netns has it, too
		return fmt.Errorf("flock %s: %w", namespaces, err)
	}
	err = unix.Mount("", namespaces, "", unix.MS_SHARED|unix.MS_REC, "")
	if err == unix.EINVAL { // no mount point
		if err = unix.Mount(namespaces, namespaces, "", unix.MS_BIND|unix.MS_REC, ""); err == nil {
			err = unix.Mount("", namespaces, "", unix.MS_SHARED|unix.MS_REC, "")
		}
	}
	if err != nil {
		return fmt.Errorf("mount %s: %w", namespaces, err)
	}
	return nil
}

// onNewNamespace runs f on a thread in a new network namespace; namespaces are
// the threads' own, unshare(2). The thread goes back and on; if it cannot, it
// ends with its goroutine, which must therefore be one for this alone.
func onNewNamespace(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread() // it has not moved
		return os.NewSyscallError("unshare CLONE_NEWNET", err)
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, os.NewSyscallError("setns", back))
	}
	runtime.UnlockOSThread()
	return err
}

// settings are Docker's in a network of a container's own, see package bundle:
// any user may serve low ports, and ping.
var settings = map[string]string{
	"/proc/sys/net/ipv4/ip_unprivileged_port_start": "0",
	"/proc/sys/net/ipv4/ping_group_range":           "0 2147483647",
}

// furnish makes the thread's namespace what a container expects, with the
// loopback up, and binds it to path.
func furnish(path string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("ioctl SIOCSIFFLAGS lo: %w", err)
	}
	for name, value := range settings {
		// The kernel shows each thread its own namespace below /proc/sys/net.
		if err := set(name, value); err != nil {
			return err
		}
	}
	if err := unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", path, err)
	}
	return nil
}

func set(name, value string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// unpin removes a name, and the namespace when nobody is in it. That there is
// none is no error.
func unpin(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return fmt.Errorf("umount %s: %w", path, err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Unlinkat(int(dir.Fd()), filepath.Base(path), 0); err != nil && err != unix.ENOENT {
		return fmt.Errorf("unlink %s: %w", path, err)
	}
	return nil
}

// pinned says whether there is a namespace at path.
func pinned(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.NSFS_MAGIC
}
