// SPDX-License-Identifier: Apache-2.0

// Package host says what this machine can do, as one comparable struct that a
// golden test can invent. What depends on the kernel is decided from it while
// planning, never tried out while booting.
package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Version is a kernel release's first two numbers.
type Version struct{ Major, Minor int }

// AtLeast says whether v is major.minor or newer.
func (v Version) AtLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Facts are what planning needs to know about the kernel and about us.
type Facts struct {
	Kernel Version
	// EUID and EGID are ours.
	EUID, EGID uint32
	// Bounding is our capability bounding set, Permitted our permitted set;
	// bit n is capability n.
	Bounding, Permitted uint64
	// LastCap is the kernel's highest capability.
	LastCap int
	// InitialUserNS says that we are in the initial user namespace.
	InitialUserNS bool
	// MemfdNoexec: vm.memfd_noexec is 2, executable memfds are forbidden.
	MemfdNoexec bool
	// Kcore: /proc/kcore exists, so /dev/core points to it.
	Kcore bool
	// AppArmorAttr: /proc/self/attr/apparmor exists (Linux 5.8).
	AppArmorAttr bool
}

// Unsupported is a feature that this kernel lacks.
type Unsupported struct {
	What  string
	Since Version
}

func (e *Unsupported) Error() string {
	return fmt.Sprintf("%s needs Linux %v or newer", e.What, e.Since)
}

// Is makes errors.Is(err, errors.ErrUnsupported) hold.
func (e *Unsupported) Is(target error) bool { return target == errors.ErrUnsupported }

// MountSetattr: mount_setattr(2) exists, Linux 5.12.
func (f Facts) MountSetattr() bool { return f.Kernel.AtLeast(5, 12) }

// CloseRangeCloexec: close_range(2) knows CLOSE_RANGE_CLOEXEC, Linux 5.11.
func (f Facts) CloseRangeCloexec() bool { return f.Kernel.AtLeast(5, 11) }

// Rootless says that we lack root in the initial user namespace.
func (f Facts) Rootless() bool { return f.EUID != 0 || !f.InitialUserNS }

// Probe reads the facts: a handful of system calls.
func Probe() (Facts, error) {
	var f Facts
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return f, fmt.Errorf("uname: %w", err)
	}
	f.Kernel = parseRelease(unix.ByteSliceToString(u.Release[:]))
	if !f.Kernel.AtLeast(5, 10) {
		return f, &Unsupported{"berth", Version{5, 10}}
	}
	f.EUID, f.EGID = uint32(os.Geteuid()), uint32(os.Getegid())
	if err := f.readCapabilities(); err != nil {
		return f, err
	}
	uidMap, err := readProc("/proc/self/uid_map")
	if err != nil {
		return f, err
	}
	f.InitialUserNS = isInitialMap(uidMap)
	// Errors below mean that the kernel lacks the file.
	noexec, _ := readProc("/proc/sys/vm/memfd_noexec")
	f.MemfdNoexec = bytes.Equal(bytes.TrimSpace(noexec), []byte("2"))
	f.Kcore = unix.Access("/proc/kcore", unix.F_OK) == nil
	f.AppArmorAttr = unix.Access("/proc/self/attr/apparmor", unix.F_OK) == nil
	return f, nil
}

func (f *Facts) readCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	f.Permitted = uint64(data[1].Permitted)<<32 | uint64(data[0].Permitted)
	for n := range 64 {
		set, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
		if err != nil { // EINVAL: past the last one
			break
		}
		f.LastCap = n
		f.Bounding |= uint64(set) << n
	}
	return nil
}

// parseRelease reads "6.18.44-rc1" as 6.18.
func parseRelease(s string) Version {
	var v Version
	for i, p := range []*int{&v.Major, &v.Minor} {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		*p, _ = strconv.Atoi(s[:n])
		if i == 0 && n < len(s) {
			n++ // the dot
		}
		s = s[n:]
	}
	return v
}

// isInitialMap says whether a uid_map is the initial namespace's: all ids,
// each to itself, user_namespaces(7).
func isInitialMap(v []byte) bool {
	fields := bytes.Fields(v)
	return len(fields) == 3 && string(fields[0]) == "0" && string(fields[1]) == "0" && string(fields[2]) == "4294967295"
}

// readProc reads a small file with one read.
func readProc(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer unix.Close(fd)
	buf := make([]byte, 4096)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return nil, fmt.Errorf("%s: read: %w", path, err)
	}
	return buf[:n], nil
}
