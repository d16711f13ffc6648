// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Mount is one line of mountinfo without its numbers.
type Mount struct {
	Point, Root, Type, Source string
	Options, Super            []string
	Propagation               []string
}

// mounts keeps the kernel's order: a later mount may cover an earlier one.
func mounts() []Mount {
	var all []Mount
	for _, line := range lines("/proc/self/mountinfo") {
		before, after, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 6 || len(right) < 3 {
			all = append(all, Mount{Point: line})
			continue
		}
		m := Mount{
			Root: left[3], Point: left[4], Options: strings.Split(left[5], ","),
			Type: right[0], Source: right[1], Super: strings.Split(right[2], ","),
		}
		for _, tag := range left[6:] {
			kind, _, _ := strings.Cut(tag, ":") // peer group numbers differ
			m.Propagation = append(m.Propagation, kind)
		}
		slices.Sort(m.Options)
		slices.Sort(m.Super)
		all = append(all, m)
	}
	return all
}

var numbers = regexp.MustCompile(`\[\d+\]`)

// descriptors tells what each descriptor is open on, and how.
func descriptors(open []int) map[string]string {
	found := map[string]string{}
	for _, fd := range open {
		target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil {
			target = reason(err)
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil {
			target += " " + reason(err)
		}
		found[strconv.Itoa(fd)] = fmt.Sprintf("%s %#o", numbers.ReplaceAllString(target, ""), flags)
	}
	return found
}

// devices describes every entry below dir, except in other file systems that
// hold no devices of ours.
func devices(dir, prefix string) map[string]string {
	found := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		found["."] = reason(err)
		return found
	}
	for _, e := range entries {
		path, name := filepath.Join(dir, e.Name()), prefix+e.Name()
		found[name] = describe(path)
		if e.IsDir() && name != "shm" && name != "mqueue" && name != "fd" {
			for n, d := range devices(path, name+"/") {
				found[n] = d
			}
		}
	}
	return found
}

func describe(path string) string {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return reason(err)
	}
	mode := fmt.Sprintf("%04o %d:%d", st.Mode&0o7777, st.Uid, st.Gid)
	rdev := uint64(st.Rdev) //nolint:unconvert // not uint64 on every architecture
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		if err != nil {
			target = reason(err)
		}
		return "link " + target
	case unix.S_IFCHR:
		return fmt.Sprintf("char %d,%d %s", unix.Major(rdev), unix.Minor(rdev), mode)
	case unix.S_IFBLK:
		return fmt.Sprintf("block %d,%d %s", unix.Major(rdev), unix.Minor(rdev), mode)
	case unix.S_IFDIR:
		return "directory " + mode
	case unix.S_IFIFO:
		return "fifo " + mode
	}
	return "file " + mode
}

// maskable are the paths that engines mask or make read-only.
var maskable = []string{
	"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
	"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/proc/interrupts", "/sys/firmware",
	"/sys/devices/virtual/powercap", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/proc/uptime",
}

func masked() map[string]string {
	found := map[string]string{}
	for _, path := range maskable {
		found[path] = access(path)
	}
	return found
}

// access says what is at path: absent, the null device, an empty directory,
// and whether its mount may be written to.
func access(path string) string {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return reason(err)
	}
	var at unix.Statfs_t
	if err := unix.Statfs(path, &at); err != nil {
		return reason(err)
	}
	how := "writable"
	if at.Flags&unix.ST_RDONLY != 0 {
		how = "read-only"
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3) {
			return "null device"
		}
		return "file, " + how
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return reason(err)
	}
	if len(entries) == 0 {
		return "empty directory, " + how
	}
	return "directory, " + how
}

func rootState() string {
	const probe = "/.payload-probe"
	if err := touch(probe); err != nil {
		return reason(err)
	}
	if err := os.Remove(probe); err != nil {
		return reason(err)
	}
	return "writable"
}

func interfaces() map[string]string {
	found := map[string]string{}
	all, err := net.Interfaces()
	if err != nil {
		return map[string]string{"error": reason(err)}
	}
	for _, i := range all {
		found[i.Name] = i.Flags.String()
	}
	return found
}

func sysctls() map[string]string {
	found := map[string]string{}
	for _, key := range []string{"net/ipv4/ip_unprivileged_port_start", "net/ipv4/ping_group_range", "kernel/shmmax", "kernel/msgmax", "fs/mqueue/msg_max"} {
		found[key] = strings.Join(strings.Fields(text("/proc/sys/"+key)), " ")
	}
	return found
}

// reason is the errno of err as text, without the path.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "no such file or directory"
	}
	return err.Error()
}
