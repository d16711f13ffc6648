// SPDX-License-Identifier: Apache-2.0

// Package residency keeps the memory small of a program that waits most of its
// life, one per container.
//
//	residency.Shrink() // whenever there is nothing to do for a while
package residency

import (
	"bufio"
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Shrink gives back what the heap does not need, and the pages of the program's
// own code and constants: those that are needed again come from the page cache,
// 16 at a time. It takes about a millisecond.
func Shrink() {
	debug.FreeOSMemory()
	for _, r := range own() {
		// Read-only pages of a private mapping that nobody can have written to:
		// in a static executable at a fixed address there are no relocations.
		_ = r.advise(unix.MADV_DONTNEED) // best effort
	}
}

// mapping is a range of addresses, in which there is no Go memory.
type mapping struct{ start, end uintptr }

func (m mapping) advise(advice uintptr) error {
	if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, advice); errno != 0 {
		return os.NewSyscallError("madvise", errno)
	}
	return nil
}

// own are the read-only mappings of our executable; nothing if it is one that is
// relocated.
func own() []mapping {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil
	}
	var found []mapping
	for s := bufio.NewScanner(bytes.NewReader(maps)); s.Scan(); {
		m, ok := parse(s.Text(), self)
		if !ok {
			continue
		}
		if m.start >= 1<<32 { // not where a static executable is linked to
			return nil
		}
		found = append(found, m)
	}
	return found
}

// parse reads a line of proc(5), /proc/pid/maps:
// "00400000-00800000 r-xp 00000000 08:02 173521 /usr/bin/berth-monitor". It is
// false for mappings that can be written to, or of other files.
func parse(line, path string) (mapping, bool) {
	fields := strings.SplitN(line, " ", 6)
	if len(fields) < 6 || strings.TrimSpace(fields[5]) != path || fields[1] != "r-xp" && fields[1] != "r--p" {
		return mapping{}, false
	}
	from, to, ok := strings.Cut(fields[0], "-")
	a, err := strconv.ParseUint(from, 16, 64)
	b, err2 := strconv.ParseUint(to, 16, 64)
	return mapping{uintptr(a), uintptr(b)}, ok && err == nil && err2 == nil && a < b
}
